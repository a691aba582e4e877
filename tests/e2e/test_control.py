"""The control socket: its answers, its permissions, and that no client can harm the stream."""
import grp
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import threading
import time

from harness import *

CLIENTS_MAX = 64  # CONTROL_CLIENTS_MAX
LINKS = 2000


class Asker:
    """A client of the socket."""

    def __init__(self, path):
        self.sock = connect("unix:" + path)
        self.file = self.sock.makefile("rb")

    def ask(self, request):
        self.sock.sendall(request.encode() + b"\n")
        return self.answer()

    def answer(self):
        line = self.file.readline()
        assert line.endswith(b"\n"), line
        return json.loads(line)

    def close(self):
        self.file.close()
        self.sock.close()


class Control(Case):
    def controlled(self, *options, **keywords):
        self.path = os.path.join(self.folder(), "ctl")
        return self.muxd("--control", "unix:" + self.path, *options, links=None, **keywords)

    def asker(self):
        asker = Asker(self.path)
        self.addCleanup(asker.close)
        return asker

    def ctl(self, *arguments, path=None):
        return subprocess.run([MUX, "ctl", "unix:" + (path or self.path), *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE)

    def wait_answer(self, asker, request, condition):
        """The first answer that has the condition."""
        deadline = time.monotonic() + PATIENCE
        while not condition(answer := asker.ask(request)):
            self.assertLess(time.monotonic(), deadline, answer)
            time.sleep(0.05)
        return answer

    def test_answers(self):
        muxd = self.controlled()
        worker = muxd.connect()
        sent = packet(test_id="pkg.T.test_slow", test_status="inprogress")
        worker.sendall(sent)
        asker = self.asker()
        links = self.wait_answer(asker, "links", lambda answer: answer["links"])["links"]
        self.assertEqual(len(links), 1)
        link = links[0]
        self.assertEqual((link["segment"], link["node"], link["state"], link["waits_for"]),
                         ("0", None, "open", "nothing"))
        self.assertEqual(link["peer"], "%s:%d" % worker.getsockname())
        self.assertEqual((link["received_bytes"], link["received_packets"]), (len(sent), 1))
        self.assertEqual((link["tests"], link["oldest_test"]), (1, "pkg.T.test_slow"))
        older = self.wait_answer(asker, "links", lambda answer: answer["links"][0]["oldest_age_s"] > 0.2)
        self.assertGreater(older["links"][0]["oldest_age_s"], link["oldest_age_s"])
        status = asker.ask("status")
        self.assertEqual((status["phase"], status["links"]["open"], status["links"]["tests"]),
                         ("running", 1, 1))
        self.assertGreater(status["uptime_s"], 0)
        self.assertEqual(status["upstream"]["state"], "connected")
        self.assertEqual(status["held_up_by"], [])
        worker.sendall(packet(test_id="pkg.T.test_slow", test_status="success"))
        link = self.wait_answer(asker, "links", lambda answer: not answer["links"][0]["tests"])["links"][0]
        self.assertEqual((link["oldest_test"], link["oldest_age_s"]), (None, None))
        worker.close()
        self.wait_answer(asker, "links", lambda answer: not answer["links"])
        self.assertEqual(muxd.end(), 0)

    def test_counters_are_those_of_stats_json(self):
        stats = os.path.join(self.folder(), "stats")
        muxd = self.controlled("--stats-json", stats)
        with muxd.connect() as worker:
            worker.sendall(packet(test_id="a", test_status="success"))
        asker = self.asker()
        counters = self.wait_answer(asker, "counters",
                              lambda answer: answer["muxd_links_ended_total"]["value"] == 1)
        self.assertEqual(muxd.end(), 0)
        with open(stats) as file:
            written = json.load(file)
        self.assertEqual(list(counters), list(written))
        for name, counter in counters.items():
            self.assertEqual({**counter, "value": 0}, {**written[name], "value": 0})
        self.assertEqual(counters["muxd_received_packets_total"],
                         written["muxd_received_packets_total"])

    def flood(self, muxd):
        """A worker sends as fast as muxd reads. Returns a function that ends it after a whole packet."""
        big = packet(test_id="big", file_name="f", file_bytes=b"x" * 60000, test_status="exists")
        ending = threading.Event()

        def send():
            total = 0
            with muxd.connect() as worker:
                worker.settimeout(0.2)
                while not ending.is_set() or total % len(big):
                    try:
                        total += worker.send(big[total % len(big):])
                    except TimeoutError:
                        pass
                    except OSError:
                        return  # muxd has ended
        thread = threading.Thread(target=send)
        thread.start()

        def end():
            ending.set()
            thread.join()
        return end

    def test_what_holds_links_up(self):
        """An upstream that does not read is named, with the number of links that wait for it."""
        upstream = self.upstream(receive_bytes=4096)
        muxd = self.controlled("--upstream", upstream.endpoint, "--memory", "16M",
                               "--drain-timeout", "%d" % PATIENCE)
        upstream.accept()
        stop = self.flood(muxd)
        asker = self.asker()
        try:
            status = self.wait_answer(asker, "status", lambda answer: any(
                by["who"] == "upstream" and by["why"] == "it does not read" and by["links"] == 1
                for by in answer["held_up_by"]))
            self.assertGreater(status["upstream"]["pending_bytes"], 0)
            self.assertGreaterEqual(status["upstream"]["sending_s"], 1)
            link = asker.ask("links")["links"][0]
            self.assertIn(link["waits_for"], ("upstream", "slot"))
            shown = self.ctl("status")
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("held up: 1 link by upstream: it does not read", shown.stdout)
        finally:
            threading.Thread(target=lambda: upstream.read_until(lambda s: False),
                             daemon=True).start()
            stop()
        self.wait_answer(asker, "status", lambda answer: answer["held_up_by"] == [])
        self.assertEqual(muxd.end(), 0, muxd.log)

    def test_what_a_leaf_keeps(self):
        """Of a node that the end does not answer: how much is not acknowledged, for how long, and what is in the spool."""
        end = self.muxd("--upstream", "file:" + os.path.join(self.folder(), "out"))
        leaf = self.controlled("--upstream", "mux:" + end.addresses[0], "--spool", self.folder())
        leaf.wait_log("is node ")
        asker = self.asker()
        nothing = {"window_bytes": 0, "window_max_bytes": 16 << 20, "unacknowledged_bytes": 0, "oldest_age_s": 0,
                   "spool_bytes": 0, "earlier_streams": 0, "spool_refusal": None}
        self.assertEqual(asker.ask("links")["kept"], nothing)
        self.assertNotIn("kept:", self.ctl("links").stdout)
        end.process.send_signal(signal.SIGSTOP)
        self.addCleanup(end.process.send_signal, signal.SIGCONT)
        sent = packet(test_id="t", test_status="success")
        self.socket(leaf.addresses[0]).sendall(sent)
        kept = self.wait_answer(asker, "links", lambda answer: answer["kept"]["spool_bytes"] > len(sent) and
                                answer["kept"]["window_bytes"] == 0)["kept"]
        self.assertGreater(kept["unacknowledged_bytes"], len(sent))
        self.assertIn("that the end has not acknowledged, for ", self.ctl("links").stdout)
        self.assertIn("\nspool: ", self.ctl("links").stdout)
        end.process.send_signal(signal.SIGCONT)
        self.wait_answer(asker, "links", lambda answer: answer["kept"]["unacknowledged_bytes"] == 0)

    def test_output_for_people(self):
        muxd = self.controlled()
        worker = muxd.connect()
        worker.sendall(packet(test_id="\x1b[2J" + "long" * 20 + ".test_end",
                              test_status="inprogress"))
        asker = self.asker()
        self.wait_answer(asker, "links", lambda answer: answer["links"])
        links = self.ctl("links")
        self.assertEqual(links.returncode, 0, links.stderr)
        heading, row = links.stdout.splitlines()
        self.assertEqual(heading.split()[0], "segment")
        self.assertEqual(row.split()[0], "0")
        self.assertTrue(row.endswith("longlong.test_end"), row)
        self.assertNotIn("\x1b", links.stdout)
        status = self.ctl("status")
        self.assertIn("links: 1 of 16,384, 0 silent, 0 away; 1 test in progress, the oldest for",
                      status.stdout)
        self.assertIn("held up: nothing", status.stdout)
        counters = self.ctl("counters")
        self.assertRegex(counters.stdout, r"(?m)^muxd_links_open +1 links$")
        for request in ("status", "links", "counters"):
            answer = self.ctl(request, "--json")
            self.assertEqual(answer.returncode, 0)
            self.assertEqual(len(answer.stdout.splitlines()), 1)
            json.loads(answer.stdout)

    def test_watch(self):
        muxd = self.controlled()
        command = [MUX, "ctl", "unix:" + self.path, "status", "--json", "--watch"]
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        uptimes = [json.loads(watching.stdout.readline())["uptime_s"] for _ in range(3)]
        self.assertGreaterEqual(uptimes[2] - uptimes[0], 2)
        watching.send_signal(signal.SIGINT)
        self.assertEqual(watching.wait(PATIENCE), -signal.SIGINT)
        watching.stdout.close()
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    text=True)
        watching.stdout.readline()
        self.assertEqual(muxd.end(), 0)
        _, errors = watching.communicate(timeout=PATIENCE)
        self.assertEqual(watching.returncode, 1)
        self.assertIn("muxd has ended", errors)

    def test_permissions(self):
        muxd = self.controlled()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(muxd.end(), 0)
        self.assertFalse(os.path.exists(self.path))
        group = str(os.getgid())
        for name in (group, grp.getgrgid(os.getgid()).gr_name):
            muxd = self.controlled("--control-group", name)
            self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o660)
            self.assertEqual(os.stat(self.path).st_gid, os.getgid())
            self.assertEqual(muxd.end(), 0)

    def test_misuse(self):
        nobody = os.path.join(self.folder(), "nobody")
        for arguments, code, words in (
                (("status",), 1, "is muxd running, with --control unix:" + nobody),
                (("stats",), 2, "expected a socket and what to ask"),
                (("status", "links"), 2, "expected a socket and what to ask"),
                (("status", "--jsom"), 2, "did you mean --json")):
            failed = self.ctl(*arguments, path=nobody)
            self.assertEqual((failed.returncode, failed.stdout), (code, ""), failed.stderr)
            self.assertIn(words, failed.stderr)
        for options, words in (
                (("--control", "127.0.0.1:0"), "a unix socket"),
                (("--control", "unix:a", "--control", "unix:b"), "once"),
                (("--control-group", "root"), "give --control"),
                (("--control", "unix:a", "--control-group", "no such group"), "name or number")):
            failed = subprocess.run([MUXD, "--listen", ":0", *options], stderr=subprocess.PIPE,
                                    text=True, timeout=PATIENCE)
            self.assertEqual(failed.returncode, 2)
            self.assertIn(words, failed.stderr)
        taken = self.controlled()
        failed = subprocess.run([MUXD, "--listen", "127.0.0.1:0", "--control", "unix:" + self.path],
                                stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("--control unix:%s: bind: Address already in use" % self.path, failed.stderr)
        self.assertEqual(taken.end(), 0)

    def test_requests_in_a_row(self):
        """Several requests at once, then the end: each is answered, in order, then muxd closes."""
        self.controlled()
        asker = self.asker()
        asker.sock.sendall(b"status\r\nlinks\ncounters\nlinks\n")
        asker.sock.shutdown(socket.SHUT_WR)
        self.assertIn("uptime_s", asker.answer())
        self.assertIn("links", asker.answer())
        self.assertIn("muxd_links_open", asker.answer())
        links = asker.answer()
        self.assertEqual((links["links"], links["draining"]), ([], []))
        self.assertEqual(asker.file.read(), b"")

    def test_wrong_requests(self):
        self.controlled()
        for request, words in ((b"stat\n", "expected a line with"), (b"\n", "expected a line with"),
                               (b"\0status\n", "expected a line with"), (b"x" * 1024, "too long"),
                               (b"x" * 2000 + b"\n", "too long")):
            asker = self.asker()
            asker.sock.sendall(request)
            self.assertIn(words, asker.answer()["error"])
            try:
                self.assertEqual(asker.file.read(), b"")
            except ConnectionResetError:
                pass  # a reset, since not everything was read
        # those before it are answered, and then it
        for rest, words in ((b"stat", "ends with a newline"), (b"x" * 1024, "too long"),
                            (b"x" * 5000 + b"\nlinks\n", "too long")):
            asker = self.asker()
            asker.sock.sendall(b"links\n")
            asker.sock.sendall(rest)
            asker.sock.shutdown(socket.SHUT_WR)
            self.assertIn("links", asker.answer())
            self.assertIn(words, asker.answer()["error"])
        self.assertIn("uptime_s", self.asker().ask("status"))

    def test_no_place(self):
        """Each of a crowd that comes at once is answered, or told why not."""
        muxd = self.controlled()
        muxd.signal(signal.SIGSTOP)
        crowd = []
        for _ in range(2 * CLIENTS_MAX):
            crowd.append(self.asker())
        muxd.signal(signal.SIGCONT)
        for asker in crowd[CLIENTS_MAX:]:
            self.assertIn("too many clients", asker.answer()["error"])
            self.assertEqual(asker.file.read(), b"")
        for asker in crowd[:CLIENTS_MAX]:
            self.assertIn("uptime_s", asker.ask("status"))

    def test_an_order_when_muxd_ends(self):
        """The answer to an order will not come: that is said."""
        muxd = self.controlled()
        with muxd.connect() as worker:
            worker.sendall(packet(test_id="t", test_status="inprogress"))
            asker = self.asker()
            self.wait_answer(asker, "links", lambda answer: answer["links"])
            asker.sock.sendall(b"stop 0\n")
            self.assertIn(b"muxd.control", worker.recv(4096))
            muxd.signal()
            self.assertIn("before there was an answer", asker.answer()["error"])
        self.assertEqual(muxd.wait(), 0, muxd.log)

    def many_links(self, muxd, count):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 500), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for i in range(count):
            worker = muxd.connect()
            self.addCleanup(worker.close)
            worker.sendall(packet(test_id="pkg.T.test_%d" % i, test_status="inprogress"))

    def test_many_links_and_a_slow_reader(self):
        """An answer far larger than muxd's buffer for it arrives whole, however slowly it is read."""
        muxd = self.controlled()
        self.many_links(muxd, LINKS)
        asker = self.asker()
        self.wait_answer(asker, "status", lambda answer: answer["links"]["tests"] == LINKS)
        before = muxd.resident_bytes()
        slow = self.asker()
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sock.sendall(b"links\n")
        line = bytearray()
        while not line.endswith(b"\n"):
            line += slow.sock.recv(5000)
            if len(line) % 7 == 0:
                self.assertEqual(asker.ask("status")["links"]["open"], LINKS)
        links = json.loads(line)["links"]
        self.assertEqual({link["oldest_test"] for link in links},
                         {"pkg.T.test_%d" % i for i in range(LINKS)})
        self.assertEqual(len({link["segment"] for link in links}), LINKS)
        self.assertLess(muxd.resident_bytes() - before, 4 << 20)
        shown = self.ctl("links")
        self.assertEqual(len(shown.stdout.splitlines()), LINKS + 1)

    def misbehave(self, kind):
        """A hostile client of this kind."""
        sock = connect("unix:" + self.path)
        self.addCleanup(sock.close)
        if kind in (0, 4):
            self.idle.append(sock)
        if kind < 2:
            try:  # half a request and no more; or many requests without reading
                sock.sendall((b"stat", b"links\n" * 10)[kind])
            except BrokenPipeError:
                pass  # the client was refused
        elif kind == 2:
            threading.Thread(target=self.pour, args=(sock, b"\xb3garbage" * 1000),
                             daemon=True).start()
        elif kind == 3:
            threading.Thread(target=self.pour, args=(sock, b"links\n"), daemon=True).start()
        # 4: sends nothing

    def pour(self, sock, data):
        try:
            while True:
                sock.sendall(data)
        except OSError:
            pass

    def test_hostile_clients(self):
        """64 of each hostile kind: each packet goes through, memory is bounded, places become free again."""
        muxd = self.controlled()
        self.many_links(muxd, 200)
        asker = self.asker()
        self.wait_answer(asker, "links", lambda answer: len(answer["links"]) == 200)
        before = muxd.resident_bytes()
        asker.close()
        self.idle = []
        for i in range(5 * CLIENTS_MAX):
            self.misbehave(i % 5)
        count, size = 300, 60000
        with muxd.connect() as worker:
            for i in range(count):
                worker.sendall(packet(test_id="t%d" % i, test_status="exists", file_name="f",
                                      file_bytes=bytes([i % 256]) * size))
                if i % 10 == 0:
                    connect("unix:" + self.path).close()  # comes and goes
        # idle clients yield their places to one that asks, and are told why
        deadline = time.monotonic() + PATIENCE
        while "error" in (answer := self.try_status()):
            self.assertIn("too many clients", answer["error"])
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)
        self.assertEqual(answer["links"]["max"], 16384)
        self.assertTrue(any(b"others wait for the place" in self.received(sock) for sock in self.idle))
        self.assertLess(muxd.resident_bytes() - before, 32 << 20)
        muxd.signal()
        self.assertEqual(muxd.wait(), 0, muxd.log)
        self.assertTrue(any("one more is refused" in line for line in muxd.log), muxd.log)
        events = [event for event in oracle.decode(muxd.stream())
                  if event["test_status"] == "exists"]
        self.assertEqual([event["test_id"] for event in events], ["t%d" % i for i in range(count)])
        for i, event in enumerate(events):
            self.assertEqual(base64.b64decode(event["file_b64"]), bytes([i % 256]) * size)

    def received(self, sock):
        sock.setblocking(False)
        try:
            return sock.recv(4096)
        except OSError:
            return b""

    def try_status(self):
        asker = Asker(self.path)
        try:
            return asker.ask("status")
        except (BrokenPipeError, ConnectionResetError):
            return {"error": "too many clients"}  # refused before the request was sent
        finally:
            asker.close()

    def test_it_answers_while_muxd_ends(self):
        """While muxd ends, the socket says what it waits for."""
        upstream = self.upstream(receive_bytes=4096)
        muxd = self.controlled("--upstream", upstream.endpoint, *NEVER)
        upstream.accept()
        stop = self.flood(muxd)
        asker = self.asker()
        self.wait_answer(asker, "status", lambda answer: answer["upstream"]["sending_s"] > 1)
        muxd.signal()
        status = self.wait_answer(asker, "status", lambda answer:
                                  answer["phase"] != "running" and answer["held_up_by"])
        self.assertGreater(status["upstream"]["pending_bytes"], 0)
        self.assertEqual(status["held_up_by"][0]["who"], "upstream")
        threading.Thread(target=lambda: upstream.read_until(lambda s: False), daemon=True).start()
        stop()
        self.assertEqual(asker.file.read(), b"")
        self.assertEqual(muxd.wait(), 0, muxd.log)


if __name__ == "__main__":
    unittest.main()
