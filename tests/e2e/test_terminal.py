"""The output on a terminal."""
import fcntl
import os
import pty
import re
import struct
import termios

from harness import *


class Terminal(Case):
    def test_lines_for_people(self):
        """New workers, failures with the end of their traceback, counts; nothing binary."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        muxd = self.muxd(stdout=slave, stdin=slave, env=dict(os.environ, NO_COLOR="1"))
        os.close(slave)
        sock = self.socket(muxd.addresses[0])
        evil = "a\x1b[31m.b\x1b]0;title\x07\x9b2J"
        long = b"".join(b"line %d\n" % i for i in range(100)) + b"Error: \x1b[2J\x07 boom\r\n"
        sock.sendall(
            packet(test_id=evil, test_status="inprogress") +
            packet(test_id=evil, file_name="traceback", file_bytes=long[:500],
                   mime_type="text/x-traceback") +
            packet(test_id=evil, file_name="traceback", file_bytes=long[500:], eof=True,
                   mime_type="text/x-traceback") +
            packet(test_id=evil, test_status="fail") +
            packet(test_id="fine", test_status="success") +
            packet(test_id="bin", file_name="x", file_bytes=bytes(range(256))) + b"\x1b[31mchatter\n")
        self.finish(sock)
        muxd.signal()
        seen = b""
        while b"1 failed" not in seen:
            seen += os.read(master, 65536)
        self.assertEqual(muxd.wait(), 0)
        lines = seen.decode().split("\r\n")
        self.assertTrue(any(re.match(r"worker 0 came: 127\.0\.0\.1:\d+$", l) for l in lines), lines)
        self.assertIn(r"FAIL  a\x1b[31m.b\x1b]0;title\x07\u009b2J  worker 0", lines)
        self.assertIn(r"    Error: \x07 boom", lines)
        self.assertIn("    line 99", lines)
        self.assertNotIn("    line 10", lines)
        self.assertTrue(any("1 passed, 1 failed, 0 skipped" in l for l in lines), lines)
        self.assertFalse([c for c in seen if c < 0x20 and c not in b"\r\n"], seen)
        self.assertNotIn(b"\xb3", seen)

    def test_explicit_stdout(self):
        """--upstream - on a terminal is lines as well."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        muxd = self.muxd("--upstream", "-", stdout=slave, env=dict(os.environ, TERM="dumb"))
        os.close(slave)
        sock = muxd.connect()
        sock.sendall(packet(test_id="t", test_status="fail"))
        self.finish(sock)
        self.assertEqual(muxd.end(), 0)
        seen = os.read(master, 65536)
        self.assertIn(b"FAIL  t  worker 0", seen)
        self.assertNotIn(b"\xb3", seen)


    def test_file_upstream_that_is_a_terminal(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        muxd = self.muxd("--upstream", "file:" + os.ttyname(slave), "--drain-timeout", "0.2")
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        muxd.wait_log("it is a terminal")
        self.assertEqual(muxd.end(), 75)
        os.set_blocking(master, False)
        self.assertRaises(BlockingIOError, os.read, master, 1)

    def test_damage_is_not_a_failed_test(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        muxd = self.muxd(stdout=slave, env=dict(os.environ, NO_COLOR="1"))
        os.close(slave)
        sock = muxd.connect()
        sock.sendall(packet(test_id="t", test_status="success") + packet(test_id="x")[:-1] + b"?")
        self.finish(sock)
        muxd.signal()
        seen = read_until(master, b"x damage").decode()
        self.assertEqual(muxd.wait(), 0)
        self.assertRegex(seen, r"DAMAGE  subunit.parser  worker 0\r\n +\S")
        self.assertIn("1 passed, 0 failed, 0 skipped, 0 running, 1 x damage", seen)

    def test_who_waits_at_a_prompt(self):
        """On top of the live summary, with its age and how to get there; gone with its worker."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        env = dict(os.environ, TERM="xterm")
        env.pop("NO_COLOR", None)
        path = os.path.join(self.folder(), "ctl")
        muxd = self.muxd("--control", "unix:" + path, stdout=slave, env=env)
        os.close(slave)
        screen = Screen(24, 200)
        command = [os.environ["MUX"], "exec", "--to", "mux:" + muxd.addresses[0], "--trust-network", "--as-test", "pkg.test_x", "--",
                   "sh", "-c", "printf '(Pdb) '; sleep 1000"]
        with subprocess.Popen(command) as process:
            def waits():
                screen.read(master)
                return [line.rstrip() for line in screen.lines if "waits at" in line]
            self.until(waits, "the prompt")
            self.until(lambda: [line for line in waits() if " 0 s" not in line], "its age")
            self.assertRegex(waits()[0], r"^0 waits at \(Pdb\) in pkg\.test_x for [1-9]\d* s: mux attach unix:%s 0$" % re.escape(path))
            process.terminate()
        self.until(lambda: not waits(), "its end")
        muxd.signal()
        self.until(lambda: screen.read(master) or muxd.process.poll() is not None, "the end")

    def test_live_summary(self):
        """Redrawn in place: 1,000 workers with a running test each stay readable."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        env = dict(os.environ, TERM="xterm")
        env.pop("NO_COLOR", None)
        muxd = self.muxd(stdout=slave, env=env)
        os.close(slave)
        socks = [self.socket(muxd.addresses[0]) for _ in range(1000)]
        for i, sock in enumerate(socks):
            sock.sendall(packet(test_id="module.test_%d_%s" % (i, "x" * 100),
                                test_status="inprogress"))
        screen = Screen(24, 80)
        self.until(lambda: screen.read(master) and any("1000 running" in l for l in screen.lines),
                   "1,000 running tests")
        socks[7].sendall(packet(test_id="bad", file_name="traceback", file_bytes=b"Boom \x1b[2J\n",
                                mime_type="text/plain", test_status="fail"))
        self.until(lambda: screen.read(master) and any("1 failed" in l for l in screen.lines),
                   "the failure")
        lines = [line.rstrip() for line in screen.lines if line.strip()]
        self.assertLessEqual(len(lines), 24)
        # the order in which the thousand came is not defined
        self.assertTrue(any(re.fullmatch(r"FAIL  bad  worker \d+", line) for line in lines), lines)
        self.assertIn("    Boom", lines)
        totals, = [line for line in lines if "running" in line]
        self.assertEqual(totals, "1000 workers, tests: 0 passed, 1 failed, 0 skipped, 1000 running")
        tests = [line for line in lines if re.match(r" +0:\d\d  \d+  module\.test_\d", line)]
        self.assertEqual(len(tests), 9)
        self.assertIn("          and 991 more", lines)
        self.assertEqual(screen.unknown, set())
        muxd.signal()
        os.set_blocking(master, True)
        self.assertIn(b"1001 failed", read_until(master, b" 0 running"))
        self.assertEqual(muxd.wait(), 0)

    def test_terminal_that_nobody_reads(self):
        """Workers and signals do not wait for the terminal."""
        for env in ({"TERM": "xterm"}, {"TERM": "dumb"}):
            for number in (signal.SIGTERM, signal.SIGINT):
                master, slave = pty.openpty()
                self.addCleanup(os.close, master)
                muxd = self.muxd(*NEVER, stdout=slave, env=dict(os.environ, **env))
                os.close(slave)
                sock = muxd.connect()
                for i in range(3000):
                    sock.sendall(packet(test_id="test %d" % i * 20, test_status="fail"))
                self.finish(sock)
                muxd.signal(number)
                self.assertIn(muxd.wait(), (0, 75) if number == signal.SIGINT else (0,))

    def test_log_that_nobody_reads(self):
        """A full stderr holds nothing up; the missing lines are counted."""
        for number in (signal.SIGTERM, signal.SIGINT):
            reading, writing = os.pipe()
            path = os.path.join(self.folder(), "stats")
            port = free_port()
            node = subprocess.Popen([MUXD, "--io", IO, "--listen", "127.0.0.1:%d" % port,
                                     "--stats-json", path, *NEVER], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=writing)
            self.addCleanup(node.kill)
            self.assertIn(b"listening", os.read(reading, 1000))
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
            flags = fcntl.fcntl(writing, fcntl.F_GETFL)
            os.set_blocking(writing, False)
            try:
                while True:
                    os.write(writing, b"x" * 100)
            except BlockingIOError:
                pass
            os.set_blocking(writing, True)
            self.assertEqual(fcntl.fcntl(writing, fcntl.F_GETFL), flags)
            sock = connect("127.0.0.1:%d" % port)
            for i in range(300):
                sock.sendall(packet(test_id="x")[:-1] + b"?" + packet(test_id="t"))
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(sock.recv(1), b"")
            sock.close()
            node.send_signal(number)
            # INT does not wait for bytes in flight
            self.assertIn(node.wait(PATIENCE), (0, 75) if number == signal.SIGINT else (0,))
            self.assertGreater(self.stats(path)["muxd_log_lines_suppressed_total"], 0)
            os.close(reading)
            os.close(writing)


def read_until(master, wanted):
    seen = b""
    while wanted not in seen:
        seen += os.read(master, 65536)
    return seen


class Screen:
    """The part of a terminal that a redraw in place needs; everything else is `unknown`."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.lines = [""] * rows
        self.row = self.column = 0
        self.rest = b""
        self.unknown = set()

    def read(self, master):
        os.set_blocking(master, False)
        try:
            self.show(os.read(master, 65536))
        except BlockingIOError:
            pass
        return True

    def show(self, data):
        data = self.rest + data
        at = 0
        while at < len(data):
            match = re.compile(rb"\x1b\[(\d*|\?2026)([AJKhl])").match(data, at)
            if match:
                self.control(match)
                at = match.end()
            elif data[at] == 0x1b and len(data) - at < 10:
                break
            else:
                self.put(data[at])
                at += 1
        self.rest = data[at:]

    def control(self, match):
        if match[2] == b"A":
            self.row = max(0, self.row - int(match[1] or 1))
        elif match[2] in b"JK":
            self.lines[self.row] = self.lines[self.row][:self.column]
        if match[2] == b"J":
            self.lines[self.row + 1:] = [""] * (self.rows - self.row - 1)

    def put(self, byte):
        if byte == 10:
            if self.row + 1 == self.rows:
                self.lines = self.lines[1:] + [""]
            else:
                self.row += 1
        elif byte == 13:
            self.column = 0
        elif byte < 32 or byte > 126:
            self.unknown.add(byte)
        elif self.column == self.columns:
            self.unknown.add("a line that is too long")
        else:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[:self.column] + chr(byte) + line[self.column + 1:]
            self.column += 1


if __name__ == "__main__":
    unittest.main()
