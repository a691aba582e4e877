"""mux exec: how commands end, what they leave, what is told of them; by real processes."""
import resource
import signal
import socket

from execution import *


class Exec(ExecCase):
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

    def test_tests_that_cannot_be_selected(self):
        """TAP's tests are not runnable, and have run: mux exec, mux top and python's own summary agree."""
        from testtools import StreamSummary
        for verdict, status in (("success", 0), ("fail", 4), ("skip", 0)):
            code = "import subunit.v2, sys; subunit.v2.StreamResultToBytes(sys.stdout.buffer).status(" \
                   "test_id='tap', test_status=%r, runnable=False)" % verdict
            events = self.execute("--", "/usr/bin/python3", "-c", code, status=status)
            self.assertEqual(self.verdicts(events), [("tap", verdict)])
            summary = StreamSummary()
            summary.startTestRun()
            summary.status(test_id="tap", test_status=verdict, runnable=False)
            self.assertEqual(summary.testsRun, 1)
            top = mux("top", stream=packet(test_id="tap", test_status=verdict, runnable=False))
            self.assertRegex(top.stdout.decode(), r"\b1 %s" % {"success": "passed", "fail": "failed", "skip": "skipped"}[verdict])

    def test_text_and_status(self):
        events = self.execute("--", "sh", "-c", "echo out; echo err >&2; exit 3", status=3)
        self.assertEqual(self.output(events, "stdout"), b"out\n")
        self.assertEqual(self.output(events, "stderr"), b"err\n")
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
            self.assertIn(b"it was killed by " + number.name.encode(), self.output(events, "muxd"))

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
            self.assertIn(why.encode(), self.output(events, "muxd"))

    def test_limit_of_the_test_that_it_is(self):
        events = self.execute("--as-test", "whole", "--test-timeout", "0.5", "--", "sleep", "1000")
        self.assertEqual(self.exit_of(events)["stopped"], "whole ran longer than 0.5 s")
        self.assertEqual(self.verdicts(events), [("whole", "inprogress"), ("whole", "fail")])

    def test_stopped_and_content(self):
        """Many programs exit with 0 on TERM: that is no success of a command that had to be stopped."""
        for option, why in (("--timeout", "it ran longer than 1 s"), ("--idle-timeout", "no output for 1 s")):
            events = self.execute("--as-test", "whole", option, "1", "--", "sh", "-c",
                                  "trap 'exit 0' TERM; while :; do sleep 0.1; done", status=128 + signal.SIGTERM)
            self.assertEqual(self.exit_of(events)["stopped"], why)
            self.assertEqual(self.verdicts(events), [("whole", "inprogress"), ("whole", "fail")])
            self.assertIn(why.encode(), self.output(events, "muxd"))

    def test_a_stack_first(self):
        events = self.python("time.sleep(1000)", "--test-timeout", "0.5", "--on-hang", "SIGABRT",
                             env={"PYTHONFAULTHANDLER": "1"}, status=128 + signal.SIGABRT)
        self.assertIn(b"most recent call first", self.output(events, "stderr"))
        self.assertIn(("second", "fail"), self.verdicts(events))

    def test_a_command_for_the_stack(self):
        """It knows the process; its output is the test's, before its failure."""
        events = self.python("time.sleep(1000)", "--test-timeout", "0.5", "--on-hang",
                             "cat /proc/$PID/cmdline; echo at $PID >&2; kill -0 $PID && echo alive",
                             status=128 + signal.SIGTERM)
        stack, = [event for event in events if event["file_name"] == "on-hang"]
        self.assertEqual((stack["test_id"], stack["eof"]), ("second", True))
        self.assertTrue(content(stack).startswith(b"/usr/bin/python3\0-c"), stack)
        self.assertTrue(content(stack).endswith(b"alive\n"), stack)
        fail, = [event for event in events if event["test_status"] == "fail"]
        self.assertLess(events.index(stack), events.index(fail))

    def test_a_command_for_the_stack_that_is_no_good(self):
        """It is missing; it writes without end, until it has no more to write to; the other ends under it."""
        for command, output in (("/no/such/debugger", b"not found"), ("head -c 1000000 /dev/zero; echo", b"\0"),
                                ("kill -KILL $PID; sleep 1000", b"")):
            events = self.python("time.sleep(1000)", "--test-timeout", "0.5", "--on-hang", command)
            stack, = [event for event in events if event["file_name"] == "on-hang"]
            self.assertIn(output, content(stack))
            self.assertLessEqual(len(content(stack)), 40000)
            self.assertIn(("second", "fail"), self.verdicts(events))

    def test_gdb_on_a_hang(self):
        events = self.execute("--as-test", "t", "--timeout", "1", "--on-hang",
                              "DEBUGINFOD_URLS= gdb -nx -p $PID -batch -ex bt 2>&1", "--", "sleep", "1000", status=128 + 15)
        self.assertRegex(self.output(events, "on-hang").decode(), r"#0 .*\n")

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
        self.assertFalse(os.path.exists("/proc/%d" % int(self.output(events, "stderr"))))

    def test_daemons_are_gone(self):
        """Many, in sessions of their own, some of which go on forking."""
        events = self.execute("--allow-empty", "--", "sh", "-c", """
for i in 1 2 3 4 5; do setsid -f sh -c 'echo $$ >&2; while :; do sleep 0.01; done'; done; sleep 0.3""", status=0)
        pids = [int(line) for line in self.output(events, "stderr").split()]
        self.assertGreater(len(pids), 0)
        for pid in pids:
            self.assertFalse(os.path.exists("/proc/%d" % pid))
        for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            self.assertFalse([name for name in os.listdir(folder) if name == "mux-exec-%d" % self.pid]
                             if os.path.isdir(folder) else [])

    def test_killed_itself(self):
        """kill -9 of mux exec: its command does not live on."""
        process = self.start("exec", "--", "/usr/bin/python3", "-uc", "import os, time; print(os.getpid()); time.sleep(1000)",
                             stdin=subprocess.DEVNULL)
        stream = b""
        while b"\n" not in stream:
            stream += os.read(process.stdout.fileno(), 4096)
        found = shown(stream, check=False)
        pid = int(self.output(found, "stdout"))
        process.kill()
        process.wait()
        self.until(lambda: self.is_gone(pid), "its end")
        for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            left = os.path.join(folder, "mux-exec-%d" % process.pid)
            self.until(lambda: not os.path.isdir(left) or os.rmdir(left) is None, "an empty cgroup")

    def is_gone(self, pid):
        """A zombie that nobody has waited for is."""
        try:
            with open("/proc/%d/stat" % pid) as file:
                return file.read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def small_cgroup(self, most_bytes):
        """The folder of one with so much memory: v1's, or v2's."""
        for mount, limits in (("/sys/fs/cgroup/memory", {"memory.limit_in_bytes": most_bytes}),
                              ("/sys/fs/cgroup", {"memory.max": most_bytes, "memory.swap.max": 0})):
            folder = os.path.join(mount, "muxd-test-%d" % os.getpid())
            try:
                if os.path.exists(os.path.join(mount, "cgroup.subtree_control")):
                    with open(os.path.join(mount, "cgroup.subtree_control"), "w") as file:
                        file.write("+memory")
                os.mkdir(folder)
                self.addCleanup(os.rmdir, folder)
                for name, value in limits.items():
                    if name != "memory.swap.max" or os.path.exists(os.path.join(folder, name)):
                        with open(os.path.join(folder, name), "w") as file:
                            file.write(str(value))
                return folder
            except OSError as error:
                why = error
        if os.environ.get("MUXD_CI"):
            self.fail("no memory cgroup can be made here: %s" % why)
        self.skipTest("no memory cgroup can be made here: %s" % why)

    def test_out_of_memory(self):
        """In a small cgroup, where there is one: the event says it, and so does the failure."""
        folder = self.small_cgroup(60 << 20)
        done = subprocess.run(["sh", "-c", "echo $$ > %s/cgroup.procs; exec \"$@\"" % folder, "sh", MUX, "exec", "--",
                               "/usr/bin/python3", "-c", WORKER + "x = b'x' * (200 << 20)"], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 128 + 9, done.stderr)
        events = shown(done.stdout)
        self.assertEqual(self.exit_of(events)["memory_kills"], 1)
        self.assertIn(b"it was killed by SIGKILL (out of memory)", self.output(events, "muxd"))

    def test_output_closed_and_alive(self):
        events = self.python("os.close(1); os.close(2); time.sleep(0.5); os._exit(7)", status=7)
        self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "fail")])
        self.assertIn(b"it exited with status 7", self.output(events, "muxd"))

    def test_much_output_without_a_newline(self):
        events = self.execute("--allow-empty", "--", "sh", "-c", "head -c 30000000 /dev/zero",
                              status=0)
        self.assertEqual(len(self.output(events, "stdout")), 30000000)

    def test_no_such_command(self):
        self.execute("--", "/no/such/command", status=127)
        self.assertIn("/no/such/command: No such file or directory", self.said)
        self.execute("--", "/etc/passwd", status=126)

    def test_it_does_not_start(self):
        """This goes up, too, and fails the test that the command was."""
        with tempfile.TemporaryDirectory() as folder:
            for command, error, status in ((["--", "/no/such/command"], "ENOENT", 127),
                                           (["--", "/etc/passwd"], "EACCES", 126),
                                           (["--", "/"], "EACCES", 126),
                                           (["--chdir", folder + "/x", "--", "true"], "ENOENT", 126),
                                           (["--chdir", "/etc/passwd", "--", "true"], "ENOTDIR", 126)):
                events = self.execute("--as-test", "t", *command, status=status)
                end = self.exit_of(events)
                self.assertEqual((end["error"], end["command"]), (error, command[command.index("--") + 1:]))
                self.assertIn("did not start: ", end["not_started"])
                self.assertFalse({"status", "signal", "wall_ns", "peak_memory_bytes"} & set(end))
                self.assertEqual(self.verdicts(events), [("t", "inprogress"), ("t", "fail")])
                self.assertIn(b"the command did not start: ", self.output(events, "muxd"))

    def test_an_unreadable_directory(self):
        """Nobody but root may enter it."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            closed = os.path.join(folder, "closed")
            os.mkdir(closed, 0)
            done = subprocess.run([MUX, "exec", "--chdir", closed, "--", "true"], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=PATIENCE, user=None if os.getuid() else 65534)
        self.assertEqual(done.returncode, 126, done.stderr)
        self.assertIn(b"closed: Permission denied", done.stderr)
        self.assertEqual(self.exit_of(shown(done.stdout))["error"], "EACCES")

    def test_directory(self):
        with tempfile.TemporaryDirectory() as folder:
            events = self.execute("--chdir", folder, "--allow-empty", "--", "pwd", status=0)
            self.assertEqual(self.output(events, "stdout").decode(), os.path.realpath(folder) + "\n")

    def test_last_output(self):
        """Each test that fails with its command has the last that it wrote, bounded, readable."""
        events = self.python("print('from stdout \\u20ac', flush=True)\n"
                             "os.write(2, b'x' * 10000 + b'\\xff from stderr\\n')\n"
                             "time.sleep(0.5)\n"
                             "os.kill(os.getpid(), 9)", status=128 + 9)
        last, = [event for event in events if event["file_name"] == "last output"]
        self.assertEqual((last["test_id"], last["test_status"], last["eof"]), ("second", None, True))
        self.assertLessEqual(len(content(last)), 4096 * 3)
        self.assertTrue(content(last).endswith("xx\ufffd from stderr\n".encode()), last)
        fail, = [event for event in events if event["test_status"] == "fail"]
        self.assertLess(events.index(last), events.index(fail))
        events = self.execute("--as-test", "t", "--", "sh", "-c", "echo why; exit 3", status=3)
        self.assertEqual(self.output(events, "last output"), b"why\n")
        self.assertIn(b"exited with status 3", self.output(events, "muxd"))
        self.assertNotIn("last output", [event["file_name"] for event in
                                         self.execute("--as-test", "t", "--", "echo", "fine", status=0)])

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
        self.assertEqual(self.output(events, "stdout"), b"typed\n")

    def test_ended_by_a_signal(self):
        """All that it started is gone, whichever signal it was that a process can catch."""
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGRTMIN + 3):
            process = subprocess.Popen([MUX, "exec", "--", "sh", "-c", "echo $$ >&2; sleep 1000"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            stream = b""
            while b"\n" not in stream:
                stream += os.read(process.stdout.fileno(), 4096)
            process.send_signal(number)
            stream += process.communicate(timeout=PATIENCE)[0]
            self.assertEqual(process.returncode, 128 + number)
            found = shown(stream)
            self.assertFalse(os.path.exists("/proc/%d" % int(self.output(found, "stderr"))))
            self.assertIn(self.exit_of(found)["stopped"],
                          ("mux exec got SIG%s" % signal.Signals(number).name[3:] if number < signal.SIGRTMIN else
                           "mux exec got signal %d" % number,))

    def test_stdin_from_above(self):
        """What comes down reaches the command; its early end of stdin ends nothing else."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            process = subprocess.Popen(
                [MUX, "exec", "--to", "127.0.0.1:%d" % listener.getsockname()[1], "--trust-network", "--as-test", "t",
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
        self.assertEqual(self.output(found, "stdout"),
                         b"got a key\n" + b"".join(b"%d\n" % i for i in range(1, 100001)))
        self.assertEqual(self.verdicts(found), [("t", "inprogress"), ("t", "success")])

    def test_a_pipe_both_ways(self):
        """--to -: packets come down by stdin; its end means that the other side is gone."""
        process = subprocess.Popen(
            [MUX, "exec", "--to", "-", "--", "sh", "-c",
             "echo $$ >&2; read line; echo got $line; exec sleep 1000"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(packet(file_name="stdin", file_bytes=b"a key\n"))
        process.stdin.flush()
        stream = b""
        while b"got a key" not in stream:
            stream += os.read(process.stdout.fileno(), 4096)
        stream += process.communicate(timeout=PATIENCE)[0]
        self.assertEqual(process.returncode, 75)
        self.assertFalse(os.path.exists("/proc/%d" % int(self.output(shown(stream), "stderr"))))
        self.assertEqual(self.exit_of(shown(stream))["stopped"], "stdin, by which packets come down, has ended")

    def test_a_pipe_whose_way_down_has_ended(self):
        """Before it begins, while a test runs: what became of the test, and of the command, reaches stdout."""
        events = self.execute("--to", "-", "--as-test", "t", "--", "sleep", "1000", status=75)
        self.assertEqual(self.verdicts(events), [("t", "inprogress"), ("t", "fail")])
        self.assertEqual(self.exit_of(events)["signal_name"], "TERM")
        self.assertIn("stdin, by which packets come down, has ended: the command is ended", self.said)
        process = self.start("exec", "--to", "-", "--", "/usr/bin/python3", "-c", WORKER + "time.sleep(1000)")
        stream = b""
        while ("second", "inprogress") not in self.verdicts(shown(stream, check=False)):
            stream += os.read(process.stdout.fileno(), 4096)
        process.stdin.close()
        stream += process.stdout.read()
        self.assertEqual(process.wait(PATIENCE), 75)
        events = shown(stream)
        self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "fail")])
        self.assertIn(b"it was killed by SIGTERM: stdin", self.output(events, "muxd"))
        self.assertEqual(self.exit_of(events)["signal_name"], "TERM")

    def test_grace_of_a_flood_that_nobody_reads(self):
        """All memory is full of what could not be sent: the command may write in its grace all the same."""
        with tempfile.TemporaryDirectory() as folder:
            code = "trap 'head -c 300000 /dev/zero; : > over; exit' TERM; while head -c 1000000 /dev/zero; do :; done"
            process = self.start("exec", "--to", "-", "--grace", "1000", "--chdir", folder, "--", "sh", "-c", code)
            process.stdout.read(1)
            time.sleep(0.5)  # with less it would be read as before: easier
            process.stdout.close()
            self.assertEqual(process.wait(PATIENCE), 75)
            self.assertTrue(os.path.exists(os.path.join(folder, "over")))

    def test_a_socket_both_ways(self):
        """As an agent starts it; the other side is gone, and the command ignores TERM."""
        ours, its = socket.socketpair()
        with ours, its:
            process = subprocess.Popen(
                [MUX, "exec", "--to", "-", "--grace", "0.2", "--", "sh", "-c",
                 "trap '' TERM; echo $$ >&2; while :; do sleep 1000; done"],
                stdin=its, stdout=its, stderr=subprocess.PIPE)
            its.close()
            stream = b""
            while b"\n" not in stream:
                stream += ours.recv(4096)
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 75)
        self.assertFalse(os.path.exists("/proc/%d" % int(self.output(shown(stream), "stderr"))))

    def test_stdin_from_a_file(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"written\n")
            file.flush()
            events = self.execute("--allow-empty", "--stdin", file.name, "--", "cat", status=0)
            self.assertEqual(self.output(events, "stdout"), b"written\n")
        self.execute("--stdin", "/no/such/file", "--", "cat", status=2)
        self.assertIn("--stdin /no/such/file: No such file", self.said)

    def test_nobody_takes_it(self):
        self.execute("--to", "unix:/no/such/socket", "--drain-timeout", "0.5", "--allow-empty",
                     "--", "true", status=75)
        self.assertIn("not reached", self.said)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([MUX, "exec", "--as-test", "t", "--", "sleep", "1000"], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual(done.returncode, 75)
        self.assertIn(b"nobody takes its results: the command is ended", done.stderr)

    def test_wrong_usage(self):
        for arguments, words in (((), "which command?"),
                                 (("--on-hang", "NOPE", "--", "true"), "a signal's name"),
                                 (("--on-hang", "", "--", "true"), "a signal's name"),
                                 (("--on-hang", "NOPE_SIG", "--", "true"), "a signal's name"),
                                 (("--on-hang", "sigabort", "--", "true"), "a signal's name"),
                                 (("--timeout", "soon", "--", "true"), "expected a time"),
                                 (("--as-test", "", "--", "true"), "the test's id"),
                                 (("--as-test", b"\xff", "--", "true"), "the test's id, in UTF-8"),
                                 (("--pty", "--stdin", "/dev/null", "--", "true"), "exclude"),
                                 (("--to", "mux:", "--", "true"), "mux:HOST:PORT"),
                                 (("--to", "file:/x", "--", "true"), "a place to connect to")):
            self.execute(*arguments, status=2)
            self.assertIn(words, self.said)
        self.execute("--", "true", env={"MUX_ENDPOINT": "mux:"}, status=2)
        self.assertIn("MUX_ENDPOINT=mux:", self.said)

    def test_untrusted_network(self):
        """Over TCP nobody types: said once, in words; the command goes on, and gets no end of its input."""
        above = Above(self, "--allow-empty", "--", "sh", "-c", "echo begun; read line; echo got $line",
                      trust=())
        above.until(b"begun")
        for _ in range(3):
            above.type(b"rm -rf\n")
        above.until(b"--trust-network", "muxd")
        above.process.terminate()
        events = above.end()
        self.assertNotIn(b"got", self.output(events, "stdout"))
        self.assertEqual(self.output(events, "muxd").count(b"input is dropped"), 1)
