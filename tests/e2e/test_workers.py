"""Workers of every kind below one muxd."""
import os
import random
import selectors
import socket
import struct
import subprocess

from harness import *

PROGRAM = """
import os, signal, sys, unittest
class T(unittest.TestCase):
    def test_fail(self): self.fail("no")
    def test_pass(self): sys.stdout.write("drei: 3\\u00b3, \\u3cca\\n"); sys.stdout.flush()
    def test_zcrash(self): os.kill(os.getpid(), signal.SIGKILL)
"""


class Workers(Case):
    def test_real_workers(self):
        """subunit.run through `mux send`: each worker's output arrives under its own segment."""
        folder = self.folder()
        with open(os.path.join(folder, "test_demo.py"), "w") as file:
            file.write(PROGRAM)
        muxd = self.muxd("--exit-after", "4")
        command = "/usr/bin/python3 -m subunit.run test_demo | tee out.$0 | %s send %s" % (
            MUX, muxd.addresses[0])
        workers = [subprocess.Popen(["sh", "-c", command, str(i)], cwd=folder,
                                    stdout=subprocess.DEVNULL) for i in range(4)]
        for worker in workers:
            self.assertEqual(worker.wait(PATIENCE), 0)
        self.assertEqual(muxd.wait(), 0)
        links = by_segment(oracle.decode(muxd.stream()))
        self.assertEqual(sorted(links), ["0", "1", "2", "3"])
        # python's timestamps tell the workers apart; python itself misreads 3\u00b3
        stamp = lambda events: [e["timestamp"] for e in events if e["timestamp"]]
        crashed = [(None, "test_demo.T.test_zcrash")]
        for events in links.values():
            self.assertEqual(take_failed(events), crashed)
        got = sorted(map(merge_chatter, links.values()), key=stamp)
        expected = []
        for i in range(4):
            with open(os.path.join(folder, "out.%d" % i), "rb") as file:
                expected.append(merge_chatter(oracle.decode(file.read())))
        for events, wanted in zip(got, sorted(expected, key=stamp)):
            self.same(events, wanted)
            last = [e["test_status"] for e in events if e["test_id"] == "test_demo.T.test_zcrash"]
            self.assertEqual(last[-1], "inprogress")
        self.assertEqual(len(python_events(muxd.stream())), sum(map(len, links.values())) + 4)

    def test_worker_hangs_and_is_killed(self):
        """Its output arrives while it hangs; its death ends its own link and no other."""
        folder = self.folder()
        with open(os.path.join(folder, "test_hang.py"), "w") as file:
            file.write("import signal, unittest\nclass T(unittest.TestCase):\n"
                       "    def test_hang(self): signal.pause()\n")
        upstream = self.upstream()
        path = os.path.join(folder, "stats")
        muxd = self.muxd("--upstream", upstream.endpoint, "--stats-json", path)
        upstream.accept()
        other = self.socket(muxd.addresses[0])
        other.sendall(packet(test_id="other"))
        upstream.read_events(1)
        sock = self.socket(muxd.addresses[0])
        worker = subprocess.Popen(["/usr/bin/python3", "-m", "subunit.run", "test_hang"], cwd=folder,
                                  stdout=sock)
        self.addCleanup(worker.kill)
        sock.close()
        stream = upstream.read_until(lambda s: b"test_hang" in s and
                                     oracle.decode(s)[-1]["test_status"] == "inprogress")
        self.assertEqual(oracle.decode(stream)[-1]["route_code"], "1")
        worker.kill()
        worker.wait(PATIENCE)
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_links_ended_total"] == 1, "its end")
        event, = upstream.read_events(1)
        self.assertEqual((event["test_id"], event["test_status"], event["route_code"]),
                         ("test_hang.T.test_hang", "fail", "1"))
        self.assertRegex(text(event), r"^worker 127.0.0.1:\d+: it closed its connection while this "
                                      r"test was in progress\n$")
        other.sendall(packet(test_id="after"))
        event, = upstream.read_events(1)
        self.assertEqual((event["test_id"], event["route_code"]), ("after", "0"))

    def test_worker_dies_inside_a_packet(self):
        """A reset: packets before it are whole, the rest is reported as damage."""
        path = os.path.join(self.folder(), "stats")
        muxd = self.muxd("--stats-json", path)
        sock = self.socket(muxd.addresses[0])
        sent = packet(test_id="t", file_name="f", file_bytes=bytes(3000)) * 10
        sock.sendall(sent[:-100])
        self.until(lambda: count_packets(muxd.stream()) == 9, "the whole packets")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self.until(lambda: count_packets(muxd.stream()) > 9, "the damage")
        self.assertEqual(muxd.end(), 0)
        self.same(without_reasons(by_segment(oracle.decode(muxd.stream()))["0"]),
                  without_reasons(oracle.decode(sent[:-100])))
        stats = self.stats(path)
        self.assertEqual((stats["muxd_connections_lost_total"], stats["muxd_damages_total"]), (1, 1))

    def test_health_checks(self):
        """A connection that ends without a byte, by FIN or reset, is counted and not logged."""
        path = os.path.join(self.folder(), "stats")
        folder = self.folder()
        muxd = self.muxd("--stats-json", path, listen=("127.0.0.1:0", "unix:%s/s" % folder))
        for i in range(40):
            sock = connect(muxd.addresses[i % 4 == 3])
            (reset if i % 2 else socket.socket.close)(sock)
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_connections_empty_total"] == 40,
                   "the checks")
        worker = muxd.connect()
        worker.sendall(packet(test_id="t"))
        self.finish(worker)
        self.assertEqual(muxd.end(), 0)
        self.assertFalse([line for line in muxd.log if "lost" in line], muxd.log)
        stats = self.stats(path)
        self.assertEqual((stats["muxd_connections_empty_total"], stats["muxd_connections_lost_total"]),
                         (40, 0))
        event, = python_events(muxd.stream())
        self.assertEqual(event["route_code"], "0")

    def test_stestr_nested(self):
        """stestr's own routes stay after the link's segment."""
        folder = self.folder()
        os.mkdir(os.path.join(folder, "tests"))
        open(os.path.join(folder, "tests", "__init__.py"), "w").close()
        for name in "ab":
            with open(os.path.join(folder, "tests", "test_%s.py" % name), "w") as file:
                file.write("import unittest\nclass T(unittest.TestCase):\n"
                           "    def test_1(self): pass\n    def test_2(self): pass\n")
        with open(os.path.join(folder, ".stestr.conf"), "w") as file:
            file.write("[DEFAULT]\ntest_path=./tests\ntop_dir=./\n")
        muxd = self.muxd("--exit-after", "1")
        run = "PATH=/usr/bin:$PATH PYTHON=/usr/bin/python3 stestr run --subunit --concurrency 2"
        subprocess.run(["sh", "-c", "%s | %s send %s" % (run, MUX, muxd.addresses[0])], cwd=folder,
                       check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
        self.assertEqual(muxd.wait(), 0)
        events = python_events(muxd.stream())
        finals = {e["test_id"]: e["route_code"] for e in events if e["test_status"] == "success"}
        self.assertEqual(sorted(finals), ["tests.test_%s.T.test_%d" % (n, i)
                                          for n in "ab" for i in (1, 2)])
        self.assertEqual(set(finals.values()), {"0/0", "0/1"})

    def test_1200_connections_at_once(self):
        """1,000 TCP and 200 unix workers, all open at the same time; python-subunit compares all."""
        path = os.path.join(self.folder(), "s")
        limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, most))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, most), most))
        muxd = self.muxd(listen=("127.0.0.1:0", "unix:" + path))  # muxd raises its own limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        rng = random.Random(7)
        streams, socks = [], []
        for i in range(1200):
            events = [dict(test_id="w%d.t%d" % (i, k // 2),
                           test_status="success" if k % 2 else "inprogress",
                           file_name="stdout" if k % 5 == 0 else None,
                           file_bytes=os.urandom(rng.randrange(200)) if k % 5 == 0 else None)
                      for k in range(rng.randrange(4, 30))]
            if i % 100 == 0:
                events.append(dict(test_id="w%d.big" % i, file_name="log",
                                   file_bytes=os.urandom(300000), eof=True))
            streams.append(b"".join(packet(**e) for e in events))
            socks.append(muxd.connect(muxd.addresses[i >= 1000]))
        pump(socks, streams, rng)
        self.until(lambda: len(muxd.stream()) > sum(map(len, streams)), "all bytes")
        self.assertEqual(muxd.end(), 0)
        links = by_segment(python_events(muxd.stream()))
        self.assertEqual(sorted(links, key=int), [str(i) for i in range(1200)])
        expected = {events[0]["test_id"].split(".")[0]: events
                    for events in map(python_events, streams)}
        for events in links.values():
            failed = take_failed(events)
            self.assertEqual(failed, in_progress(events))
            worker = events[0]["test_id"].split(".")[0]
            self.same(events, expected.pop(worker), worker)

    def test_garbage_is_contained(self):
        """Garbage from one worker between a good worker's packets does not affect the good one."""
        muxd = self.muxd()
        good, bad = muxd.connect(), muxd.connect()
        rng = random.Random(3)
        sent = sent_bad = b""
        good.sendall(packet(test_id="first"))
        sent += packet(test_id="first")
        self.until(lambda: muxd.stream(), "the first packet")
        for i in range(300):
            sent_now = packet(test_id="t%d" % i, test_status="success")
            good.sendall(sent_now)
            sent += sent_now
            garbage = rng.choice([rng.randbytes(50), b"\xb3" * 20, packet(test_id="x")[:-1] + b"!",
                                  b"\xb3\x29\x01\xbf", b"text\n"])
            bad.sendall(garbage)
            sent_bad += garbage
        self.finish(good)
        self.finish(bad)
        self.assertEqual(muxd.end(), 0)
        links = by_segment(oracle.decode(muxd.stream()))
        self.same(links["0"], oracle.decode(sent))
        self.same(merge_chatter(without_reasons(links["1"])),
                  merge_chatter(without_reasons(oracle.decode(sent_bad))))

    def test_large_packets_are_split(self):
        """The largest packet has no room for a route code: its content comes in two packets."""
        muxd = self.muxd("--exit-after", "2")
        fields = dict(test_id="t", file_name="f", eof=True, test_status="success", test_tags=["a"])
        room = 4194303 - len(packet(file_bytes=bytes(100000), **fields)) + 100000
        content = os.urandom(room)
        largest = packet(file_bytes=content, **fields)
        self.assertEqual(len(largest), 4194303)
        sock = muxd.connect()
        sock.sendall(largest)
        self.finish(sock)
        sock = muxd.connect()
        sock.sendall(packet(test_id="after"))
        self.finish(sock)
        self.assertEqual(muxd.wait(), 0)
        events = python_events(muxd.stream())
        parts = [e for e in events if e["test_id"] == "t"]
        self.assertEqual(b"".join(base64.b64decode(e["file_b64"]) for e in parts), content)
        self.assertEqual([(e["test_status"], e["eof"], e["test_tags"], e["route_code"])
                          for e in parts],
                         [(None, False, None, "0"), ("success", True, ["a"], "0")])
        self.assertEqual(len(events), 3)

    def test_large_packets_from_many(self):
        """Far more 4 MiB packets at once than there is memory for, each in pieces: all arrive whole."""
        muxd = self.muxd("--memory", "32M", "--exit-after", "12")
        rng = random.Random(5)
        streams = []
        for i in range(12):
            large = packet(test_id="w%d" % i, file_name="f", file_bytes=rng.randbytes(4194000))
            streams.append((packet(test_id="w%d" % i) + large) * 2)
        pump([muxd.connect() for _ in streams], streams, rng, piece_most=200000)
        self.assertEqual(muxd.wait(), 0)
        links = by_segment(python_events(muxd.stream()))
        expected = {events[0]["test_id"]: events for events in map(python_events, streams)}
        self.assertEqual(len(links), len(streams))
        for events in links.values():
            self.same(events, expected.pop(events[0]["test_id"]))

    def test_chatter_is_gathered(self):
        """Bytes that come one by one become one packet after 30 ms of silence, or at the newline."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint)
        upstream.accept()
        sock = self.socket(muxd.addresses[0])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        prompt = b"(Pdb) " * 30
        pauses, last = 0, time.monotonic()
        for byte in prompt:
            sock.sendall(bytes([byte]))
            pauses += time.monotonic() - last > 0.015  # this process was held up: then two packets
            last = time.monotonic()
        events = oracle.decode(upstream.read_until(lambda s: chatter(oracle.decode(s)) == prompt))
        self.assertLess(time.monotonic() - last, 5)
        self.assertLessEqual(len(events), 1 + pauses)
        for event in events:
            self.assertEqual((event["file_name"], event["route_code"], event["test_id"]),
                             ("stdout", "0", None))
        sock.sendall(b"one\ntwo\n")
        event, = upstream.read_events(1)
        self.assertEqual(text(event), "one\ntwo\n")


def chatter(events):
    return b"".join(base64.b64decode(e["file_b64"]) for e in events if e["file_name"] == "stdout")


def pump(socks, streams, rng, piece_most=4000):
    """Sends each stream over its socket in pieces, all at the same time; then closes the sockets."""
    selector = selectors.DefaultSelector()
    offsets = [0] * len(socks)
    for i, sock in enumerate(socks):
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_WRITE, i)
    while selector.get_map():
        for key, _ in selector.select(PATIENCE):
            i = key.data
            piece = streams[i][offsets[i]:offsets[i] + rng.randrange(1, piece_most)]
            offsets[i] += socks[i].send(piece)
            if offsets[i] == len(streams[i]):
                selector.unregister(socks[i])
                socks[i].shutdown(socket.SHUT_WR)
    for sock in socks:
        sock.close()


if __name__ == "__main__":
    unittest.main()
