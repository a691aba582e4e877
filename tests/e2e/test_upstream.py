"""The upstream: absent, lost, back, slow; pipes and files."""
import contextlib
import ctypes
import fcntl
import itertools
import os
import select
import socket
import struct
import termios

from harness import *

SYS_PIDFD_GETFD = 438
TCP_NOTSENT_LOWAT = 25  # python 3.11 has no name for it


class UpstreamTests(Case):
    def test_absent_at_start(self):
        upstream = self.upstream()
        upstream.stop_listening()
        muxd = self.muxd("--upstream", upstream.endpoint)
        worker = self.socket(muxd.addresses[0])
        for i in range(100):
            worker.sendall(packet(test_id="t%d" % i))
        muxd.wait_log("not reached: connect: Connection refused")
        upstream.listen_again()
        upstream.accept()
        self.assertEqual([e["test_id"] for e in upstream.read_events(100)],
                         ["t%d" % i for i in range(100)])

    def test_absent_for_long(self):
        """The same reason is not logged again with each attempt."""
        path = self.folder() + "/stats"
        muxd = self.muxd("--upstream", "tcp:127.0.0.1:%d" % free_port(), "--stats-json", path)
        muxd.wait_log("not reached: connect: Connection refused$")
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_upstream_losses_total"] > 3,
                   "four attempts")
        self.assertEqual(muxd.end(), 0)
        self.assertEqual(sum("not reached" in line for line in muxd.log), 1, muxd.log)

    def test_a_dead_address_in_front(self):
        """Packets to the first address vanish: muxd logs what it tries, and takes the second."""
        hole = self.black_hole()
        upstream = self.upstream(port=hole.port)
        muxd = self.muxd("--upstream", hole.place, wrapper=self.two_addresses())
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        upstream.accept()
        muxd.wait_log(r"upstream %s: trying \[::1\]:%d, 127.0.0.1:%d$"
                      % (hole.place, hole.port, hole.port))
        muxd.wait_log("connected to 127.0.0.1:%d$" % hole.port)
        self.assertEqual([e["test_id"] for e in upstream.read_events(1)], ["t"])

    def test_one_address_refuses(self):
        """muxd takes the other at once, and logs which one refused."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", "%s:%d" % (TWO_ADDRESSES, upstream.port),
                         wrapper=self.two_addresses())
        upstream.accept()
        muxd.wait_log(r"not reached: connect: .* \(\[::1\]:%d\)$" % upstream.port)

    def test_no_address_answers(self):
        """Each is logged with its reason; TERM is not held up."""
        hole = self.black_hole()
        muxd = self.muxd("--upstream", hole.place, "--node-grace", "1",
                         wrapper=self.two_addresses())
        refused = r"not reached: connect: Connection refused \(127.0.0.1:%d\)" % hole.port
        silent = r"not reached: connect: Connection timed out \(\[::1\]:%d\)" % hole.port
        muxd.wait_log(refused)
        muxd.wait_log(silent)
        self.assertEqual(muxd.end(), 0)

    def kill_under_load(self, end, taken_of):
        """Ends the upstream while a worker sends. end(upstream) returns everything read until then. The
        next connection starts with a whole packet, and only bytes in doubt may be missing."""
        path = self.folder() + "/stats"
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        muxd = self.muxd("--upstream", upstream.endpoint, "--stats-json", path)
        upstream.accept()
        worker = self.socket(muxd.addresses[0])
        fields = [dict(test_id="t%d" % i, file_name="f", file_bytes=bytes(i % 3000))
                  for i in range(10000)]
        routed = [packet(route_code="0", **each) for each in fields]
        stream = b"".join(packet(**each) for each in fields)
        sender = threading.Thread(target=worker.sendall, args=(stream,), daemon=True)
        sender.start()
        before = end(upstream)
        upstream.accept()
        after = upstream.read_until(lambda s: s.endswith(routed[-1]))
        sender.join(PATIENCE)
        worker.close()
        muxd.signal()
        after = upstream.read_until(lambda s: False, after)
        upstream.sock.close()
        status = muxd.wait()
        stats = self.stats(path)
        self.assertEqual(status, 75 if stats["muxd_in_doubt_bytes_total"] else 0)
        expected = b"".join(routed)
        self.assertTrue(expected.startswith(before))
        self.assertTrue(expected.endswith(after), "goes on with the next bytes, to the end")
        goes_on = len(expected) - len(after)
        self.assertIn(goes_on, itertools.accumulate(map(len, routed)), "at a whole packet")
        self.assertEqual(stats["muxd_upstream_connects_total"], 2)
        self.assertEqual(stats["muxd_unsent_bytes_total"], 0)
        self.assertEqual(stats["muxd_received_packets_total"], len(routed))
        # the bytes that the lost connection's kernels took
        taken = taken_of(before, stats["muxd_in_doubt_bytes_total"])
        self.assertLessEqual(goes_on, taken, "lost, and not in doubt")
        self.assertLess(taken - goes_on, max(map(len, routed)), "nothing twice but one packet")
        self.assertEqual(stats["muxd_resent_packets_total"], 1 if goes_on < taken else 0)

    def test_killed_under_load(self):
        """The peer dies with a full receive buffer: only the kernel's queue is in doubt."""
        unread = 0

        def reset(upstream):
            nonlocal unread
            before = upstream.read_until(lambda s: len(s) > 1000000)
            unread = settled(lambda: unread_bytes(upstream.sock))
            self.assertGreater(unread, 0)
            upstream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            upstream.sock.close()
            return before
        self.kill_under_load(reset, lambda before, in_doubt: len(before) + unread + in_doubt)

    def test_fin_is_a_loss(self):
        """The peer ends its stream: muxd closes and connects again; a peer that reads on loses nothing."""
        def fin(upstream):
            before = upstream.read_until(lambda s: len(s) > 1000000)
            upstream.sock.shutdown(socket.SHUT_WR)
            before = upstream.read_until(lambda s: False, before)
            upstream.sock.close()
            return before
        self.kill_under_load(fin, lambda before, in_doubt: len(before))

    def test_slow_upstream_holds_workers(self):
        """The upstream does not read: memory stays bounded, the worker waits, nothing is lost."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint, "--memory", "16M")
        upstream.accept()
        resident = muxd.resident_bytes()
        block = packet(test_id="x", file_name="f", file_bytes=bytes(10000))
        worker = self.socket(muxd.addresses[0])
        worker.setblocking(False)
        sent, still = 0, time.monotonic()
        stream = block * 100
        while time.monotonic() - still < 0.5 and sent < 200 << 20:
            try:
                sent += worker.send(stream[sent % len(block):])
                still = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        self.assertLess(sent, 100 << 20, "the worker was never held")
        self.assertLess(muxd.resident_bytes() - resident, 24 << 20)
        worker.setblocking(True)
        rest = (len(block) - sent % len(block)) % len(block)
        threading.Thread(target=lambda: worker.sendall(block[len(block) - rest:] if rest else b""),
                         daemon=True).start()
        whole = (sent + rest) // len(block)
        tail = upstream.read_until(lambda s: count_packets(s) >= whole)
        self.assertEqual(count_packets(tail), whole)

    def taken_socket(self, muxd, peer):
        """muxd's socket that is connected to this one, to look at its options."""
        libc = ctypes.CDLL(None, use_errno=True)
        process = os.pidfd_open(muxd.process.pid)
        self.addCleanup(os.close, process)
        folder = "/proc/%d/fd/" % muxd.process.pid
        for name in os.listdir(folder):
            if not os.readlink(folder + name).startswith("socket:"):
                continue
            fd = libc.syscall(SYS_PIDFD_GETFD, process, int(name), 0)
            if fd < 0:
                self.lacks("another process's sockets: " + os.strerror(ctypes.get_errno()))
            sock = socket.socket(fileno=fd)
            self.addCleanup(sock.close)
            with contextlib.suppress(OSError):  # one that listens
                if sock.getpeername() == peer.getsockname():
                    return sock
        return self.fail("muxd has no such connection")

    def test_slow_upstream_has_a_short_queue(self):
        """While the upstream is slow the kernel keeps little for it: a packet that comes waits for that."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint)
        upstream.accept()
        theirs = self.taken_socket(muxd, upstream.sock)

        def unsent_most():
            return theirs.getsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT)
        self.assertEqual(unsent_most(), 0)  # the kernel's own measure
        worker = self.socket(muxd.addresses[0])
        block = packet(test_id="x", file_name="f", file_bytes=bytes(60000))
        worker.setblocking(False)
        sent = read = 0

        def slow():
            nonlocal sent, read
            with contextlib.suppress(BlockingIOError):
                sent += worker.send(block[sent % len(block):])
            if select.select([upstream.sock], [], [], 0.001)[0]:
                read += len(upstream.sock.recv(20000))
            return unsent_most() == 256 << 10
        self.until(slow, "a short queue")
        worker.setblocking(True)
        worker.sendall(block[sent % len(block):] if sent % len(block) else b"")
        whole = (sent + len(block) - 1) // len(block) * len(packet(test_id="x", file_name="f", route_code="0",
                                                                  file_bytes=bytes(60000)))
        while read < whole:
            read += len(upstream.sock.recv(1 << 20))

        def quick():
            worker.sendall(packet(test_id="t"))
            upstream.sock.recv(1 << 20)
            return unsent_most() == 0
        self.until(quick, "the kernel's own measure")

    def test_name_server_that_does_not_answer(self):
        """A look-up holds up neither the start nor workers nor TERM."""
        try:
            silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(silent.close)
            server = "127.77.%d.%d" % divmod(os.getpid() % 65000, 256)  # tests run side by side
            silent.bind((server, 53))
        except PermissionError:
            self.skipTest("no right to be a name server")
        path = os.path.join(self.folder(), "resolv.conf")
        with open(path, "w") as file:
            file.write("nameserver %s\noptions timeout:10\n" % server)
        wrapper = ("unshare", "-m", "sh", "-c",
                   "mount --bind %s /etc/resolv.conf && exec \"$@\"" % path, "sh")
        if subprocess.run([*wrapper, "true"], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no right to make a mount namespace")
        muxd = self.muxd("--upstream", "tcp:no-such-host.example:1", "--drain-timeout", "0.5",
                         wrapper=wrapper)
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="t"))
        muxd.wait_log("the name server has not answered yet")
        self.assertEqual(muxd.end(), 75)
        silent.settimeout(1)
        self.assertIn(b"no-such-host", silent.recv(1000))

    def test_bytes_that_nobody_read(self):
        """The upstream's kernel has everything, its process ends without reading: not "all sent"."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint)
        worker = muxd.connect()
        worker.sendall(packet(test_id="t") * 10)
        self.finish(worker)
        sock = upstream.accept()
        self.until(lambda: unread_bytes(sock) == 10 * len(packet(test_id="t", route_code="0")),
                   "all to arrive")
        sock.close()  # unread: a reset
        muxd.wait_log("without reading all")
        upstream.accept()
        muxd.signal()
        upstream.sock.close()
        self.assertEqual(muxd.wait(), 75, muxd.log)

    def test_reader_of_stdout_goes(self):
        """Its end is noticed although nothing is sent: of a pipe and of a socket."""
        def a_pipe():
            return [os.fdopen(fd, mode, 0) for fd, mode in zip(os.pipe(), ("rb", "wb"))]
        for make in (a_pipe, socket.socketpair):
            reading, writing = make()
            muxd = self.muxd(stdout=writing)
            writing.close()
            reading.close()
            self.assertEqual(muxd.wait(), 75, muxd.log)
            self.assertTrue(any("stdout lost: send: Broken pipe" in line for line in muxd.log), muxd.log)

    def test_reader_of_a_named_pipe_goes(self):
        """The next reader is found."""
        path = os.path.join(self.folder(), "fifo")
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        muxd = self.muxd("--upstream", "file:" + path)
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="first"))
        self.until(lambda: unread_bytes(reading), "the first packet")
        os.close(reading)
        muxd.wait_log("lost: send: Broken pipe")
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        muxd.wait_log("open again")
        worker.sendall(packet(test_id="second"))
        self.until(lambda: unread_bytes(reading), "the second packet")
        self.assertEqual(muxd.end(), 0)
        os.close(reading)

    def test_file(self):
        path = os.path.join(self.folder(), "run.subunit")
        for round_number in (1, 2):
            muxd = self.muxd("--upstream", "file:" + path, "--exit-after", "1")
            worker = muxd.connect()
            worker.sendall(packet(test_id="t") * 10)
            self.finish(worker)
            self.assertEqual(muxd.wait(), 0)
            with open(path, "rb") as file:
                self.assertEqual(len(python_events(file.read())), 10 * round_number)

    def test_unix(self):
        path = os.path.join(self.folder(), "up")
        top = self.muxd("--exit-after", "1", listen=("unix:" + path,))
        leaf = self.muxd("--upstream", "unix:" + path, "--exit-after", "1")
        worker = leaf.connect()
        worker.sendall(packet(test_id="t"))
        self.finish(worker)
        self.assertEqual((leaf.wait(), top.wait()), (0, 0))
        event, = python_events(top.stream())
        self.assertEqual(event["route_code"], "0/0")

    def unix_upstream_dies(self, sent):
        """A unix socket does not tell how much was unread, only that something was: the exit code says so."""
        path = os.path.join(self.folder(), "up")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen()
            stats = self.folder() + "/stats"
            muxd = self.muxd("--upstream", "unix:" + path, "--exit-after", "1", "--stats-json", stats)
            up, _ = listening.accept()
            worker = muxd.connect()
            worker.sendall(packet(test_id="t"))
            worker.sendall(sent)
            settled(lambda: unread_bytes(up))
            self.assertGreater(unread_bytes(up), 0)
            up.close()
            with listening.accept()[0] as again:
                self.finish(worker)
                while again.recv(1 << 20):
                    pass
            self.assertEqual(muxd.wait(), 75)
            self.assertEqual(self.stats(stats)["muxd_in_doubt_bytes_total"], 0)

    def test_unix_upstream_dies_unread(self):
        self.unix_upstream_dies(b"")

    def test_unix_upstream_dies_in_the_middle_of_a_send(self):
        self.unix_upstream_dies(packet(file_name="f", file_bytes=bytes(1 << 20)))

    def test_stdin_is_the_way_down(self):
        """With stdout upstream: packets on stdin go down; its end ends only the way down."""
        reading, writing = os.pipe()
        muxd = self.muxd("--upstream", "-", stdin=reading)
        os.close(reading)
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="one"))
        self.until(lambda: muxd.stream(), "the first packet")
        os.write(writing, packet(file_name="stdin", file_bytes=b"x", route_code="0"))
        self.assertEqual(worker.recv(100), packet(file_name="stdin", file_bytes=b"x"))
        os.close(writing)
        worker.sendall(packet(test_id="two"))
        self.until(lambda: count_packets(muxd.stream()) == 2, "the second packet")
        self.assertEqual(muxd.end(), 0)


def unread_bytes(sock):
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]


def settled(measure):
    """The value when it has not changed for a fifth of a second."""
    value, since = measure(), time.monotonic()
    while time.monotonic() - since < 0.2:
        time.sleep(0.01)
        now = measure()
        if now != value:
            value, since = now, time.monotonic()
    return value


if __name__ == "__main__":
    unittest.main()
