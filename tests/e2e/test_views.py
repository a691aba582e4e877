"""Views of the control socket: output of routes, live and recent; input of who is attached; and that no viewer
can harm the stream."""
import json
import os
import socket
import threading
import time

from harness import *

CLIENTS_MAX = 64  # CONTROL_CLIENTS_MAX
ROUTE_KEPT_BYTES = 65536  # RECENT_ROUTE_BLOCKS of RECENT_BLOCK_BYTES


class Viewer:
    """A client of the socket with a view."""

    def __init__(self, path, request, receive_bytes=None):
        self.sock = socket.socket(socket.AF_UNIX)
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.connect(path)
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(os.fsencode(request) + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            byte = self.sock.recv(1)
            assert byte, line
            line += byte
        self.answer = json.loads(line)
        self.bytes = self.rest = b""
        self.decoded = []

    def read(self):
        """One more piece; False: muxd has closed the connection."""
        try:
            piece = self.sock.recv(1 << 16)
        except ConnectionResetError:
            return False
        self.bytes += piece
        self.rest += piece
        return bool(piece)

    def packets(self):
        """The packets that came whole."""
        whole = 0
        while whole + 6 <= len(self.rest):
            width = (self.rest[whole + 3] >> 6) + 1
            head = bytes([self.rest[whole + 3] & 63]) + self.rest[whole + 4:whole + 3 + width]
            length = int.from_bytes(head, "big")
            if whole + length > len(self.rest):
                break
            whole += length
        self.decoded += oracle.decode(self.rest[:whole])
        self.rest = self.rest[whole:]
        return self.decoded

    def text(self, route=None, file="stdout"):
        return "".join(text(event) for event in self.packets() if event["file_name"] == file
                       and (route is None or event["route_code"] == route))

    def until(self, condition):
        while not condition(self):
            assert self.read(), (self.answer, self.packets()[-3:])

    def send(self, content, **fields):
        self.sock.sendall(packet(**{"file_name": "stdin", "file_bytes": content, **fields}))

    def close(self):
        self.sock.close()


class Views(Case):
    def controlled(self, *options, name="ctl", **keywords):
        self.path = os.path.join(self.folder(), name)
        return self.muxd("--control", "unix:" + self.path, *options, **keywords)

    def viewer(self, request, path=None, **keywords):
        viewer = Viewer(path or self.path, request, **keywords)
        self.addCleanup(viewer.close)
        return viewer

    def worker(self, muxd, number):
        """A worker whose segment is this number: it has said so."""
        worker = self.socket(muxd.addresses[0])
        worker.sendall(b"worker %d\n" % number)
        self.until(lambda: any(event["route_code"] == str(number)
                               for event in oracle.decode(muxd.stream())), "worker %d" % number)
        return worker

    def counters(self, path=None):
        answer = self.ask("counters", path)
        return {name[5:]: entry["value"] for name, entry in answer.items()}

    def ask(self, request, path=None):
        with connect("unix:" + (path or self.path)) as asker, asker.makefile("rw") as file:
            file.write(request + "\n")
            file.flush()
            return json.loads(file.readline())

    def test_tail(self):
        """Output of the routes that match, live; no packets of tests."""
        muxd = self.controlled()
        workers = [self.worker(muxd, i) for i in range(3)]
        everything, one, none = (self.viewer("tail 0 " + pattern) for pattern in ("", "1", "7"))
        self.assertEqual(everything.answer, {"view": "tail", "writes": False, "writer": None})
        for i, worker in enumerate(workers):
            worker.sendall(packet(test_id="t", test_status="inprogress") + b"line of %d\n" % i +
                           packet(file_name="stderr", file_bytes=b"error of %d\n" % i,
                                  route_code="deep") +
                           packet(test_id="t", file_name="log", file_bytes=b"attached"))
        everything.until(lambda v: v.text("2/deep", "stderr"))
        everything.until(lambda v: all(v.text("%d/deep" % i, "stderr") for i in range(3)))
        for i in range(3):
            self.assertEqual(everything.text(str(i)), "line of %d\n" % i)
            self.assertEqual(everything.text("%d/deep" % i, "stderr"), "error of %d\n" % i)
        self.assertFalse([event for event in everything.packets() if event["test_id"]])
        one.until(lambda v: v.text("1/deep", "stderr"))
        self.assertEqual({event["route_code"] for event in one.packets()}, {"1", "1/deep"})
        workers[2].sendall(b"the end\n")
        everything.until(lambda v: "the end" in v.text("2"))
        self.assertEqual(none.bytes, b"")

    def test_recent(self):
        """What was before: of each route its end, however much others have printed since."""
        muxd = self.controlled()
        quiet, loud = self.worker(muxd, 0), self.worker(muxd, 1)
        quiet.sendall(b"(Pdb) ")
        self.until(lambda: b"(Pdb) " in muxd.stream(), "the prompt")
        last = b"the last line\n"
        loud.sendall((b"x" * 99 + b"\n") * 3000 + last)
        self.until(lambda: last in muxd.stream(), "the output")
        self.assertEqual(self.viewer("tail 0 ").bytes, b"")
        both = self.viewer("tail 1000 ")
        both.until(lambda v: last.decode() in v.text("1"))
        self.assertEqual(both.text("0"), "worker 0\n(Pdb) ")
        self.assertGreaterEqual(len(both.text("1")), 1000)
        self.assertLess(len(both.text("1")), 1000 + 16384)
        most = self.viewer("tail 999999999 1")
        most.until(lambda v: last.decode() in v.text("1"))
        self.assertGreater(len(most.text("1")), ROUTE_KEPT_BYTES // 2)
        self.assertLessEqual(len(most.text("1")), ROUTE_KEPT_BYTES)
        attached = self.viewer("attach 6 0")
        attached.until(lambda v: v.text())
        self.assertEqual(attached.text(), "(Pdb) ")
        attached.until(lambda v: v.text("0", "muxd.live"))  # the past ends here

    def test_memory_of_recent_output(self):
        """Output of thousands of routes, many times what is kept: bounded, and the newest is there."""
        muxd = self.controlled()
        worker = self.worker(muxd, 0)
        for i in range(5000):
            if i == 2500:  # all blocks are in use
                self.until(lambda: b"2499 " in muxd.stream(), "the output")
                before = muxd.resident_bytes()
            worker.sendall(packet(file_name="stdout", file_bytes=b"%d " % i + b"y" * 5000,
                                  route_code="route%d" % i))
        self.until(lambda: b"4999 " in muxd.stream(), "the output")
        self.assertLess(muxd.resident_bytes() - before, 8 << 20)
        newest = self.viewer("tail 100000 0/route4999")
        newest.until(lambda v: len(v.text()) >= 5005)
        self.assertEqual(newest.text(), "4999 " + "y" * 5000)
        all_of_it = self.viewer("tail 100 0/route*")
        all_of_it.until(lambda v: "4999 " in v.text() or v.text("0/route4999"))
        self.assertLess(len(all_of_it.bytes), 262144)

    def test_attach(self):
        """What is sent goes to the route; the second one that attaches only looks, then writes."""
        muxd = self.controlled("--upstream", "-", stdin=subprocess.PIPE)
        worker = self.worker(muxd, 0)
        first, second = self.viewer("attach 0 0"), self.viewer("attach 0 0")
        self.assertEqual(first.answer, {"view": "attach", "writes": True, "writer": None})
        self.assertEqual(second.answer, {"view": "attach", "writes": False, "writer":
                                         {"pid": os.getpid(), "uid": os.getuid()}})
        muxd.wait_log(r"pid %d \(uid %d\) attached to 0 and writes to it" % (os.getpid(), os.getuid()))
        first.send(b"p x\n")
        expected = packet(file_name="stdin", file_bytes=b"p x\n")
        self.assertEqual(self.receive(worker, len(expected)), expected)
        second.send(b"q\n")
        second.until(lambda v: "somebody else writes" in v.text(file="muxd"))
        worker.sendall(b"42\n")
        for viewer in (first, second):
            viewer.until(lambda v: v.text() == "42\n")
        first.close()
        muxd.wait_log(r"detached from 0, to which it wrote 4 bytes")
        second.until(lambda v: "the writer has gone" in v.text("0", "muxd.writer"))
        second.send(b"q\n")
        expected = packet(file_name="stdin", file_bytes=b"q\n")
        self.assertEqual(self.receive(worker, len(expected)), expected)
        counters = self.counters()
        self.assertEqual((counters["view_input_bytes_total"], counters["view_refused_bytes_total"]),
                         (6, 2))
        worker.close()
        self.until(lambda: self.counters()["links_ended_total"] == 1, "the worker's end")
        second.send(b"still there?\n")
        second.until(lambda v: "what you type is dropped" in v.text(file="muxd"))
        self.assertEqual(muxd.end(), 0)

    def receive(self, sock, count):
        got = b""
        while len(got) < count:
            piece = sock.recv(count - len(got))
            self.assertTrue(piece)
            got += piece
        return got

    def test_through_nodes(self):
        """Attached two nodes above: input comes down, output up; a route that ends in nothing is told. Also in
        bundles."""
        for options in ((), ("--window", "1M")):
            with self.subTest(options=options):
                self.through_nodes(*options)

    def through_nodes(self, *options):
        top = self.controlled(*options)
        path = self.path
        leaf = self.muxd("--upstream", "mux:" + top.addresses[0], *options)
        worker = self.socket(leaf.addresses[0])
        worker.sendall(b"hello\n")
        self.until(lambda: b"hello" in top.stream(), "the worker")
        viewer = self.viewer("attach 1000 0/0", path)
        viewer.until(lambda v: v.text("0/0") == "hello\n")
        viewer.send(b"to the worker\n")
        expected = packet(file_name="stdin", file_bytes=b"to the worker\n")
        self.assertEqual(self.receive(worker, len(expected)), expected)
        lost = self.viewer("attach 0 0/7", path)
        self.assertTrue(lost.answer["writes"])
        lost.send(b"anybody?\n")
        lost.until(lambda v: 'no link has the segment "7"' in v.text("0", "muxd"))

    def test_in_the_middle(self):
        """A node between sees into the bundles that it passes on; so it hears answers to its orders, too."""
        window = ("--window", "1M")
        top = self.muxd(*window)
        middle = self.controlled("--upstream", "mux:" + top.addresses[0], *window)
        leaf = self.muxd("--upstream", "mux:" + middle.addresses[0], *window)
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="t", test_status="inprogress") + b"hello\n")
        self.until(lambda: b"hello" in top.stream(), "the worker")
        self.assertIn(b"0/0/0", top.stream())
        viewer = self.viewer("tail 1000 *")
        viewer.until(lambda v: v.text("0/0") == "hello\n")
        worker.sendall(packet(test_id="t", file_name="stdout", file_bytes=b"printed\n"))
        viewer.until(lambda v: v.text("0/0") == "hello\nprinted\n")

    def test_refused(self):
        self.controlled()
        for request, words in (("attach 0 9", "no link has its first segment"),
                               ("attach 0 0/\udcff", "a route is UTF-8"),
                               ("attach 0 ", "attach to which route"),
                               ("attach 0", "expected a line with"),
                               ("tail", "expected a line with"),
                               ("tail x y", "expected a line with"),
                               ("tail -1 y", "expected a line with"),
                               ("tail 9999999999 y", "expected a line with"),
                               ("tail 0 " + "y" * 1001, "too long for a view"),
                               ("tail 0 " + "y" * 1030, "too long")):
            viewer = self.viewer(request)
            self.assertIn(words, viewer.answer["error"], request)
            self.assertFalse(viewer.read())

    def test_wrong_input(self):
        """What an attached client sends is not understood: it is told, its connection ends, nothing goes down."""
        muxd = self.controlled()
        worker = self.worker(muxd, 0)
        for wrong, words in ((b"q\n" * 3000, "expected subunit packets"),
                             (packet(file_name="stdin", file_bytes=b"x" * 10000), "too long"),
                             (b"\xb3\x2f" + b"\xff" * 100, "expected subunit packets")):
            viewer = self.viewer("attach 0 0")
            viewer.sock.sendall(wrong)
            while viewer.read():
                pass
            self.assertIn(words, viewer.text(file="muxd"))
        viewer = self.viewer("attach 0 0")
        viewer.send(b"{}", file_name="muxd.job")
        viewer.until(lambda v: "expected packets with file stdin or muxd.window" in v.text(file="muxd"))
        viewer.send(b"fine\n")
        expected = packet(file_name="stdin", file_bytes=b"fine\n")
        self.assertEqual(self.receive(worker, len(expected)), expected)
        tail = self.viewer("tail 0 ")
        tail.sock.sendall(b"x")
        while tail.read():
            pass
        self.assertIn("a tail takes no input", tail.text(file="muxd"))

    def test_a_worker_that_does_not_read(self):
        """Its keyboard waits; nobody else does, and muxd does not spin."""
        muxd = self.controlled()
        stuck, other = self.worker(muxd, 0), self.worker(muxd, 1)
        viewer, good = self.viewer("attach 0 0"), self.viewer("attach 0 1")
        viewer.sock.settimeout(0.5)
        sent = 0
        try:
            while sent < 64 << 20:
                viewer.send(b"z" * 1000)
                sent += 1000
            self.fail("nothing held the keyboard up")
        except TimeoutError:
            pass
        before = self.cpu_s(muxd)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            good.send(b"fine\n")
            expected = packet(file_name="stdin", file_bytes=b"fine\n")
            self.assertEqual(self.receive(other, len(expected)), expected)
            time.sleep(0.05)
        self.assertLess(self.cpu_s(muxd) - before, 0.5)
        threading.Thread(target=self.drain, args=(stuck,), daemon=True).start()
        self.until(lambda: self.counters()["view_input_bytes_total"] >= sent, "the input")

    def cpu_s(self, muxd):
        with open("/proc/%d/stat" % muxd.process.pid) as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def drain(self, sock):
        try:
            while sock.recv(1 << 16):
                pass
        except OSError:
            pass

    def test_slow_viewers(self):
        """One that does not read loses output and is told how much; the stream does not wait."""
        muxd = self.controlled()
        worker = self.worker(muxd, 0)
        slow = self.viewer("tail 0 ", receive_bytes=4096)
        line = b"x" * 999 + b"\n"
        worker.sendall(line * 2000)
        worker.sendall(b"the end\n")
        self.until(lambda: b"the end\n" in muxd.stream()[-4096:], "the stream")
        missed = self.counters()["view_missed_bytes_total"]
        self.assertGreater(missed, 0)
        # muxd may say so several times: each time that the socket took some more
        whole = 2000 * len(line) + len(b"the end\n")
        slow.until(lambda v: len(v.text("0")) + self.left_out_bytes(v) >= whole)
        self.assertEqual(len(slow.text("0")) + self.left_out_bytes(slow), whole)
        worker.sendall(b"again\n")
        slow.until(lambda v: v.text("0").endswith("again\n"))

    def left_out_bytes(self, viewer):
        return sum(int(message.split()[0]) for message in viewer.text(file="muxd").splitlines())

    def test_hostile_and_many_viewers(self):
        """64 that never read, 64 that send nonsense, 64 that come and go: each packet goes through."""
        muxd = self.controlled()
        worker = self.worker(muxd, 0)
        before = muxd.resident_bytes()
        for kind in range(3):
            threads = []
            for i in range(CLIENTS_MAX):
                threads.append(threading.Thread(target=self.misbehave, args=(kind, i)))
                threads[-1].start()
            for i in range(300):
                worker.sendall(packet(test_id="t%d.%d" % (kind, i), test_status="success") +
                               b"%d.%d\n" % (kind, i) * 100)
            for thread in threads:
                thread.join()
        self.until(lambda: b"2.299\n" in muxd.stream()[-8192:], "the stream")
        events = oracle.decode(muxd.stream())
        self.assertEqual(len([event for event in events if event["test_id"]]), 900)
        self.assertLess(muxd.resident_bytes() - before, CLIENTS_MAX * 262144 + (16 << 20))
        self.until(self.has_place, "a viewer that reads nothing gives up its place")
        self.assertEqual(muxd.end(), 0)

    def has_place(self):
        try:
            return "error" not in self.ask("status")
        except OSError:
            return False  # refused before it has asked

    def misbehave(self, kind, i):
        try:
            sock = connect("unix:" + self.path)
            self.addCleanup(sock.close)
            if kind == 0:
                sock.sendall(b"tail 999999999 \n")  # and never reads
            elif kind == 1:
                sock.sendall(b"attach 0 0\n" + os.urandom(3000) * (i % 4))
            else:
                for _ in range(20):
                    with connect("unix:" + self.path) as brief:
                        brief.sendall((b"tail 65536 *\n", b"attach 65536 0\n")[i % 2])
                        if i % 3:
                            brief.recv(1000)
        except OSError:
            pass


if __name__ == "__main__":
    unittest.main()
