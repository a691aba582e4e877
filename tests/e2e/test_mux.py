"""The command mux: every corpus file, round trips, live pipes, sending, misuse."""
import glob
import lzma
import os
import pty
import socket
import subprocess

from harness import *

CORPORA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "corpora")


def mux(*arguments, data=b"", **keywords):
    return subprocess.run([MUX, *arguments], input=data, capture_output=True, timeout=PATIENCE,
                          **keywords)


def read(path):
    """A corpus file, compressed or not; None when there is none."""
    if os.path.exists(path):
        with open(path, "rb") as file:
            return file.read()
    if os.path.exists(path + ".xz"):
        with lzma.open(path + ".xz") as file:
            return file.read()
    return None


def corpus(kind):
    """(name, stream, path without suffix) of each stream of a kind."""
    for path in sorted(glob.glob(os.path.join(CORPORA, kind, "*.bin*"))):
        base = path[:path.index(".bin")]
        if not base.endswith(".mux7"):
            yield os.path.basename(base), read(base + ".bin"), base


def json_lines(data):
    return [json.loads(line) for line in data.splitlines()]


def comparable(events, python):
    """Chatter and damage in pieces become one, the reason is free, python's limits are applied."""
    merged = []
    for event in events:
        if event["test_id"] == "subunit.parser" and event["file_name"] == "Parser Error":
            event = dict(event, file_b64="")
        if python:
            tags, stamp = event["test_tags"], event["timestamp"]
            event = dict(event, test_tags=tags and sorted(set(tags)),
                         timestamp=stamp and [stamp[0], stamp[1] // 1000])
        data = event["test_id"] == "subunit.parser" and event["file_name"] == "Packet data"
        if data and merged and merged[-1]["file_name"] == "Packet data" and not merged[-1]["eof"]:
            both = base64.b64decode(merged[-1]["file_b64"]) + base64.b64decode(event["file_b64"])
            merged[-1] = dict(event, file_b64=base64.b64encode(both).decode())
        else:
            merged.append(event)
    return merge_chatter(merged)


class Cat(Case):
    def test_corpora(self):
        seen = 0
        for kind in ("valid", "real", "corrupt"):
            for name, stream, base in corpus(kind):
                wanted = read(base + ".muxd.jsonl")
                python = wanted is None
                wanted = json_lines(read(base + ".jsonl") if python else wanted)
                done = mux("cat", "--json", data=stream)
                self.same(comparable(json_lines(done.stdout), python), comparable(wanted, False),
                          name)
                damaged = b"Parser Error" in done.stdout
                self.assertEqual(done.returncode, 3 if damaged else 0, name)
                seen += 1
        self.assertGreater(seen, 100)

    def test_round_trip(self):
        """encode undoes cat --json, byte for byte where numbers are minimal; route agrees with python."""
        seen = 0
        for name, stream, base in corpus("valid"):
            if name.startswith("raw_"):
                continue
            as_json = mux("cat", "--json", data=stream)
            self.assertEqual(as_json.returncode, 0, name)
            again = mux("encode", data=as_json.stdout)
            self.assertEqual((again.returncode, again.stderr), (0, b""))
            self.assertTrue(again.stdout == stream, name)
            prefixed = read(base + ".mux7.bin")
            if prefixed is not None:
                self.assertTrue(mux("route", "--prefix", "7", data=stream).stdout == prefixed, name)
            seen += 1
        self.assertGreater(seen, 7)

    def test_text(self):
        """For people; what could steer a terminal is cleaned."""
        stream = packet(test_id="a.test", test_status="fail", route_code="3/1", test_tags=["slow"]) + \
            packet(test_id="e\x1b[31mvil", file_name="log", file_bytes=b"\x1b[2Jx\x07\ny\n",
                   mime_type="text/plain") + b"chatter \x1b[0m\n" + packet(test_id="t")[:-1] + b"?"
        done = mux("cat", data=stream)
        self.assertEqual(done.returncode, 3)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(lines[0], "3/1  fail  a.test  [slow]")
        self.assertEqual(lines[1:4], ["-  file  evil  log (9 bytes, text/plain)", "      x?", "      y"])
        self.assertFalse([c for c in done.stdout if c < 0x20 and c != 10])
        self.assertIn("bad checksum", done.stdout.decode())

    def test_live(self):
        """A prompt without a newline is shown after the silence, while the pipe stays open."""
        process = subprocess.Popen([MUX, "cat", "--json"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.kill)
        for data, wanted in ((b"(Pdb) ", "(Pdb) "), (packet(test_id="t"), None), (b"a\n", "a\n")):
            process.stdin.write(data)
            process.stdin.flush()
            event = json.loads(process.stdout.readline())
            if wanted:
                self.assertEqual(text(event), wanted)
            else:
                self.assertEqual(event["test_id"], "t")
        process.stdin.close()
        self.assertEqual(process.wait(PATIENCE), 0)
        process.stdout.close()

    def test_files(self):
        folder = self.folder()
        for name in "ab":
            with open(os.path.join(folder, name), "wb") as file:
                file.write(packet(test_id=name))
        done = mux("cat", "--json", *(os.path.join(folder, n) for n in "ab"))
        self.assertEqual([e["test_id"] for e in json_lines(done.stdout)], ["a", "b"])
        done = mux("cat", os.path.join(folder, "none"))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No such file", done.stderr)

    def test_closed_stdout(self):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([MUX, "cat"], input=packet(test_id="t"), stdout=writing,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
        os.close(writing)
        self.assertEqual((done.returncode, done.stderr), (1, b""))


class Route(Case):
    def test_everything_is_packets(self):
        done = mux("route", "--prefix", "p", data=b"chatter\n" + packet(test_id="t", route_code="r") +
                   packet(test_id="x")[:-1] + b"!" + b"\xb3\x29\x01")
        self.assertEqual(done.returncode, 0)
        events = python_events(done.stdout)
        self.assertEqual([(e["test_id"], e["route_code"]) for e in events],
                         [(None, "p"), ("t", "p/r")] + [("subunit.parser", "p")] * 4)

    def test_strip(self):
        stream = b"".join(packet(test_id="t", route_code=r) for r in ("a/b/c", "a", None))
        done = mux("route", "--strip", data=stream)
        self.assertEqual([e["route_code"] for e in python_events(done.stdout)], ["b/c", None, None])
        self.assertTrue(done.stdout.endswith(packet(test_id="t")))

    def test_largest(self):
        content = os.urandom(4194303 - 22)
        largest = packet(test_id="t", file_name="f", file_bytes=content[:-20], eof=True)
        done = mux("route", "--prefix", "x" * 200, data=largest)
        events = python_events(done.stdout)
        self.assertEqual(b"".join(base64.b64decode(e["file_b64"]) for e in events), content[:-20])
        self.assertEqual([e["eof"] for e in events], [False, True])
        no_content = packet(test_id="i" * (4194303 - 20))
        events = python_events(mux("route", "--prefix", "x" * 200, data=no_content).stdout)
        self.assertEqual({e["test_id"] for e in events}, {"subunit.parser"})
        self.assertEqual(b"".join(base64.b64decode(e["file_b64"]) for e in events
                                  if e["file_name"] == "Packet data"), no_content)


class Send(Case):
    def serve(self, address, family):
        server = socket.socket(family)
        self.addCleanup(server.close)
        server.bind(address)
        server.listen()
        server.settimeout(PATIENCE)
        return server

    def check(self, server, endpoint):
        data = os.urandom(3 << 20)
        process = subprocess.Popen([MUX, "send", endpoint], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.kill)
        sock, _ = server.accept()
        sock.settimeout(PATIENCE)
        threading.Thread(target=lambda: (process.stdin.write(data), process.stdin.close()),
                         daemon=True).start()
        down = []
        reader = threading.Thread(target=lambda: down.append(process.stdout.read()), daemon=True)
        reader.start()
        sock.sendall(b"down" * 50000)  # before anything is read: both directions at once
        got = bytearray()
        while chunk := sock.recv(1 << 20):
            got += chunk
        self.assertTrue(bytes(got) == data)
        sock.sendall(b"after the end")
        sock.close()
        reader.join(PATIENCE)
        self.assertTrue(down == [b"down" * 50000 + b"after the end"])
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_everywhere(self):
        server = self.serve(("127.0.0.1", 0), socket.AF_INET)
        self.check(server, "127.0.0.1:%d" % server.getsockname()[1])
        path = os.path.join(self.folder(), "s")
        self.check(self.serve(path, socket.AF_UNIX), "unix:" + path)
        if os.path.exists("/proc/net/if_inet6"):
            server = self.serve(("::1", 0), socket.AF_INET6)
            self.check(server, "[::1]:%d" % server.getsockname()[1])

    def test_failures(self):
        server = self.serve(("127.0.0.1", 0), socket.AF_INET)
        endpoint = "127.0.0.1:%d" % server.getsockname()[1]
        process = subprocess.Popen([MUX, "send", endpoint], stdin=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        sock, _ = server.accept()
        sock.close()  # a peer that ends first is a loss
        self.assertEqual(process.wait(PATIENCE), 1)
        self.assertIn(endpoint.encode(), process.stderr.read())
        process.stdin.close()
        process.stderr.close()
        server.close()
        done = mux("send", endpoint, data=b"x")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"connect: Connection refused", done.stderr)
        self.assertEqual(mux("send", "no-such-host.invalid", data=b"x").returncode, 1)

    def test_terminal(self):
        """What comes back never reaches a terminal: it is counted."""
        server = self.serve(("127.0.0.1", 0), socket.AF_INET)
        master, slave = pty.openpty()
        process = subprocess.Popen([MUX, "send", "127.0.0.1:%d" % server.getsockname()[1]],
                                   stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE)
        sock, _ = server.accept()
        sock.sendall(packet(test_id="t"))
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(process.wait(PATIENCE), 0)
        sock.close()
        self.assertIn(b"%d bytes came back" % len(packet(test_id="t")), process.stderr.read())
        process.stderr.close()
        os.close(slave)
        os.close(master)


class Misuse(Case):
    def test_usage(self):
        for arguments, expected in [((), b"SUBCOMMAND"), (("nonsense",), b"no subcommand 'nonsense'"),
                                    (("cat", "--nonsense"), b"nonsense"), (("route",), b"--prefix"),
                                    (("route", "--prefix", "a/b"), b"a/b"),
                                    (("route", "--prefix", ""), b"segment"),
                                    (("route", "--strip", "--prefix", "a"), b"once"),
                                    (("send",), b"where to")]:
            done = mux(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(expected, done.stderr)
            self.assertEqual(done.stdout, b"")
        for arguments in (("--help",), ("--version",), ("cat", "--help"), ("route", "--help"),
                          ("send", "--help"), ("encode", "--help")):
            done = mux(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, b""), arguments)
            self.assertIn(b"mux", done.stdout)

    def test_encode_says_which_line(self):
        good = b'{"test_id": "t"}\n\n'
        for line, expected in [(b"{", b"line 3"), (b"[]", b"object"), (b'{"test_id": 5}', b"test_id"),
                               (b'{"test_status": "bad"}', b"exists, inprogress"),
                               (b'{"file_name": "f"}', b"together"),
                               (b'{"file_name": "f", "file_b64": "a-b="}', b"base64"),
                               (b'{"file_name": "f", "file_b64": "abc"}', b"base64"),
                               (b'{"timestamp": [1]}', b"seconds"),
                               (b'{"timestamp": [-1, 0]}', b"seconds"),
                               (b'{"test_tags": [1]}', b"strings"),
                               (b'{"test_id": "a\\u0000"}', b"NUL"),
                               (b'{"test_id": "\xff"}', b"line 3")]:
            done = mux("encode", data=good + line)
            self.assertEqual(done.returncode, 1, line)
            self.assertIn(expected, done.stderr, line)
            self.assertIn(b"line 3", done.stderr, line)
            self.assertEqual(done.stdout, packet(test_id="t", runnable=False))


if __name__ == "__main__":
    unittest.main()
