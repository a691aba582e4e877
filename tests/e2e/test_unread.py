"""Terminals, pipes and sockets that nobody reads: they hold up neither workers nor muxd's end."""
import fcntl
import pty
import select
import struct
import termios

from harness import *

SOON = 10  # seconds; it takes little more than one
LINES = 150  # more than the log's burst, and more than a pipe of PIPE_BYTES holds
PIPE_BYTES = 4096
NOBODY = 65534


def is_nonblocking(fd):
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK)


def is_listening(path):
    """Not only bound: between bind() and listen() connects are refused."""
    with open("/proc/net/unix") as file:
        sockets = [line.split() for line in file]
    return any(fields[-1] == path and fields[3] == "00010000" for fields in sockets)


class Unread(Case):
    def pipe(self):
        """A small pipe."""
        ends = os.pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return ends

    def terminal(self):
        ends = pty.openpty()
        for end in ends:
            self.addCleanup(os.close, end)
        fcntl.ioctl(ends[0], termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        return ends

    def spawn(self, *options, stdout, stderr, **keywords):
        """A muxd and its unix socket. The log may be unreadable, so the address must be known."""
        path = os.path.join(self.folder(), "socket")
        if "user" in keywords:
            os.chown(os.path.dirname(path), keywords["user"], keywords["group"])
        process = subprocess.Popen(
            [MUXD, "--io", IO, "--listen", "unix:" + path, *options], stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=stderr, **keywords)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.until(lambda: process.poll() is not None or is_listening(path), "the socket")
        self.assertIsNone(process.poll())
        return process, "unix:" + path

    def ends_soon(self, process, number):
        process.send_signal(number)
        try:
            status = process.wait(SOON)
        except subprocess.TimeoutExpired:
            self.fail("still there %d s after %s" % (SOON, number.name))
        self.assertEqual(status, 0)

    def fail_tests(self, address, count):
        """A worker with failing tests; returns when muxd has read all of it."""
        sock = self.socket(address)
        stream = b"".join(
            packet(test_id="t%d" % i, file_name="traceback", file_bytes=b"line\n" * 30,
                   mime_type="text/plain") + packet(test_id="t%d" % i, test_status="fail")
            for i in range(count))
        sock.sendall(stream)
        self.finish(sock)

    def be_refused(self, address, count):
        """Makes log lines: beyond --max-links connections that are no nodes are refused."""
        for _ in range(count):
            sock = self.socket(address)
            sock.sendall(b"x")
            try:
                while sock.recv(4096):
                    pass  # the reason
            except ConnectionResetError:
                pass  # a reset: muxd left the byte unread
            sock.close()

    def fill(self, fd):
        """Fills a pipe to its last byte; leaves its flags unchanged."""
        own = os.open("/proc/self/fd/%d" % fd, os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(own, b"x")
        except BlockingIOError:
            pass
        finally:
            os.close(own)

    # The terminal.

    def test_stopped_terminal(self):
        """^S: workers go on and TERM ends muxd; after ^Q the lines come without another event."""
        master, slave = self.terminal()
        termios.tcflow(slave, termios.TCOOFF)
        process, address = self.spawn(stdout=slave, stderr=subprocess.DEVNULL)
        self.fail_tests(address, 3)
        os.set_blocking(master, False)
        with self.assertRaises(BlockingIOError):
            os.read(master, 1)
        termios.tcflow(slave, termios.TCOON)
        seen = b""
        def comes():
            nonlocal seen
            try:
                seen += os.read(master, 65536)
            except BlockingIOError:
                pass
            return b"t2" in seen
        self.until(comes, "the lines after ^Q")
        termios.tcflow(slave, termios.TCOOFF)
        self.fail_tests(address, 500)
        self.ends_soon(process, signal.SIGTERM)

    def test_stopped_terminal_costs_nothing(self):
        """While nothing can be drawn and nothing happens, muxd uses no CPU."""
        master, slave = self.terminal()
        termios.tcflow(slave, termios.TCOOFF)
        process, address = self.spawn(stdout=slave, stderr=subprocess.DEVNULL,
                                      env=dict(os.environ, TERM="xterm"))
        self.fail_tests(address, 3)
        time.sleep(1.5)
        before = cpu_seconds(process.pid)
        time.sleep(2)
        self.assertLess(cpu_seconds(process.pid) - before, 0.5)
        self.ends_soon(process, signal.SIGTERM)

    def test_terminal_that_is_read_slowly(self):
        """As over a modem: more output waits than muxd waits for when it ends."""
        master, slave = self.terminal()
        process, address = self.spawn(stdout=slave, stderr=subprocess.DEVNULL,
                                      env=dict(os.environ, TERM="dumb"))
        self.fail_tests(address, 500)
        self.assertFalse(is_nonblocking(slave))
        def read_slowly():
            while process.poll() is None:
                if select.select([master], [], [], 0.1)[0]:
                    os.read(master, 500)
                time.sleep(0.1)
        threading.Thread(target=read_slowly, daemon=True).start()
        self.ends_soon(process, signal.SIGTERM)

    def test_terminal_of_another_user(self):
        """As after su: muxd cannot open it again."""
        if os.getuid() != 0:
            self.skipTest("no right to be another user")
        master, slave = self.terminal()
        process, address = self.spawn(stdout=slave, stderr=subprocess.DEVNULL, user=NOBODY,
                                      group=NOBODY, extra_groups=())
        self.fail_tests(address, 500)
        self.assertFalse(is_nonblocking(slave))
        self.ends_soon(process, signal.SIGTERM)

    # The log.

    def test_pipe_that_is_full_from_the_start(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                _, writing = self.pipe()
                self.fill(writing)
                process, address = self.spawn("--max-links", "1", stdout=subprocess.DEVNULL,
                                              stderr=writing)
                self.socket(address)
                self.be_refused(address, LINES)
                self.assertFalse(is_nonblocking(writing))
                self.ends_soon(process, number)

    def test_pipe_of_another_user(self):
        """As after sudo: muxd cannot open it again."""
        if os.getuid() != 0:
            self.skipTest("no right to be another user")
        _, writing = self.pipe()
        process, address = self.spawn("--max-links", "1", stdout=subprocess.DEVNULL, stderr=writing,
                                      user=NOBODY, group=NOBODY, extra_groups=())
        self.socket(address)
        self.be_refused(address, LINES)
        self.ends_soon(process, signal.SIGTERM)

    def test_full_socket(self):
        """As under a service manager."""
        reading, writing = socket.socketpair()
        self.addCleanup(reading.close)
        self.addCleanup(writing.close)
        writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE_BYTES)
        process, address = self.spawn("--max-links", "1", stdout=subprocess.DEVNULL, stderr=writing)
        self.socket(address)
        self.be_refused(address, LINES)
        self.assertFalse(is_nonblocking(writing.fileno()))
        self.ends_soon(process, signal.SIGTERM)

    def test_left_out_lines_are_counted(self):
        """When it is read again: whole lines, and the number of lines left out."""
        reading, writing = self.pipe()
        self.fill(writing)
        process, address = self.spawn("--max-links", "1", stdout=subprocess.DEVNULL, stderr=writing)
        self.socket(address)
        self.be_refused(address, LINES)
        seen = bytearray()
        reader = threading.Thread(target=lambda: read_all(reading, seen, process))
        reader.start()
        self.ends_soon(process, signal.SIGTERM)
        reader.join(SOON)
        lines = bytes(seen).lstrip(b"x").decode().splitlines()
        shown = sum("closed" in line for line in lines)
        left_out = sum(int(match[1]) for line in lines
                       for match in [re.search(r"(\d+) lines left out", line)] if match)
        self.assertEqual(shown + left_out, LINES, lines)


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_all(fd, seen, process):
    os.set_blocking(fd, False)
    while True:
        ended = process.poll() is not None
        try:
            seen += os.read(fd, 65536)
        except BlockingIOError:
            if ended:
                return
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
