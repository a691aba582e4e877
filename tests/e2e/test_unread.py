"""Terminals, pipes and sockets for people that nobody reads: they hold up neither workers nor the end."""
import fcntl
import pty
import select
import struct
import termios

from harness import *

SOON = 10  # seconds; a second and a bit are what it takes
LINES = 150  # more than the log's burst, and than a pipe of PIPE_BYTES holds
PIPE_BYTES = 4096
NOBODY = 65534


def is_nonblocking(fd):
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK)


def is_listening(path):
    """Between bind and listen the path is there, and connects are refused."""
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
        """A muxd that listens on a unix socket, as its log may not be readable; and that socket."""
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
        """Lines in the log: what is no hello has no place beyond --max-links."""
        for _ in range(count):
            sock = self.socket(address)
            sock.sendall(b"x")
            try:
                while sock.recv(4096):
                    pass  # why, in words
            except ConnectionResetError:
                pass  # muxd left the byte unread
            sock.close()

    def fill(self, fd):
        """Fills a pipe to its last byte, its flags as they were."""
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
        """^S: workers go on, TERM ends it; after ^Q lines come without anything else happening."""
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
        """Nothing is drawn and nothing happens: no time is spent on trying."""
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
        """As over a modem: what waits is more than the end waits for."""
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
        """As after su: it cannot be opened again."""
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
        """As after sudo: it cannot be opened again."""
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
        """Somebody reads again: whole lines, and how many there would have been."""
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
