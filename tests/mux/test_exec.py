"""mux exec: how commands end, what they leave, what is told of them; by real processes."""
import base64
import resource
import signal
import socket

from command import *

WORKER = """
import os, signal, sys, time
from subunit.v2 import StreamResultToBytes
stream = StreamResultToBytes(sys.stdout.buffer)
stream.status(test_id="first", test_status="inprogress")
stream.status(test_id="first", test_status="success")
stream.status(test_id="second", test_status="inprogress")
sys.stdout.flush()
"""


def shown(stream):
    done = subprocess.run([MUX, "cat", "--json"], input=stream, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def content(event):
    return base64.b64decode(event["file_b64"] or "")


class Exec(unittest.TestCase):
    def execute(self, *arguments, status=None, env=None, stdin=subprocess.DEVNULL):
        """Its packets, what it said, and how it ended."""
        done = subprocess.run([MUX, "exec", *arguments], stdin=stdin, capture_output=True,
                              timeout=PATIENCE, env=dict(os.environ, **(env or {})))
        if status is not None:
            self.assertEqual(done.returncode, status, done.stderr)
        self.said = done.stderr.decode()
        return shown(done.stdout) if done.stdout else []

    def python(self, code, *options, **more):
        return self.execute(*options, "--", "/usr/bin/python3", "-c", WORKER + code, **more)

    def exit_of(self, events):
        ends = [event for event in events if event["file_name"] == "muxd.exit"]
        self.assertEqual(len(ends), 1, events)
        self.assertEqual(ends[0]["mime_type"], "application/json")
        return json.loads(content(ends[0]))

    def verdicts(self, events):
        return [(event["test_id"], event["test_status"]) for event in events if event["test_id"]]

    def file(self, events, name):
        return b"".join(content(event) for event in events if event["file_name"] == name)

    BEGUN = [("first", "inprogress"), ("first", "success"), ("second", "inprogress")]

    def test_all_is_well(self):
        events = self.python("stream.status(test_id='second', test_status='skip')", status=0)
        self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "skip")])
        end = self.exit_of(events)
        self.assertEqual((end["version"], end["status"], end["truncated"]), (1, 0, False))
        self.assertGreater(end["wall_ns"], 0)
        self.assertGreater(end["user_ns"] + end["system_ns"], 0)
        self.assertGreater(end["peak_memory_bytes"], 1 << 20)
        self.assertEqual(end["command"][0], "/usr/bin/python3")

    def test_a_test_fails_though_the_command_returns_0(self):
        self.python("stream.status(test_id='second', test_status='fail')", status=4)
        self.python("stream.status(test_id='second', test_status='uxsuccess')", status=4)

    def test_text_and_status(self):
        events = self.execute("--", "sh", "-c", "echo out; echo err >&2; exit 3", status=3)
        self.assertEqual(self.file(events, "stdout"), b"out\n")
        self.assertEqual(self.file(events, "stderr"), b"err\n")
        self.assertEqual(self.exit_of(events)["status"], 3)

    def test_no_test_ran(self):
        self.execute("--", "true", status=5)
        self.assertIn("no test ran", self.said)
        self.execute("--allow-empty", "--", "true", status=0)

    def test_a_signal_ends_it(self):
        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL):
            events = self.python("os.kill(os.getpid(), %d)" % number, status=128 + number)
            self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "fail")])
            end = self.exit_of(events)
            self.assertEqual((end["signal"], end["signal_name"]), (number, number.name[3:]))
            self.assertIn(b"it was killed by " + number.name.encode(), self.file(events, "muxd"))

    def test_a_core(self):
        """Where the kernel writes one into this folder."""
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        with tempfile.TemporaryDirectory() as folder:
            command = "ulimit -c %s; cd %s; exec /usr/bin/python3 -c 'import os; os.abort()'" % (
                "unlimited" if hard == resource.RLIM_INFINITY else hard, folder)
            end = self.exit_of(self.execute("--", "sh", "-c", command, status=134))
            self.assertEqual(end["core_dumped"], hard != 0)

    def test_limits(self):
        """Each stops the command, TERM first and KILL for one that ignores it."""
        for option, why in (("--timeout", "it ran longer than 1 s"),
                            ("--idle-timeout", "no output for 1 s"),
                            ("--test-timeout", "second ran longer than 1 s")):
            events = self.python("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                                 "time.sleep(1000)", option, "1", "--grace", "0.2")
            self.assertEqual(self.exit_of(events)["stopped"], why)
            if self.verdicts(events) == self.BEGUN[:0]:
                continue  # a slow machine: python had not begun
            self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "fail")])
            self.assertIn(why.encode(), self.file(events, "muxd"))

    def test_a_stack_first(self):
        events = self.python("time.sleep(1000)", "--test-timeout", "0.5", "--on-hang", "SIGABRT",
                             env={"PYTHONFAULTHANDLER": "1"}, status=128 + signal.SIGABRT)
        self.assertIn(b"most recent call first", self.file(events, "stderr"))
        self.assertIn(("second", "fail"), self.verdicts(events))

    def test_a_daemon_that_holds_the_pipe(self):
        """It is killed, and not waited for."""
        events = self.python("""
ready, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), file=sys.stderr, flush=True)
        os.write(tell, b'.')
        time.sleep(1000)
    os._exit(0)
os.read(ready, 1)
stream.status(test_id='second', test_status='success')""", status=0)
        self.assertFalse(os.path.exists("/proc/%d" % int(self.file(events, "stderr"))))

    def test_output_closed_and_alive(self):
        events = self.python("os.close(1); os.close(2); time.sleep(0.5); os._exit(7)", status=7)
        self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "fail")])
        self.assertIn(b"it exited with status 7", self.file(events, "muxd"))

    def test_much_output_without_a_newline(self):
        events = self.execute("--allow-empty", "--", "sh", "-c", "head -c 30000000 /dev/zero",
                              status=0)
        self.assertEqual(len(self.file(events, "stdout")), 30000000)

    def test_no_such_command(self):
        self.execute("--", "/no/such/command", status=127)
        self.assertIn("/no/such/command: No such file or directory", self.said)
        self.execute("--", "/etc/passwd", status=126)

    def test_as_test(self):
        events = self.execute("--as-test", "smoke", "--", "echo", "fine", status=0)
        self.assertEqual(self.verdicts(events), [("smoke", "inprogress"), ("smoke", "success")])
        events = self.execute("--as-test", "smoke", "--", "false", status=1)
        self.assertEqual(self.verdicts(events), [("smoke", "inprogress"), ("smoke", "fail")])

    def test_stdin_is_ours(self):
        with tempfile.TemporaryFile() as file:
            file.write(b"typed\n")
            file.seek(0)
            events = self.execute("--allow-empty", "--", "cat", stdin=file, status=0)
        self.assertEqual(self.file(events, "stdout"), b"typed\n")

    def test_ended_by_a_signal(self):
        """All that it started is gone."""
        process = subprocess.Popen([MUX, "exec", "--", "sh", "-c", "echo $$ >&2; sleep 1000"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        stream = b""
        while b"\n" not in stream:
            stream += os.read(process.stdout.fileno(), 4096)
        process.send_signal(signal.SIGTERM)
        stream += process.communicate(timeout=PATIENCE)[0]
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)
        found = shown(stream)
        self.assertFalse(os.path.exists("/proc/%d" % int(self.file(found, "stderr"))))
        self.assertEqual(self.exit_of(found)["stopped"], "mux exec got SIGTERM")

    def test_stdin_from_above(self):
        """What comes down reaches the command; its early end of stdin ends nothing else."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            process = subprocess.Popen(
                [MUX, "exec", "--to", "127.0.0.1:%d" % listener.getsockname()[1], "--as-test", "t",
                 "--", "sh", "-c", "read line; exec 0<&-; echo got $line; seq 100000"],
                stderr=subprocess.PIPE)
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                sock.sendall(packet(file_name="stdin", file_bytes=b"a key\n"))
                stream = bytearray()
                while chunk := sock.recv(1 << 20):
                    stream += chunk
        self.assertEqual(process.wait(PATIENCE), 0, process.stderr.read())
        process.stderr.close()
        found = shown(bytes(stream))
        self.assertEqual(self.file(found, "stdout"),
                         b"got a key\n" + b"".join(b"%d\n" % i for i in range(1, 100001)))
        self.assertEqual(self.verdicts(found), [("t", "inprogress"), ("t", "success")])

    def test_nobody_takes_it(self):
        self.execute("--to", "unix:/no/such/socket", "--drain-timeout", "0.5", "--allow-empty",
                     "--", "true", status=75)
        self.assertIn("not reached", self.said)

    def test_wrong_usage(self):
        for arguments, words in (((), "which command?"),
                                 (("--on-hang", "NOPE", "--", "true"), "a signal's name"),
                                 (("--timeout", "soon", "--", "true"), "expected a time"),
                                 (("--as-test", "", "--", "true"), "the test's id"),
                                 (("--to", "mux:", "--", "true"), "mux:HOST:PORT"),
                                 (("--to", "file:/x", "--", "true"), "a place to connect to")):
            self.execute(*arguments, status=2)
            self.assertIn(words, self.said)
        self.execute("--", "true", env={"MUX_ENDPOINT": "mux:"}, status=2)
        self.assertIn("MUX_ENDPOINT=mux:", self.said)
