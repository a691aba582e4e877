"""mux agent: jobs that come down through muxd, and what becomes of them; by real processes."""
import random

from driver import *


class Agents(Case):
    def tree(self, *options, levels=1, node_options=()):
        """A driver, muxds on so many levels, and an agent with these options; the agent's route."""
        self.place = self.folder()
        self.driver = Driver(os.path.join(self.place, "driver"))
        self.addCleanup(self.driver.close)
        self.endpoint, self.nodes = self.driver.endpoint, []
        for level in range(levels):
            self.node(*node_options)
            if level == 0:
                self.driver.accept()
        return self.agent(*options)

    def node(self, *options):
        """A muxd below the one before, or the driver."""
        above, path = self.endpoint, "unix:" + os.path.join(self.place, "node%d" % len(self.nodes))
        self.nodes.append(self.muxd("--upstream", above, *options, listen=(path,)))
        self.endpoint = "mux:" + path

    def replace_last_node(self):
        """The one before was killed; another one listens in its place."""
        self.nodes.pop()
        self.endpoint = "mux:unix:" + os.path.join(self.place, "node%d" % (len(self.nodes) - 1))
        self.node()

    def agent(self, *options):
        """Starts one; its route, when it wants jobs."""
        after = len(self.driver.events)
        self.files = self.folder()
        self.mux_agent = Agent("--to", self.endpoint, *options,
                               env=dict(os.environ, TMPDIR=self.files))
        self.addCleanup(self.mux_agent.close)
        return self.driver.want(lambda want: want["room"], after)[0]

    def ended(self, status=0):
        self.assertEqual(self.mux_agent.process.wait(PATIENCE), status, self.mux_agent.log())

    def test_one_job(self):
        """Its output, its exit and the answers have the slot's route, in order."""
        for levels in (1, 2):
            route = self.tree("--slots", "1", levels=levels)
            self.assertEqual(route.count("/"), levels - 1)
            self.driver.job(route, "j", ["sh", "-c", "echo out $A; pwd; exit 3"],
                            environment={"A": "variable"}, directory="/usr")
            answer = self.driver.answer("j")
            self.assertEqual((answer["run"], answer["state"], answer["slot"], answer["status"]),
                             ("run", "ended", "0", 3))
            slot = route + "/0"
            self.assertEqual(self.driver.file(slot, "stdout"), b"out variable\n/usr\n")
            self.assertEqual([event["file"] for event in self.driver.events
                              if event["route"] == slot and event["file"] != "stdout"],
                             ["muxd.job", "muxd.exit", "muxd.job"])
            self.assertEqual(json.loads(self.driver.file(slot, "muxd.exit"))["status"], 3)
            self.mux_agent.process.terminate()
            self.ended()

    def test_ids(self):
        """As a file, as arguments, as lines on stdin; nothing is left of the files."""
        route = self.tree("--slots", "1")
        ids = ["pkg.test_%d" % i for i in range(1000)] + ["a b", "\u00e4"]
        for name, command, how in (
                ("file", ["sh", "-c", "cat $IDFILE; cmp $IDFILE $1", "sh", "$IDFILE"], "file"),
                ("list", ["sh", "-c", 'printf "%s\\n" "$@"', "sh", "$IDLIST"], "list"),
                ("stdin", ["cat"], "stdin")):
            before = len(self.driver.file(route + "/0", "stdout"))
            self.driver.job(route, name, command, ids=ids, ids_as=how, allow_empty=True)
            self.assertEqual(self.driver.answer(name)["status"], 0)
            self.assertEqual(self.driver.file(route + "/0", "stdout")[before:].decode(),
                             "".join(id + "\n" for id in ids))
        self.mux_agent.process.terminate()
        self.ended()
        self.assertEqual(os.listdir(self.files), [])

    def test_a_hundred_thousand_ids(self):
        route = self.tree("--slots", "1", levels=2)
        ids = ["some.package.module.TestCase.test_with_a_long_name_%06d" % i for i in range(100000)]
        self.driver.job(route, "j", ["sh", "-c", "wc -l < $IDFILE; tail -n 1 $IDFILE"], ids=ids,
                        allow_empty=True)
        self.assertEqual(self.driver.answer("j")["status"], 0)
        self.assertEqual(self.driver.file(route + "/0", "stdout").decode(),
                         "100000\n%s\n" % ids[-1])
        self.driver.job(route, "k", ["true", "$IDLIST"], ids=ids, ids_as="list")
        self.assertIn("Argument list too long", self.driver.answer("k")["why"])

    def test_a_keyboard(self):
        """What is typed to the slot reaches its command."""
        route = self.tree("--slots", "2")
        self.driver.job(route + "/1", "j", ["sh", "-c", "read line; echo got $line"],
                        as_test="smoke")
        self.assertEqual(self.driver.answer("j", "begun")["slot"], "1")
        self.driver.type(route + "/1", b"a key\n")
        self.assertEqual(self.driver.answer("j")["status"], 0)
        self.assertEqual(self.driver.file(route + "/1", "stdout"), b"got a key\n")

    def test_input_that_nobody_reads(self):
        """What was typed at a job that ended without reading it is no result: the agent has lost nothing."""
        route = self.tree("--slots", "1")
        self.driver.job(route, "j", ["sh", "-c", "echo begun; sleep 0.5; seq 100000"], allow_empty=True)
        self.driver.wait(lambda events: any(b"begun" in event["content"] for event in events), "the job")
        while not self.driver.answers("j")[1:]:
            self.driver.type(route + "/0", b"x" * 4000)
        self.assertEqual(self.driver.answer("j")["status"], 0)
        self.assertTrue(self.driver.file(route + "/0", "stdout").endswith(b"\n100000\n"))
        self.mux_agent.process.terminate()
        self.ended()

    def test_bad_jobs(self):
        """Each has one clear answer; the other slot's job is undisturbed."""
        route = self.tree("--slots", "2")
        self.driver.job(route + "/0", "good", ["sh", "-c", "read line; echo still $line"],
                        as_test="good")
        self.driver.answer("good", "begun")
        job = self.driver.job
        job(route, "v2", ["true"], v=2)
        job(route, "empty", [])
        job(route + "/7", "slot", ["true"])
        job(route + "/0/5", "deep", ["true"])
        job(route, "long", ["true"], environment={"A": "x" * 200000})
        job(route, "mask", ["true"], masks=["fine", "("])
        job(route, "hang", ["true"], limits=dict(on_hang="NOPE"))
        self.driver.text(route, "json", b"{]")
        # without a test id
        self.driver.send(route, file_name="muxd.job", eof=True,
                         file_bytes=b'{"v":1,"run":"r","job":"twice","job":"twice","command":["true"]}')
        self.driver.text(route, "name", json.dumps(dict(v=1, job="other", command=["x"])).encode())
        self.driver.send(route, test_id="gap", file_name="muxd.job", file_bytes=b"}", eof=True,
                         test_tags={"at=5"})
        for name, words in (("v2", "version 2"), ("empty", "name of a program"),
                            ("slot", "no such slot"), ("deep", "the route is too long"),
                            ("long", "Argument list too long"), ("json", "no JSON object: a character that"),
                            ("mask", '"masks": entry 1: a ( without its )'), ("hang", "a signal's name"),
                            ("twice", "a key stands twice, at byte"),
                            ("other", "another test id"), ("gap", "first part is missing")):
            answer = self.driver.answer(name)
            self.assertEqual(answer["state"], "refused", answer)
            self.assertIn(words, answer["why"])
        job(route, "long", ["true"], allow_empty=True)  # what was refused may be sent again
        self.assertEqual(self.driver.answer("long", "ended")["status"], 0)
        for name, keys, status, error in (
                ("missing", dict(command=["/no/such/command"]), 127, "ENOENT"),
                ("folder", dict(command=["true"], directory="/no/such/folder"), 126, "ENOENT")):
            job(route, name, **keys)
            answer = self.driver.answer(name)
            self.assertEqual((answer["state"], answer["status"]), ("ended", status), answer)
            self.assertEqual(self.driver.messages("muxd.exit")[-1][1]["error"], error)
        self.driver.order(route, "dance")
        self.driver.order(route + "/9", "stop")
        for words in (b"drain, undrain or stop", b"no such slot"):
            self.driver.wait(lambda events: any(event["file"] == "muxd" and words in event["content"]
                                                for event in events), words)
        job(route + "/0", "ahead", ["true"], allow_empty=True)
        job(route + "/0", "busy", ["true"])
        self.assertIn("slot 0 is busy", self.driver.answer("busy")["why"])
        job(route + "/0", "good", ["true"])
        self.driver.answer("good", "repeated")
        self.driver.type(route + "/0", b"there\n")
        self.assertEqual(self.driver.answer("good")["status"], 0)
        self.assertEqual(self.driver.answer("ahead")["status"], 0)
        job(route + "/0", "ahead", ["true"])
        self.driver.answer("ahead", "repeated")
        self.assertEqual(self.driver.file(route + "/0", "stdout"), b"still there\n")

    def test_limits(self):
        """They are those of mux exec."""
        route = self.tree("--slots", "1")
        self.driver.job(route, "j", ["sh", "-c", "echo secret; seq 100000; exec sleep 1000"],
                        limits=dict(timeout_s=0.5, grace_s=60, max_job_output_bytes=1000),
                        masks=["secret"], tags=["tag"])
        self.assertEqual(self.driver.answer("j")["status"], 128 + signal.SIGTERM)
        end = self.driver.messages("muxd.exit")[0][1]
        self.assertEqual(end["stopped"], "it ran longer than 0.5 s")
        output = self.driver.file(route + "/0", "stdout")
        self.assertNotIn(b"secret", output)
        self.assertLess(len(output), 100000)

    def test_a_terminal(self):
        route = self.tree("--slots", "1")
        self.driver.job(route, "j", ["sh", "-c", "tty; read line; echo got $line"], pty=True,
                        as_test="t")
        self.driver.wait(lambda events: b"/dev/pts" in self.driver.file(route + "/0", "stdout"), "tty")
        self.driver.type(route + "/0", b"a key\r")
        self.assertEqual(self.driver.answer("j")["status"], 0)
        self.assertIn(b"got a key", self.driver.file(route + "/0", "stdout"))

    def test_a_flood_of_bad_jobs(self):
        """A driver that does not read is not read from; each job has its answer in the end."""
        jobs, folder = 20000, self.folder()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(folder, "driver"))
            listener.listen()
            listener.settimeout(PATIENCE)
            agent = Agent("--to", "unix:" + os.path.join(folder, "driver"), "--slots", "1")
            self.addCleanup(agent.close)
            sock, _ = listener.accept()
        self.addCleanup(sock.close)
        flood = b"".join(encoded(test_id="j%d" % i, file_name="muxd.job", eof=True,
                                 file_bytes=b"{" + b" " * 1000) for i in range(jobs))
        sender = threading.Thread(target=sock.sendall, args=(flood,))
        sender.start()
        sender.join(1)  # long enough for the agent to take what it takes
        found, rest = [], b""
        while sum(event["file"] == "muxd.job" for event in found) < jobs:
            more, rest = packets(rest + sock.recv(1 << 20))
            found += map(fields, more)
        sender.join()
        self.assertEqual([json.loads(event["content"])["job"] for event in found
                          if event["file"] == "muxd.job"], ["j%d" % i for i in range(jobs)])

    def test_drain_by_term(self):
        """What runs ends well; what waits, and what comes, is given back."""
        route = self.tree("--slots", "1")
        self.driver.job(route, "runs", ["sh", "-c", "read line; exit 0"], as_test="t")
        self.driver.job(route, "waits", ["true"])
        self.driver.answer("runs", "begun")
        self.driver.want(lambda want: want["ahead"] == 1)
        self.mux_agent.process.terminate()
        self.assertEqual(self.driver.answer("waits")["state"], "refused")
        self.driver.want(lambda want: want["draining"] and want["room"] == 0)
        self.driver.job(route, "late", ["true"])
        self.assertIn("drains", self.driver.answer("late")["why"])
        self.driver.type(route + "/0", b"go on\n")
        self.assertEqual(self.driver.answer("runs")["status"], 0)
        self.ended()

    def test_a_second_term(self):
        """Its jobs are told to end, and all that they started is gone."""
        route = self.tree("--slots", "2")
        for i in range(2):
            self.driver.job(route, "j%d" % i, ["sh", "-c", "echo $$; setsid sleep 1000 & "
                                               "exec sleep 1000"])
        self.driver.wait(lambda events: sum(event["file"] == "stdout" for event in events) == 2,
                         "two jobs")
        pids = [int(event["content"]) for event in self.driver.events if event["file"] == "stdout"]
        self.mux_agent.process.terminate()
        self.driver.want(lambda want: want["draining"])
        self.mux_agent.process.terminate()
        for i in range(2):
            answer = self.driver.answer("j%d" % i)
            self.assertEqual((answer["state"], answer["why"]), ("ended", "the agent ends"))
        self.ended()
        self.assertFalse(any(map(lives, pids)))

    def test_orders(self):
        route = self.tree("--slots", "2")
        self.driver.order(route, "drain")
        self.driver.want(lambda want: want["draining"] and want["room"] == 0)
        self.driver.job(route, "a", ["true"])
        self.assertIn("drains", self.driver.answer("a")["why"])
        after = len(self.driver.events)
        self.driver.order(route, "undrain")
        self.driver.want(lambda want: want["room"] == 4, after)
        self.driver.order(route + "/0", "drain")
        self.driver.want(lambda want: want["room"] == 2, after)
        self.driver.job(route, "a", ["sh", "-c", "echo here; exec sleep 1000"])
        self.assertEqual(self.driver.answer("a", "begun")["slot"], "1")
        self.driver.wait(lambda events: self.driver.file(route + "/1", "stdout"), "output")
        self.driver.order(route + "/1", "stop")
        answer = self.driver.answer("a", "ended")
        self.assertEqual((answer["status"], answer["why"]),
                         (128 + signal.SIGTERM, "it was stopped by an order"))
        self.driver.order(route, "stop")
        self.ended()

    def test_a_stop_behind_the_begin(self):
        """The mux exec may not be ready yet: it is stopped all the same, and says how its command ended."""
        route = self.tree("--slots", "1")
        for i in range(10):
            self.driver.job(route, "j%d" % i, ["sleep", "1000"], as_test="t%d" % i)
            self.driver.answer("j%d" % i, "begun")
            self.driver.order(route + "/0", "stop")
            self.failed("t%d" % i, b"it was stopped by an order")
            self.assertEqual(self.driver.answer("j%d" % i, "ended")["status"], 128 + signal.SIGTERM)
        self.assertEqual(len(self.driver.messages("muxd.exit")), 10)

    def test_a_job_that_stops_its_keeper(self):
        """Its limits and orders hold all the same; one that never lets go is killed with it."""
        route = self.tree("--slots", "1")
        stop = "echo here; %s; exec sleep 1000"
        self.driver.job(route, "limit", ["sh", "-c", stop % "kill -STOP $PPID"], limits=dict(timeout_s=1))
        answer = self.driver.answer("limit", "ended")
        self.assertEqual((answer["status"], answer.get("why")), (128 + signal.SIGTERM, None))
        self.assertEqual(self.driver.messages("muxd.exit")[-1][1]["stopped"], "it ran longer than 1 s")
        self.driver.job(route, "order", ["sh", "-c", stop % "for i in 1 2 3; do kill -STOP $PPID; sleep 0.1; done"])
        self.driver.answer("order", "begun")
        self.driver.wait(lambda events: self.driver.file(route + "/0", "stdout").count(b"here") == 2, "the command")
        self.driver.order(route + "/0", "stop")
        self.assertEqual(self.driver.answer("order", "ended")["why"], "it was stopped by an order")
        self.driver.job(route, "again", ["sh", "-c", "echo pid $$; read line; while kill -STOP $PPID; do :; done"],
                        limits=dict(timeout_s=1000), as_test="t")
        self.driver.wait(lambda events: b"pid" in self.driver.file(route + "/0", "stdout"), "the command")
        self.driver.type(route + "/0", b"go\n")
        answer = self.driver.answer("again", "ended")
        self.assertEqual((answer["signal"], answer["why"]),
                         (signal.SIGKILL, "its mux exec was killed: it was stopped (SIGSTOP) again and again"))
        self.failed("t", b"was killed by SIGKILL: it was stopped")
        pid = int(self.driver.file(route + "/0", "stdout").split()[-1])
        self.until(lambda: not lives(pid), "its end")
        self.driver.job(route, "next", ["true"], allow_empty=True)
        self.assertEqual(self.driver.answer("next", "ended")["status"], 0)

    def test_what_a_job_prints(self):
        """It is not taken for what its mux exec or its agent says."""
        route = self.tree("--slots", "1")
        said = [("muxd.job", dict(v=1, run="run", job="j", state="ended", slot="0", status=0)),
                ("muxd.want", dict(v=1, slots=9, free=9, ahead=0, room=9, taken=0, draining=False)),
                ("muxd.exit", dict(version=1, status=0)), ("muxd.prompt", dict(version=1, waits=True, prompt="(Pdb) "))]
        code = ("import sys\nfrom subunit.v2 import StreamResultToBytes\nstream = StreamResultToBytes(sys.stdout.buffer)\n"
                "for file, content in %r:\n    stream.status(file_name=file, file_bytes=content, eof=True)\n"
                "stream.status(test_id='t', test_status='success')\nsys.exit(3)"
                % [(file, json.dumps(content).encode()) for file, content in said])
        self.driver.job(route, "j", ["/usr/bin/python3", "-c", code])
        self.assertEqual(self.driver.answer("j", "ended")["status"], 3)
        self.assertEqual([answer["state"] for answer in self.driver.answers("j")], ["begun", "ended"])
        (_, end), = self.driver.messages("muxd.exit")
        self.assertEqual((end["status"], end["forged_packets"]), (3, len(said)))
        self.assertEqual({place for place, _ in self.driver.messages("muxd.want")}, {route})
        self.assertEqual(self.driver.messages("muxd.prompt"), [])
        self.assertTrue(any(event["test_id"] == "t" and event["status"] == 3 for event in self.driver.events))

    def job_with_a_test(self, route, name):
        """Runs one that has a test in progress; the pid of its command."""
        code = ("import os, sys, time\nfrom subunit.v2 import StreamResultToBytes\n"
                "StreamResultToBytes(sys.stdout.buffer).status(test_id='%s', "
                "test_status='inprogress')\nprint(os.getpid(), flush=True)\ntime.sleep(1000)" % name)
        self.driver.job(route, name, ["/usr/bin/python3", "-c", code])
        slot = route + "/" + self.driver.answer(name, "begun")["slot"]
        self.driver.wait(lambda events: any(event["route"] == slot and event["file"] == "stdout"
                                            for event in events), "the pid")
        return int(self.driver.file(slot, "stdout").split()[-1])

    def failed(self, name, words):
        self.driver.wait(lambda events: any(event["test_id"] == name and event["status"] == 6 and
                                            words in event["content"] for event in events),
                         "failure of " + name)

    def test_killed_child(self):
        route = self.tree("--slots", "1")
        os.kill(self.job_with_a_test(route, "t"), signal.SIGKILL)
        self.failed("t", b"killed by SIGKILL")
        self.assertEqual(self.driver.answer("t", "ended")["status"], 128 + signal.SIGKILL)

    def test_killed_keeper(self):
        """Its job fails and leaves nothing; the other slot's goes on, and the slot can be used again."""
        route = self.tree("--slots", "2")
        other = self.job_with_a_test(route, "other")
        keepers = set(self.mux_agent.keepers())
        pid = self.job_with_a_test(route, "t")
        keeper, = set(self.mux_agent.keepers()) - keepers
        os.kill(keeper, signal.SIGKILL)
        self.failed("t", b"its mux exec was killed by SIGKILL")
        answer = self.driver.answer("t", "ended")
        self.assertEqual((answer["signal"], answer["signal_name"]), (9, "KILL"))
        self.until(lambda: not lives(pid), "the end of the command")
        self.assertTrue(lives(other))
        self.driver.job(route, "next", ["true"], allow_empty=True)
        self.assertEqual(self.driver.answer("next")["status"], 0)

    def test_killed_agent(self):
        """Its jobs end; the node reports their tests when its grace is over."""
        route = self.tree("--slots", "1", node_options=("--node-grace", "1"))
        pid = self.job_with_a_test(route, "t")
        self.mux_agent.process.kill()
        self.failed("t", b"")
        self.until(lambda: not lives(pid), "the end of the command")

    def test_grace_of_a_killed_agent(self):
        """Its jobs get TERM, and then their grace, in which they may write though nobody reads."""
        route = self.tree("--slots", "1")
        place = os.path.join(self.folder(), "place")
        self.driver.job(route, "j", ["sh", "-c", "trap 'head -c 300000 /dev/zero && echo over > %s; exit' TERM; echo here; "
                                     "while :; do sleep 0.1; done" % place], limits={"grace_s": 1000})
        slot = route + "/" + self.driver.answer("j", "begun")["slot"]
        self.driver.wait(lambda events: any(event["route"] == slot and event["file"] == "stdout"
                                            for event in events), "its trap")
        self.mux_agent.process.kill()
        self.until(lambda: os.path.exists(place), "what it does in its grace")

    def test_daemons_of_a_killed_agent(self):
        """What its jobs have put into sessions of their own ends with them."""
        route = self.tree("--slots", "1")
        self.driver.job(route, "d", ["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait"])
        slot = route + "/" + self.driver.answer("d", "begun")["slot"]
        self.driver.wait(lambda events: any(event["route"] == slot and event["file"] == "stdout"
                                            for event in events), "the pid")
        pid = int(self.driver.file(slot, "stdout"))
        self.mux_agent.process.kill()
        self.until(lambda: not lives(pid), "the end of the daemon")

    def test_files_of_a_killed_agent(self):
        """The next agent removes them: not those of one that lives, and what others have put there."""
        self.tree("--slots", "1")
        place = self.folder()
        precious = os.path.join(place, "precious")
        for folder in (precious, os.path.join(place, "mux-agent-shared"), os.path.join(place, "mux-agent-aaaaaab")):
            os.mkdir(folder, 0o755)
            open(os.path.join(folder, "mux.ids.0"), "w").close()
        os.chmod(precious, 0o700)
        os.symlink(precious, os.path.join(place, "mux-agent-linked"))
        kept = set(os.listdir(place))

        def start():
            after, before = len(self.driver.events), set(os.listdir(place))
            agent = Agent("--to", self.endpoint, "--slots", "1", env=dict(os.environ, TMPDIR=place))
            self.addCleanup(agent.close)
            route, _ = self.driver.want(after=after)
            return agent, route, set(os.listdir(place)) - before
        lives, _, living = start()
        killed, route, left = start()
        self.driver.job(route, "j", ["sleep", "1000"], ids=["secret"])
        self.driver.answer("j", "begun")
        os.symlink(precious, os.path.join(place, *left, "mux.ids.x"))
        self.assertIn("mux.ids.0", os.listdir(os.path.join(place, *left)))
        killed.process.kill()
        killed.process.wait()
        next_one, _, _ = start()
        self.assertIn("are removed: 1 folder\n", next_one.log())
        self.assertEqual(left & set(os.listdir(place)), set())
        self.assertEqual(living - set(os.listdir(place)), set())
        for agent in (lives, next_one):
            agent.process.terminate()
            self.assertEqual(agent.process.wait(PATIENCE), 0, agent.log())
        self.assertEqual(set(os.listdir(place)), kept)
        self.assertEqual(os.listdir(precious), ["mux.ids.0"])

    def test_an_environment_over_the_limit(self):
        """One string, or all together: refused in words, the slot is free, the next job runs."""
        route = self.tree("--slots", "1")
        for name, variables in (("one", {"A": "x" * 131072}),
                                ("all", {"A%d" % i: "x" * 130000 for i in range(60)})):
            self.driver.job(route, name, ["true"], environment=variables)
            answer = self.driver.answer(name)
            self.assertEqual(answer["state"], "refused")
            self.assertIn("Argument list too long (its arguments and its environment together)", answer["why"])
        self.driver.job(route, "next", ["true"], allow_empty=True)
        self.assertEqual(self.driver.answer("next")["status"], 0)

    def test_killed_node(self):
        """The agent connects to the next one, and its job goes on."""
        route = self.tree("--slots", "1", levels=2)
        self.driver.job(route, "j", ["sh", "-c", "read line; echo got $line"], as_test="t")
        self.driver.answer("j", "begun")
        self.nodes[-1].close()
        after = len(self.driver.events)
        self.replace_last_node()
        route, want = self.driver.want(lambda want: want["free"] == 0, after)
        self.driver.type(route + "/0", b"on\n")
        self.assertEqual(self.driver.answer("j")["status"], 0)

    def test_killed_node_of_a_test(self):
        """--as-test, nodes without bundles: the next node is told of the test, so it has one verdict although the
        first one's time is over."""
        self.tree("--slots", "1", levels=1, node_options=("--node-grace", "2", "--window", "0"))
        self.node()
        command = subprocess.Popen([MUX, "exec", "--to", self.endpoint, "--as-test", "whole", "--", "sleep", "1000"],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(command.wait)
        self.addCleanup(command.kill)

        def told(status, events):
            return [event["route"] for event in events if (event["test_id"], event["status"]) == ("whole", status)]
        self.driver.wait(lambda events: told(2, events), "the test")
        self.nodes[-1].close()
        self.replace_last_node()
        self.driver.wait(lambda events: len(told(2, events)) == 2, "the test at its new place")
        self.nodes[0].wait_log("is given up")
        command.terminate()
        self.driver.wait(lambda events: told(6, events), "its verdict")
        self.driver.wait(lambda events: self.driver.messages("muxd.exit", events), "its end")
        first, second = told(2, self.driver.events)
        self.assertNotEqual(first, second)
        self.assertEqual(told(6, self.driver.events), [second])

    def test_command_below_a_killed_node(self):
        """mux exec keeps what the end does not have: what is with a node when that is killed goes again, under the
        same route; and who exits with 0 knows that the end has all."""
        self.tree("--slots", "1", levels=1)
        self.node()
        go, results = os.path.join(self.place, "go"), os.path.join(self.place, "results")
        with open(results, "wb") as file:
            file.write(b"".join(packet(test_id="r%d" % number, test_status="success") for number in range(50)))
        command = [MUX, "exec", "--to", self.endpoint, "--as-test", "whole"]
        process = subprocess.Popen([*command, "--", "sh", "-c", 'while ! [ -e "$0" ]; do sleep 0.01; done; cat "$1"; '
                                    'touch "$0.done"; while [ -e "$0" ]; do sleep 0.01; done', go, results],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.driver.wait(lambda events: [event for event in events if event["test_id"] == "whole"], "the test")
        self.nodes[-1].process.send_signal(signal.SIGSTOP)
        open(go, "w").close()
        self.until(lambda: os.path.exists(go + ".done"), "the results")
        self.nodes[-1].close()
        self.replace_last_node()
        os.unlink(go)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.driver.wait(lambda events: [event for event in events if event["test_id"] == "whole"][1:], "its verdict")
        told = [(event["test_id"], event["status"], event["route"]) for event in self.driver.events if event["test_id"]]
        route = told[0][2]
        self.assertEqual(told, [("whole", 2, route), *(("r%d" % number, 3, route) for number in range(50)),
                                ("whole", 3, route)])

    def test_command_below_a_stopped_node(self):
        """What nobody has acknowledged when --drain-timeout is over has perhaps not arrived: 75, and it is said."""
        self.tree("--slots", "1", levels=1)
        node, go = self.nodes[-1].process, os.path.join(self.place, "go")
        process = subprocess.Popen([MUX, "exec", "--to", self.endpoint, "--as-test", "t", "--drain-timeout", "0.1", "--",
                                    "sh", "-c", 'while ! [ -e "$0" ]; do sleep 0.01; done', go],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        self.driver.wait(lambda events: [event for event in events if event["test_id"] == "t"], "the test")
        node.send_signal(signal.SIGSTOP)
        self.addCleanup(node.send_signal, signal.SIGCONT)
        open(go, "w").close()
        self.assertEqual(process.wait(PATIENCE), 75)
        self.assertIn("not sent", process.stderr.read())
        process.stderr.close()

    def test_lease(self):
        """When the node is away for too long, its jobs end; when it is back, it hears so."""
        route = self.tree("--slots", "1", "--lease", "1", levels=2)
        pid = self.job_with_a_test(route, "t")
        self.driver.job(route, "waits", ["true"])
        self.driver.want(lambda want: want["ahead"] == 1)
        self.nodes[-1].close()
        self.until(lambda: not lives(pid), "the end of the lease")
        self.replace_last_node()
        for name, state in (("t", "ended"), ("waits", "refused")):
            answer = self.driver.answer(name)
            self.assertEqual(answer["state"], state)
            self.assertIn("the lease is over", answer["why"])
        self.failed("t", b"was killed by SIGTERM: the lease is over")
        self.mux_agent.process.terminate()
        self.ended(0)  # what the killed node had not sent on went again

    def test_each_id_runs_once(self):
        """10,000 ids in jobs of uneven size for 50 slots of uneven speed."""
        route = self.tree("--slots", "50", levels=2)
        ids = ["pkg.test_%d" % i for i in range(10000)]
        random.Random(7).shuffle(ids)
        left, sent, names = list(ids), 0, []
        command = ["sh", "-c", "sleep 0.0$((MUX_SPEED % 10)); cat $IDFILE"]

        def room(events):
            """By the last want, without the jobs that it does not know of yet."""
            want = json.loads(next(event["content"] for event in reversed(events)
                                   if event["file"] == "muxd.want"))
            return want["room"] - (sent - want["taken"])

        while left:
            for _ in range(self.driver.wait(lambda events: max(0, room(events)), "room")):
                size = 1 + sent * 7 % 60
                names.append("job%d" % sent)
                self.driver.job(route, names[-1], command, ids=left[:size], allow_empty=True,
                                environment={"MUX_SPEED": str(sent)})
                left = left[size:]
                sent += 1
                if not left:
                    break
        self.driver.wait(lambda events: sum(answer["state"] in ("ended", "refused") for _, answer in
                                            self.driver.messages("muxd.job", events)) >= sent,
                         "all answers")
        ends = [answer for _, answer in self.driver.messages("muxd.job")]
        self.assertEqual(sorted(a["job"] for a in ends if a["state"] == "ended"), sorted(names))
        self.assertEqual({a["status"] for a in ends if a["state"] == "ended"}, {0})
        ran = [line for slot in range(50)
               for line in self.driver.file("%s/%d" % (route, slot), "stdout").decode().split()]
        self.assertEqual(sorted(ran), sorted(ids))
        self.assertGreater(len({a["slot"] for a in ends if a["state"] == "ended"}), 40)

    def test_over_a_network(self):
        """Only where it is trusted: see the next test, too."""
        self.place = self.folder()
        self.driver = Driver(os.path.join(self.place, "driver"))
        self.addCleanup(self.driver.close)
        node = self.muxd("--upstream", self.driver.endpoint)
        self.driver.accept()
        self.endpoint = "mux:" + node.addresses[0]
        route = self.agent("--trust-network", "--slots", "1")
        self.driver.job(route, "j", ["true"], allow_empty=True)
        self.assertEqual(self.driver.answer("j")["status"], 0)

    def test_wrong_usage(self):
        for options, words in ((("--to", "host"), "--trust-network"),
                               (("--to", "mux:host:1"), "whoever answers there"),
                               (("--to", "file:/x"), "a place to connect to"),
                               ((), "to which node?"),
                               (("--to", "unix:/x", "--slots", "0"), "1 to 512"),
                               (("--to", "unix:/x", "--slots", "many"), "1 to 512")):
            done = subprocess.run([MUX, "agent", *options], capture_output=True, text=True,
                                  timeout=PATIENCE)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
