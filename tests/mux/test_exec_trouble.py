"""mux exec: commands that misbehave, and ends that nobody planned: each is told, nothing is left."""
import errno
import resource

from execution import *

MUXD = os.environ["MUXD"]


class Trouble(ExecCase):
    def gone(self, pid):
        """A zombie is: PID 1 may take its time."""
        try:
            with open("/proc/%d/stat" % pid) as file:
                return file.read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def test_it_exits_before_it_reads(self):
        """Much was sent to its stdin: that is dropped, and its end is as it was."""
        above = Above(self, "--as-test", "t", "--", "sh", "-c", "exec 0<&-; echo out; sleep 0.5")
        above.until(b"out\n")
        try:
            for _ in range(100):
                above.type(b"x" * 10000)
        except OSError:
            pass  # it has gone already
        events = above.end(status=0)
        self.assertEqual(self.verdicts(events), [("t", "inprogress"), ("t", "success")])

    def test_an_environment_over_the_limit(self):
        """It fits for mux, and not for the command, whose interpreter has a long name: told, and the status says so."""
        folder = self.folder()
        interpreter = os.path.join(folder, "i" * (200 - len(folder)))
        os.symlink("/bin/sh", interpreter)
        script = os.path.join(folder, "s")
        with open(script, "w") as file:
            file.write("#!%s\n" % interpreter)
        os.chmod(script, 0o755)

        def run(size):
            """None: mux itself could not be started."""
            filler = {"A%d" % i: "x" * 100000 for i in range(size // 100000)}
            filler.update(A="x" * (size % 100000), ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", ""))
            try:
                return subprocess.run([MUX, "exec", "--", "./s"], env=filler, cwd=folder, capture_output=True,
                                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 21, 1 << 21)))
            except OSError as error:
                self.assertEqual(error.errno, errno.E2BIG)
        least, most = 100000, 1 << 20
        while most - least > 1:
            middle = (least + most) // 2
            if run(middle):
                least = middle
            else:
                most = middle
        done = run(least)
        self.assertEqual(done.returncode, 126, done.stderr)
        self.assertIn(b"mux exec: ./s: Argument list too long", done.stderr)
        end = self.exit_of(shown(done.stdout))
        self.assertEqual((end["error"], "status" in end), ("E2BIG", False))

    def test_it_ignores_what_can_be_ignored(self):
        """TERM and the rest; its children, too."""
        code = """
for number in range(1, 32):
    if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
for i in range(3):
    if os.fork() == 0:
        break
os.write(2, b'%d\\n' % os.getpid())
time.sleep(1000)"""
        process = self.start("exec", "--grace", "0.2", "--", "/usr/bin/python3", "-c", WORKER + code)
        stream = b""
        while self.output(shown(stream, check=False), "stderr").count(b"\n") < 4:
            stream += os.read(process.stdout.fileno(), 65536)
        process.terminate()
        stream += process.stdout.read()
        self.assertEqual(process.wait(PATIENCE), 128 + 15)
        end = self.exit_of(shown(stream))
        self.assertEqual((end["stopped"], end["signal_name"]), ("mux exec got SIGTERM", "KILL"))
        pids = [int(pid) for pid in self.output(shown(stream), "stderr").split()]
        self.assertEqual(len(pids), 4)
        self.until(lambda: all(self.gone(pid) for pid in pids), "their ends")

    def test_much_chatter(self):
        """100 MB, without limits: all of it, in order, beside the tests."""
        events = self.execute("--max-output", "0", "--max-job-output", "0", "--", "/usr/bin/python3", "-c", WORKER + """
line = b'%09d ' * 1000 + b'\\n'
for i in range(0, 10000000, 1000):
    os.write(1, line % tuple(range(i, i + 1000)))
stream.status(test_id='second', test_status='success')""", status=0)
        self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "success")])
        text = self.output(events, "stdout")
        self.assertEqual(len(text), 100000000 + 10000)
        numbers = text.split()
        self.assertEqual((len(numbers), numbers[0], numbers[-1]), (10000000, b"000000000", b"009999999"))

    def test_words_of_others(self):
        """What it prints is not taken for what mux exec, or an agent, says; all else of it goes up."""
        files = ("muxd.exit", "muxd", "muxd.prompt", "muxd.window", "muxd.job", "muxd.want", "muxd.control", "muxd.x\x1b[2J")
        events = self.execute("--", "/usr/bin/python3", "-c", WORKER + """
for name in %r:
    stream.status(file_name=name, file_bytes=b'{"version":1,"status":0}', eof=True)
    stream.status(test_id='second', file_name=name, file_bytes=b'attached')
stream.status(route_code='0', file_name='muxd.exit', file_bytes=b'{"version":1,"status":7}', eof=True)
stream.status(test_id='second', test_status='success')
print('the end', flush=True)
sys.exit(3)""" % (files,), status=3)
        own = [event for event in events if event["route_code"] is None]
        end = self.exit_of([event for event in own if event["test_id"] is None])
        self.assertEqual((end["status"], end["forged_packets"]), (3, len(files)))
        self.assertEqual([event["file_name"] for event in own if event["test_id"] == "second" and event["file_name"]],
                         list(files))
        self.assertEqual([event["file_name"] for event in own if event["test_id"] is None], ["stdout", "muxd.exit"])
        self.assertEqual(json.loads(content(*[event for event in events if event["route_code"] == "0"]))["status"], 7)
        self.assertEqual(self.verdicts(events), [*self.BEGUN, ("second", "success")])
        self.assertIn("/usr/bin/python3 has printed a packet with file muxd.exit, which it may not say itself", self.said)
        self.assertNotIn("\x1b", self.said)

    def test_below_another(self):
        """A mux exec in a mux exec: its tests count, and the outer one says how its own command ended."""
        events = self.execute("--", "sh", "-c", "%s exec --as-test inner -- sh -c 'exit 3'; exit 0" % MUX, status=4)
        self.assertEqual(self.verdicts(events), [("inner", "inprogress"), ("inner", "fail")])
        self.assertEqual(self.exit_of(events)["status"], 0)

    def test_stop_and_continue(self):
        """One that is stopped is ended by its limits all the same."""
        events = self.execute("--as-test", "t", "--idle-timeout", "1", "--grace", "0.2", "--", "sh", "-c",
                              "echo $$; kill -STOP $$", status=128 + 9)
        self.assertEqual(self.exit_of(events)["stopped"], "no output for 1 s")

    def test_the_node_is_killed(self):
        """kill -9 of the node above, and another one in its place: no test fails by that, nothing is lost."""
        path = os.path.join(self.folder(), "node")
        sink = os.path.join(self.folder(), "sink")

        def node():
            muxd = subprocess.Popen([MUXD, "--listen", "unix:" + path, "--upstream", "file:" + sink],
                                    stderr=subprocess.PIPE, text=True)
            self.addCleanup(muxd.stderr.close)
            self.addCleanup(muxd.wait)
            self.addCleanup(muxd.kill)
            self.assertTrue(any("listening on" in line for line in iter(muxd.stderr.readline, "")))
            return muxd

        def written():
            with open(sink, "rb") as file:
                return shown(file.read(), check=False)
        muxd = node()
        process = self.start("exec", "--to", "mux:unix:" + path, "--", "/usr/bin/python3", "-c", WORKER + """
for i in range(200):
    print('line', i, flush=True)
    time.sleep(0.01)
stream.status(test_id='second', test_status='success')""")
        self.until(lambda: os.path.exists(sink) and b"line 20\n" in self.output(written(), "stdout"), "its output")
        muxd.kill()
        muxd.wait()
        muxd = node()
        self.assertEqual(process.wait(PATIENCE), 0, process.stderr.read())
        self.until(lambda: [e for e in written() if e["file_name"] == "muxd.exit"], "the end")
        events = written()
        self.assertIn(("second", "success"), self.verdicts(events))
        self.assertNotIn("fail", [event["test_status"] for event in events if event["test_id"] in ("first", "second")])
        self.assertEqual(self.output(events, "stdout"), b"".join(b"line %d\n" % number for number in range(200)))

    def test_many_at_once_into_one_file(self):
        """make -j: each packet stays whole, and each command's are in order."""
        folder = self.folder()
        with open(os.path.join(folder, "Makefile"), "w") as file:
            file.write("N := $(shell seq 100)\nall: $(N)\n$(N):\n\t@$(MUX) exec --as-test t$@ --tag n$@ -- sh -c "
                       "'for i in `seq 10`; do echo $@ $$i; head -c 5000 /dev/zero | tr \\\\0 x; echo; done'\n")
        for mode in ("ab", "wb"):
            with open(os.path.join(folder, "out"), mode) as out:
                done = subprocess.run(["make", "-j", "20", "-s", "-C", folder], stdin=subprocess.DEVNULL, stdout=out,
                                      stderr=subprocess.PIPE, timeout=PATIENCE, env=dict(os.environ, MUX=os.path.abspath(MUX)))
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            with open(os.path.join(folder, "out"), "rb") as out:
                events = shown(out.read())
            by_tag = {}
            for event in events:
                by_tag.setdefault(event["test_tags"][0], []).append(event)
            self.assertEqual(set(by_tag), {"n%d" % n for n in range(1, 101)}, mode)
            for n in range(1, 101):
                own = by_tag["n%d" % n]
                self.assertEqual(self.verdicts(own), [("t%d" % n, "inprogress"), ("t%d" % n, "success")])
                self.assertEqual(self.output(own, "stdout"),
                                 b"".join(b"%d %d\n%s\n" % (n, i, b"x" * 5000) for i in range(1, 11)))


if __name__ == "__main__":
    unittest.main()
