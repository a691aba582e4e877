"""mux tail and mux attach: people at a terminal, workers behind two nodes, real debuggers."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata

from harness import *

PYTHON = "/usr/bin/python3"
WORKERS = 20
STOPPED = (3, 11)  # those that wait at a debugger

TESTS = """
import os, sys, unittest
class Test(unittest.TestCase):
    def test_it(self):
        answer = 40 + 2
        print("number", os.environ["NUMBER"], flush=True)
        if "STOP" in os.environ:
            breakpoint()
        self.assertEqual(answer, 42)
    def test_other(self):
        pass
"""


class Terminal:
    """A program on a pseudo-terminal of its own."""

    def __init__(self, *argv, rows=30, columns=100):
        self.master, self.slave = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.shown = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.shown += os.read(self.master, 65536)
        return bool(ready)

    def until(self, words, after=0):
        """Waits until the words are shown behind `after`; returns the place behind them."""
        deadline = time.monotonic() + PATIENCE
        words = words.encode()
        while words not in self.shown[after:]:
            assert time.monotonic() < deadline, (words, self.shown[-2000:])
            self.read(1)
        return self.shown.index(words, after) + len(words)

    def type(self, keys):
        os.write(self.master, keys if isinstance(keys, bytes) else keys.encode())

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.shown[-2000:]
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Attach(Case):
    def tree(self):
        """A node with a control socket, and one below it."""
        self.path = os.path.join(self.folder(), "ctl")
        self.door = os.path.join(self.folder(), "leaf")
        self.top = self.muxd("--control", "unix:" + self.path)
        self.leaf = self.muxd("--upstream", "mux:" + self.top.addresses[0],
                              listen=("unix:" + self.door,))

    def execute(self, *argv, options=(), **keywords):
        """A command under mux exec, below the leaf."""
        process = subprocess.Popen([MUX, "exec", "--to", "mux:unix:" + self.door, *options, "--", *argv],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **keywords)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
        process.stderr.close()

    def attach(self, route, *options, **keywords):
        terminal = Terminal(MUX, "attach", *options, "unix:" + self.path, route, **keywords)
        self.addCleanup(terminal.close)
        return terminal

    def route_of(self, words):
        """The route code of the output that has these words."""
        found = []

        def is_there():
            found[:] = [event["route_code"] for event in oracle.decode(self.top.stream())
                        if event["file_name"] == "stdout" and words in text(event)]
            return found
        self.until(is_there, words)
        return found[0]

    def test_debuggers(self):
        """breakpoint() in two of 20 workers behind two nodes, driven at once; the others are undisturbed."""
        self.tree()
        folder = self.folder()
        with open(os.path.join(folder, "the_tests.py"), "w") as file:
            file.write(TESTS)
        workers = []
        for i in range(WORKERS):
            environment = {**os.environ, "NUMBER": str(i), "PYTHONPATH": folder}
            if i in STOPPED:
                environment["STOP"] = "1"
            workers.append(self.execute(PYTHON, "-m", "subunit.run", "the_tests", env=environment))
        for i, worker in enumerate(workers):
            if i not in STOPPED:
                self.assertEqual(worker.wait(PATIENCE), 0, i)
        terminals = [self.attach(self.route_of("number %d\n" % i)) for i in STOPPED]
        places = [terminal.until("(Pdb) ") for terminal in terminals]
        for terminal, i in zip(terminals, STOPPED):
            terminal.type("p answer, os.environ['NUMBER']\n")
        for terminal, i, place in zip(terminals, STOPPED, places):
            terminal.until("(42, '%d')" % i, place)
        first, second = terminals
        second.type("answer = 0\n")
        second.type("c\n")
        first.type("c\n")
        for terminal in terminals:
            self.assertEqual(terminal.wait(), 0, terminal.shown)
            self.assertTrue(terminal.is_restored())
        self.assertIn(b"the command has returned 0", first.shown)
        self.assertEqual(workers[STOPPED[0]].wait(PATIENCE), 0)
        self.assertEqual(workers[STOPPED[1]].wait(PATIENCE), 4)
        self.until(lambda: b"exit" in self.top.stream(), "the exits")
        results = [(event["route_code"], event["test_status"]) for event in oracle.decode(self.top.stream())
                   if event["test_status"] in ("success", "fail")]
        self.assertEqual(len(results), 2 * WORKERS)
        self.assertEqual([status for _, status in results].count("fail"), 1)

    def test_pty(self):
        """A command with a terminal: every key, the window's size, its output as it is."""
        self.tree()
        code = ("import os, signal, sys, tty\n"
                "tty.setcbreak(0)\n"
                "resized = lambda *_: os.write(1, b'[size %d %d]' % tuple(os.get_terminal_size())[::-1])\n"
                "signal.signal(signal.SIGWINCH, resized)\n"
                "os.write(1, b'ready\\n')\n"
                "while True:\n"
                "    key = os.read(0, 1)\n"
                "    os.write(1, b'\\x1b[1m<%02x>\\x1b[0m' % key[0])\n"
                "    if key == b'q': break\n")
        worker = self.execute(PYTHON, "-c", code, options=("--pty", "--allow-empty"))
        route = self.route_of("ready")
        terminal = self.attach(route, rows=33, columns=111)
        terminal.until("[size 33 111]")
        terminal.type("a")
        at = terminal.until("\x1b[1m<61>\x1b[0m")
        terminal.resize(44, 122)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        at = terminal.until("[size 44 122]", at)
        terminal.type(b"\x04\x1b[A")
        for key in ("04", "1b", "5b", "41"):
            at = terminal.until("<%s>" % key, at)
        terminal.type(b"\x1d")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b"detached", terminal.shown)
        self.assertTrue(terminal.is_restored())
        self.assertIsNone(worker.poll())
        nameless = self.attach(route, rows=0, columns=0)  # of no size: its keys are not echoed twice, either
        nameless.until("[size 24 80]")
        nameless.type(b"\x1d")
        self.assertEqual(nameless.wait(), 0)
        again = self.attach(route)
        again.until("[size 30 100]")
        again.type("q")
        again.until("the command has returned 0")
        self.assertEqual(again.wait(), 0)
        self.assertTrue(again.is_restored())
        self.assertEqual(worker.wait(PATIENCE), 0)

    def test_gdb(self):
        """gdb on a C program, on a terminal: run to a function, change a variable, go on."""
        if not shutil.which("gdb") or not shutil.which("cc"):
            self.lacks("no gdb, or no C compiler")
        self.tree()
        folder = self.folder()
        with open(os.path.join(folder, "test.c"), "w") as file:
            file.write("#include <stdio.h>\nint answer = 41;\nint check(void) { return answer != 42; }\n"
                       "int main(void) { puts(\"begun\"); return check(); }\n")
        subprocess.run(["cc", "-g", "-O0", "-o", "test", "test.c"], cwd=folder, check=True)
        worker = self.execute("gdb", "-nx", "-q", os.path.join(folder, "test"), cwd=folder,
                              options=("--pty", "--allow-empty"),
                              env={**os.environ, "DEBUGINFOD_URLS": "", "TERM": "dumb"})
        terminal = self.attach(self.route_of("(gdb)"))
        at = terminal.until("(gdb) ")
        for command, answer in (("break check", "Breakpoint 1"), ("run", "Breakpoint 1, check"),
                                ("set variable answer = 42", "(gdb) "), ("print answer", "$1 = 42"),
                                ("continue", "exited normally"), ("quit", "the command has returned 0")):
            terminal.type(command + "\n")
            at = terminal.until(answer, at)
            if command != "quit":
                at = terminal.until("(gdb) ", at - len("(gdb) ") if answer == "(gdb) " else at)
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(worker.wait(PATIENCE), 0)

    def test_ways_out(self):
        """However it ends, the terminal is as it was; the worker stays."""
        self.tree()
        for pty_options in ((), ("--pty",)):
            words = "started%d\n" % len(pty_options)
            worker = self.execute("sh", "-c", "echo %s; cat" % words.strip(),
                                  options=(*pty_options, "--allow-empty"))
            route = self.route_of(words)
            for way, status in (("detach", 0), (signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1),
                                (signal.SIGINT, 128 + 2)):
                terminal = self.attach(route)
                terminal.until("Ctrl-] detaches")
                terminal.type("x\n")
                terminal.until("x\r\n", terminal.until("x\r\n"))  # its echo, and the worker's
                self.assertFalse(terminal.is_restored(), (way, pty_options, terminal.shown))
                if way == "detach":
                    terminal.type(b"\x1d")
                else:
                    os.kill(terminal.process.pid, way)
                self.assertEqual(terminal.wait(), status, terminal.shown)
                self.assertTrue(terminal.is_restored(), (way, pty_options))
            self.assertIsNone(worker.poll())
            worker.terminate()
            worker.wait(PATIENCE)
        worker = self.execute("sh", "-c", "echo last; cat", options=("--allow-empty",))
        terminal = self.attach(self.route_of("last\n"))
        terminal.until("Ctrl-] detaches")
        self.top.signal(signal.SIGINT)
        self.assertEqual(terminal.wait(), 1)
        self.assertIn(b"muxd has ended this view", terminal.shown)
        self.assertTrue(terminal.is_restored())

    def test_past_end(self):
        """How a command ended that ran there before ends no view of the one that runs there now."""
        self.path = os.path.join(self.folder(), "ctl")
        self.top = self.muxd("--control", "unix:" + self.path)
        worker, route = self.socket(self.top.addresses[0]), "0"
        over = packet(file_name="muxd.exit", file_bytes=b'{"v":1,"status":3}')
        worker.sendall(over + packet(file_name="stdout", file_bytes=b"the next one\n"))
        self.until(lambda: b"the next one" in self.top.stream(), "the output")
        terminal = self.attach(route)
        terminal.until("the next one")
        worker.sendall(packet(file_name="stdout", file_bytes=b"it goes on\n"))
        terminal.until("it goes on")
        worker.sendall(over)
        terminal.until("detached")
        self.assertEqual(terminal.wait(), 0)

    def nowhere(self, route, words, keys=None):
        """mux attach ends by itself, says why, and fails."""
        terminal = self.attach(route)
        if keys:
            terminal.until("Ctrl-] detaches")
            terminal.type(keys)
        terminal.until(words)
        self.assertEqual(terminal.wait(), 1, terminal.shown)
        self.assertTrue(terminal.is_restored())

    def test_nowhere(self):
        """No link, a free slot, a node: attach does not stay where nothing can answer."""
        self.tree()
        agent = subprocess.Popen([MUX, "agent", "--to", "mux:unix:" + self.door, "--slots", "2"],
                                 stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=self.folder()))
        self.addCleanup(self.end, agent)
        routes = []

        def has_come():
            routes[:] = [event["route_code"] for event in oracle.decode(self.top.stream())
                         if event["file_name"] == "muxd.want"]
            return routes
        self.until(has_come, "the agent")
        self.nowhere("0/9", "there is no such route")
        for empty in ("0//1", "/0", "0/"):
            self.nowhere(empty, "a segment of the route is empty")
        self.nowhere(routes[0] + "/7", "there is no such route")
        self.nowhere(routes[0] + "/1", "no job runs there")
        self.nowhere("0", "no worker", keys="x\n")
        self.nowhere(routes[0], "its slots are 0 to 1")
        for route, keys, why in (("0/9", "x\n", 'no link has the segment "9"'), ("0/9", "", "there is no such route"),
                                 (routes[0], "", "its slots are 0 to 1"), (routes[0] + "/1", "", "no job runs there")):
            done = subprocess.run([MUX, "attach", "unix:" + self.path, route], input=keys, capture_output=True,
                                  text=True, timeout=PATIENCE)  # without a terminal
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)

    def test_two_at_one(self):
        """The second one is told who writes; when the first goes, it writes."""
        self.tree()
        self.execute("sh", "-c", "echo started; cat", options=("--allow-empty",))
        route = self.route_of("started\n")
        first = self.attach(route)
        first.until("attached to " + route)
        second = self.attach(route)
        second.until("to which pid %d (uid %d) writes: you only look" % (first.process.pid, os.getuid()))
        first.type("one\n")
        second.until("one\r\n")
        second.type("two\n")
        second.until("somebody else writes: what you type is dropped")
        first.type(b"\x1d")
        self.assertEqual(first.wait(), 0)
        at = second.until("what you type goes down now")
        second.type("three\n")
        second.until("three\r\nthree", at)
        self.assertNotIn(b"two", first.shown)

    def test_harmless(self):
        """Without a terminal of its own a worker cannot steer that of who looks at it."""
        self.tree()
        evil = "\\033]0;title\\007\\033[2J\\xe2\\x80\\xae" + "start"
        self.execute("sh", "-c", "sleep 0.2; printf '%s\\n'; cat" % evil.replace("\\x", "\\\\x"),
                     options=("--allow-empty",))
        route = self.route_of("start")
        terminal = self.attach(route)
        terminal.until("start")
        tail = Terminal(MUX, "tail", "--last", "1K", "unix:" + self.path)
        self.addCleanup(tail.close)
        tail.until(route + ": ")
        tail.until("start")
        for shown in (terminal.shown, tail.shown):
            self.assertNotIn(b"\x1b", shown)
            self.assertNotIn(b"\x07", shown)

    def test_tail(self):
        """Lines with their route in front; how commands end; a pattern."""
        self.tree()
        watching = subprocess.Popen([MUX, "tail", "unix:" + self.path, "0/*"], stdout=subprocess.PIPE,
                                    text=True)
        self.addCleanup(watching.stdout.close)
        self.addCleanup(watching.kill)
        self.until(lambda: os.path.exists(self.path), "the socket")
        lines = []
        deadline = time.monotonic() + PATIENCE
        while len([line for line in lines if "returned" in line]) < 2:
            self.assertLess(time.monotonic(), deadline)
            worker = self.execute("sh", "-c", "echo out; echo error >&2; exit 3")
            self.assertEqual(worker.wait(PATIENCE), 3)
            while select.select([watching.stdout], [], [], 0.3)[0]:
                lines.append(watching.stdout.readline())
        self.assertTrue(any(re.fullmatch(r"0/\d+: out\n", line) for line in lines), lines)
        self.assertTrue(any(re.fullmatch(r"0/\d+ stderr: error\n", line) for line in lines), lines)
        self.assertTrue(any(re.fullmatch(r"0/\d+ muxd.exit: the command has returned 3\n", line)
                            for line in lines), lines)
        other = subprocess.Popen([MUX, "tail", "--last", "1K", "unix:" + self.path],
                                 stdout=subprocess.PIPE)
        other.stdout.readline()
        other.terminate()
        self.assertEqual(other.wait(PATIENCE), 0)
        other.stdout.close()
        self.assertEqual(self.top.end(), 0)
        self.assertEqual(watching.wait(PATIENCE), 1)

    def test_lines_of_tail(self):
        """What was whole is a line by itself; pieces of one text are one line."""
        self.path = os.path.join(self.folder(), "ctl")
        self.top = self.muxd("--control", "unix:" + self.path)
        worker = self.socket(self.top.addresses[0])
        worker.sendall(packet(file_name="muxd", file_bytes=b"one message") +
                       packet(file_name="muxd", file_bytes=b"another") +
                       packet(file_name="log", file_bytes=b"one log", eof=True) +
                       packet(file_name="log", file_bytes=b"the ne") +
                       packet(file_name="muxd.prompt", file_bytes=b"{}", eof=True) +
                       packet(file_name="log", file_bytes=b"xt one", eof=True) +
                       packet(file_name="muxd.exit", file_bytes=b'{"v":1,"status":3}') +
                       packet(file_name="stdout", file_bytes=b"the end\n"))
        self.until(lambda: b"the end" in self.top.stream(), "the output")
        tail = subprocess.Popen([MUX, "tail", "--last", "1K", "unix:" + self.path], stdout=subprocess.PIPE,
                                text=True)
        lines = [tail.stdout.readline() for _ in range(6)]
        self.assertEqual(lines, ["0 muxd: one message\n", "0 muxd: another\n", "0 log: one log\n",
                                 "0 log: the next one\n", "0 muxd.exit: the command has returned 3\n",
                                 "0: the end\n"])
        tail.terminate()
        self.assertEqual(tail.wait(PATIENCE), 0)
        tail.stdout.close()

    def test_misuse(self):
        nobody = "unix:" + os.path.join(self.folder(), "nobody")
        self.tree()
        for arguments, code, words in (
                (("tail", nobody), 1, "is muxd running, with --control " + nobody),
                (("attach", nobody, "0"), 1, "is muxd running, with --control " + nobody),
                (("tail", "localhost"), 2, "expected the socket of muxd's --control"),
                (("tail",), 2, "expected a socket and perhaps a pattern"),
                (("attach", nobody), 2, "expected a run, or a socket and a route"),
                (("attach", nobody, ""), 2, "the route is empty"),
                (("attach", "--last", "1T", nobody, "0"), 2, "expected a size"),
                (("attach", "unix:" + self.path, "7/0"), 1, "no link has its first segment"),
                (("attach", "unix:" + self.path, "7" * 2000), 1, "too long"),
                (("attach", "unix:" + self.path, "7\n7"), 1, "a route has no newline")):
            done = subprocess.run([MUX, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
