"""Orders by mux ctl: drain, undrain, kick and stop, by route, through the nodes between; by real processes."""
import stat

from driver import *


class Tree(Case):
    """A driver, a muxd with a control socket, another one below it, and what a test puts there."""

    def tree(self, *options, upper=(), endpoint="mux:unix:%s"):
        self.place = self.folder()
        self.driver = Driver(self.path("driver"))
        self.addCleanup(self.driver.close)
        self.upper = self.muxd("--upstream", self.driver.endpoint, "--control",
                               "unix:" + self.path("ctl"), *upper,
                               listen=("unix:" + self.path("upper"), "127.0.0.1:0"))
        self.driver.accept()
        self.lower = self.node(*options, endpoint=endpoint)
        self.below = self.seen(lambda links: [link for link in links if link["node"]])[0]["segment"]

    def path(self, name):
        return os.path.join(self.place, name)

    def node(self, *options, name="lower", endpoint="mux:unix:%s"):
        above = endpoint % self.path("upper") if "%" in endpoint else endpoint
        return self.muxd("--upstream", above, *options, "--control", "unix:" + self.path(name + "-ctl"),
                         listen=("unix:" + self.path(name), "127.0.0.1:0"))

    def links(self, socket="ctl"):
        done = self.ctl("links", "--json", socket=socket)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def seen(self, condition, key="links", socket="ctl"):
        found = []

        def look():
            found[:] = [condition(self.links(socket)[key])]
            return found[0]
        self.until(look, "links")
        return found[0]

    def counter(self, name, socket="ctl"):
        return json.loads(self.ctl("counters", "--json", socket=socket).stdout)["muxd_%s_total" % name]["value"]

    def ctl(self, *words, socket="ctl", **keywords):
        return subprocess.run([MUX, "ctl", "unix:" + self.path(socket), *words], capture_output=True,
                              text=True, timeout=PATIENCE, **keywords)

    def order(self, *words, socket="ctl"):
        """One that is carried out; what mux ctl says."""
        done = self.ctl(*words, socket=socket)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def refused(self, *words, status=1, socket="ctl"):
        done = self.ctl(*words, socket=socket)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        return done.stderr

    def ask(self, request):
        """As mux ctl does, but with the patience of tests."""
        with connect("unix:" + self.path("ctl")) as asker, asker.makefile("rw") as file:
            file.write(request + "\n")
            file.flush()
            return json.loads(file.readline())

    def agent(self, *options, place="lower"):
        """Its route, as the upper node sees it."""
        agent = Agent("--to", "mux:unix:" + self.path(place), *options,
                      env=dict(os.environ, TMPDIR=self.folder()))
        self.addCleanup(agent.close)
        self.agents = getattr(self, "agents", {})
        route = self.driver.wait(lambda events: next(
            (route for route, _ in self.driver.messages("muxd.want", events) if route not in self.agents), None),
            "another agent's want")
        self.agents[route] = agent
        return route

    def exec(self, *command, options=(), to=None, stderr=subprocess.DEVNULL):
        """A mux exec below the lower node: the process, and its command's route."""
        mark = "here%d" % len(self.driver.events)
        process = subprocess.Popen([MUX, "exec", "--to", to or "mux:unix:" + self.path("lower"), *options,
                                    "--", "sh", "-c", "echo %s; %s" % (mark, command[0])],
                                   stdin=subprocess.DEVNULL, stderr=stderr)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, self.driver.wait(lambda events: next(
            (event["route"] for event in events if mark.encode() in event["content"]), None), mark)

    def busy(self, route, name="busy"):
        """A job that runs until it is stopped; its slot's route."""
        self.driver.job(route, name, ["sh", "-c", "echo in %s; exec sleep 1000" % name], as_test=name)
        return self.driver.wait(lambda events: next((event["route"] for event in events
                                                     if event["content"] == b"in %s\n" % name.encode()), None), name)

    def failure(self, test_id):
        return self.driver.wait(lambda events: next(
            (event["content"].decode() for event in events
             if event["test_id"] == test_id and event["status"] == 6), None), "failure of " + test_id)


class Orders(Tree):
    def test_drain_an_agent(self):
        """What runs is finished, nothing new is taken, links say so; undrain undoes it."""
        self.tree()
        route = self.agent("--slots", "2")
        self.driver.job(route, "runs", ["sh", "-c", "read line; echo $line"], as_test="runs")
        slot = route + "/" + self.driver.answer("runs", "begun")["slot"]
        after = len(self.driver.events)
        self.assertEqual(self.order("drain", route), route + ": takes no new jobs\n")
        self.driver.want(lambda want: want["draining"] and want["room"] == 0, after)
        self.seen(lambda drains: drains == [route], "draining")
        self.seen(lambda links: links[0]["draining"], socket="lower-ctl")
        self.assertIn("open, drains", self.ctl("links", socket="lower-ctl").stdout)
        self.assertIn("drain: " + route, self.ctl("links").stdout)
        self.driver.job(route, "new", ["true"])
        self.assertIn("it drains", self.driver.answer("new")["why"])
        self.driver.type(slot, b"on\n")
        self.assertEqual(self.driver.answer("runs", "ended")["status"], 0)
        answer = json.loads(self.order("undrain", route, "--json"))
        self.assertEqual(answer, {"order": "undrain", "route": route, "draining": False})
        self.seen(lambda drains: drains == [], "draining")
        self.driver.job(route, "again", ["true"], allow_empty=True)
        self.assertEqual(self.driver.answer("again")["status"], 0)

    def test_passed_on(self):
        """A node between passes on answers to orders that it did not give: that is no forgery."""
        self.tree()
        route = self.agent("--slots", "1")
        process, command = self.exec("exec sleep 1000", to="unix:" + self.path("lower"))
        self.order("drain", route)
        self.order("undrain", route)
        self.order("stop", command)
        process.wait(PATIENCE)
        self.order("stop", route)
        self.agents[route].process.wait(PATIENCE)
        for socket in ("ctl", "lower-ctl"):
            self.assertEqual(self.counter("orders_forged", socket), 0)

    def test_an_agent_that_ends(self):
        """It drains while its job runs; when it has ended, nobody shows that it does."""
        self.tree()
        route = self.agent("--slots", "1")
        slot = self.busy(route)
        self.order("drain", slot)
        self.agents[route].process.terminate()
        self.seen(lambda drains: sorted(drains) == [route, slot], "draining")
        self.order("stop", slot)
        self.assertEqual(self.agents[route].process.wait(PATIENCE), 0)
        for socket in ("lower-ctl", "ctl"):
            self.seen(lambda drains: drains == [], "draining", socket=socket)

    def test_drain_a_slot(self):
        self.tree()
        route = self.agent("--slots", "2")
        self.order("drain", route + "/1")
        self.seen(lambda drains: drains == [route + "/1"], "draining")
        self.assertIn("an order for slot 1: drain\n", self.agents[route].log())
        after = len(self.driver.events)
        self.order("drain", route)
        self.assertIn("its agent drains", self.refused("undrain", route + "/1"))
        self.order("undrain", route)
        self.assertIn("an order for all slots: undrain\n", self.agents[route].log())
        self.driver.want(lambda want: want["room"] == 4, after)
        self.seen(lambda drains: drains == [], "draining")

    def test_drain_a_node(self):
        """All below it drains, also what comes later, until it is undrained; what was drained by itself stays so."""
        self.tree()
        first = self.agent("--slots", "1")
        self.order("drain", first)
        other = self.agent("--slots", "1")
        after = len(self.driver.events)
        self.order("drain", self.below)
        self.driver.wait(lambda events: any(route == other and want["draining"] for route, want in
                                            self.driver.messages("muxd.want", events[after:])), "drain")
        later = self.agent("--slots", "1")
        self.seen(lambda drains: sorted(drains) == sorted([self.below, first, other, later]), "draining")
        self.assertIn("open, drains", self.ctl("links").stdout)
        self.assertIn("it drains", self.ctl("status", socket="lower-ctl").stdout)
        self.assertIn("the node above it drains", self.refused("undrain", other))
        self.order("undrain", self.below)
        self.seen(lambda drains: drains == [first], "draining")
        self.order("undrain", first)
        self.seen(lambda drains: drains == [], "draining")
        for route in (first, other, later):
            self.driver.job(route, route, ["true"], allow_empty=True)
            self.assertEqual(self.driver.answer(route)["status"], 0)

    def test_drain_this_node(self):
        """The one whose socket it is, and so all nodes below. A command goes on, and mux exec says nothing of it."""
        self.tree()
        route = self.agent("--slots", "1")
        command, at = self.exec("exec sleep 1000", stderr=subprocess.PIPE)
        self.order("drain", ".")
        self.order("undrain", ".")
        self.order("stop", at)
        self.assertEqual(command.communicate(timeout=PATIENCE)[1], b"")
        self.assertEqual(self.order("drain", "."), ".: takes no new jobs\n")
        self.seen(lambda drains: sorted(drains) == sorted([self.below, route]), "draining")
        self.assertFalse(json.loads(self.ctl("status", "--json").stdout)["takes_jobs"])
        self.assertIn("the node above it drains", self.refused("undrain", ".", socket="lower-ctl"))
        # it forgets what the node above said when that is gone
        self.upper.close()
        self.until(lambda: json.loads(self.ctl("status", "--json", socket="lower-ctl").stdout)["takes_jobs"],
                   "the end of the drain")

    def test_kick_a_worker(self):
        """Its tests fail with that reason; it may come back."""
        self.tree()
        worker = self.socket(self.lower.addresses[0])
        worker.sendall(packet(test_id="t", test_status="inprogress"))
        route = self.driver.wait(lambda events: next((event["route"] for event in events
                                                      if event["test_id"] == "t"), None), "the worker")
        self.assertEqual(self.order("kick", route), route + ": its link was closed\n")
        self.assertIn("an order: kick", self.failure("t"))
        self.assertEqual(worker.recv(1), b"")
        self.assertEqual(self.counter("links_kicked", "lower-ctl"), 1)
        self.assertIn("no link has its first segment", self.refused("kick", route))
        self.socket(self.lower.addresses[0]).sendall(packet(test_id="back", test_status="exists"))
        self.driver.wait(lambda events: any(event["test_id"] == "back" for event in events), "it")

    def test_kick_a_node(self):
        """It connects again, under its route, and its job goes on."""
        self.tree()
        route = self.agent("--slots", "1")
        self.driver.job(route, "j", ["sh", "-c", "read line; echo got $line"], as_test="t")
        slot = route + "/" + self.driver.answer("j", "begun")["slot"]
        for kicked in (route, self.below):
            after = len(self.driver.events)
            self.order("kick", kicked)
            self.assertEqual(self.driver.want(lambda want: not want["free"], after)[0], route)
        self.driver.type(slot, b"on\n")
        self.assertEqual(self.driver.answer("j", "ended")["status"], 0)

    def test_stop_a_job(self):
        self.tree()
        route = self.agent("--slots", "2")
        slot = self.busy(route)
        self.assertEqual(self.order("stop", slot), slot + ": is being ended\n")
        answer = self.driver.answer("busy", "ended")
        self.assertEqual((answer["status"], answer["why"]),
                         (128 + signal.SIGTERM, "it was stopped by an order"))
        self.assertIn("the slot has no job", self.refused("stop", slot))
        self.busy(route, "next")
        self.order("stop", route)
        self.assertEqual(self.driver.answer("next", "ended")["why"], "the agent ends")
        self.assertEqual(self.agents[route].process.wait(PATIENCE), 0)

    def test_stop_a_command(self):
        """A mux exec's, whether it is connected as a node or as a worker; one that ignores TERM is killed."""
        self.tree()
        for to in ("mux:unix:", "unix:"):
            process, route = self.exec("exec sleep 1000", to=to + self.path("lower"))
            self.assertEqual(self.order("stop", route), route + ": is being ended\n")
            self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGTERM)
            process, route = self.exec("trap '' TERM; while :; do sleep 0.1; done", options=("--grace", "0.2"),
                                       to=to + self.path("lower"))
            self.order("stop", route)
            self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGKILL)
            self.driver.wait(lambda events: any(route == r and exit["stopped"] == "an order from above" for r, exit
                                                in self.driver.messages("muxd.exit", events)), "its end")

    def test_stop_all_below_a_node(self):
        self.tree()
        self.assertIn("no node and no agent is below it", self.refused("stop", self.below))
        route = self.agent("--slots", "1")
        self.busy(route)
        process, _ = self.exec("exec sleep 1000")
        self.order("stop", self.below)
        self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGTERM)
        self.assertEqual(self.agents[route].process.wait(PATIENCE), 0)
        self.assertEqual(self.driver.answer("busy", "ended")["status"], 128 + signal.SIGTERM)
        self.assertIsNone(self.lower.process.poll())

    def test_refused(self):
        """Each in words, and with an exit status."""
        self.tree()
        route = self.agent("--slots", "1")
        _, command = self.exec("exec sleep 1000")
        for words, why in (
                (("drain", "77"), "no link has its first segment"),
                (("kick", "77"), "no link has its first segment"),
                (("drain", self.below + "/77"), "no link has its first segment"),
                (("drain", route + "/77"), "the agent has no such slot"),
                (("kick", route + "/0"), "a slot has no link"),
                (("drain", command), "one command runs here"),
                (("drain", command + "/1"), "nothing is below a command"),
                (("kick", "."), "this muxd has none to itself: the node above it can"),
                (("drain", route + "/0/1"), "the route is too long"),
                (("drain", route.replace("/", "//")), "a segment of the route is empty"),
                (("kick", "/" + route), "a segment of the route is empty"),
                (("stop", route + "/"), "a segment of the route is empty"),
                (("stop", self.below + "/" + "7" * 900), "no link has its first segment")):
            said = self.refused(*words)
            self.assertIn(why, said)
            self.assertEqual(said.count("\n"), 1, said)
        for words in (("drain",), ("drain", ""), ("drain", "x" * 1001), ("drain", "a\nb"), ("dance", "7"),
                      ("status", "7"), ("drain", "7", "8"), ("drain", "7", "--watch")):
            self.refused(*words, status=2)
        self.agents[route].process.kill()
        self.seen(lambda links: any(link["state"] == "away" for link in links), socket="lower-ctl")
        self.assertIn("its node is unreachable", self.refused("drain", route))

    def test_no_answer(self):
        """What does not know orders, or does not read, is said to be so after 5 s."""
        self.tree()
        worker = self.socket(self.lower.addresses[0])
        worker.sendall(packet(test_id="t", test_status="inprogress"))
        route = self.driver.wait(lambda events: next((event["route"] for event in events
                                                      if event["test_id"] == "t"), None), "the worker")
        self.assertIn("no answer within 5 s", self.ask("stop " + route)["error"])
        message, = packets(worker.recv(1 << 16))[0]
        order = json.loads(fields(message)["content"])
        self.assertEqual((fields(message)["file"], order["v"], order["do"]), ("muxd.control", 1, "stop"))
        self.order("kick", route)  # that is always possible

    def test_who_may(self):
        """The socket's permissions decide; the log says who it was."""
        self.tree()
        self.assertEqual(stat.S_IMODE(os.stat(self.path("ctl")).st_mode), 0o600)
        self.refused("drain", "77")
        self.upper.wait_log(r"control socket: pid \d+ \(uid %d\) orders: drain 77$" % os.getuid())
        if os.getuid():
            return
        os.chmod(self.place, 0o755)
        done = self.ctl("drain", self.below, user=65534)
        self.assertEqual(done.returncode, 1)
        self.assertIn("only muxd's user may", done.stderr)

    def test_jobs_where_no_agent_is(self):
        """For a muxd, a worker, a mux exec: each is refused, in words that name it."""
        self.tree()
        driver = self.driver
        worker = connect("unix:" + self.path("upper"))
        self.addCleanup(worker.close)
        worker.sendall(encoded(test_id="t", test_status="inprogress"))
        route = driver.wait(lambda events: next((event["route"] for event in events
                                                 if event["test_id"] == "t"), None), "its test")
        commands = [self.exec("exec sleep 1000", to=form + self.lower.addresses[0]) for form in ("mux:", "")]
        named, _ = self.exec("exec sleep 1000", options=("--slot", "rack7"))
        self.seen(lambda links: any(link["node"] == "rack7" for link in links), socket="lower-ctl")
        over_network = self.exec("exec sleep 1000", to="mux:" + self.lower.addresses[1])
        for name, place, why in ((None, None, "no route code"), ("node", self.below, "no route code"),
                                 ("w", route, "a worker is there"), ("c0", commands[0][1], "one command runs here"),
                                 ("c1", commands[1][1], "a worker is there"),
                                 ("net", over_network[1], "it comes over a network")):
            driver.job(place, str(name), ["true"])
            answer = driver.answer(str(name))
            self.assertEqual((answer["state"], answer["run"]), ("refused", "run"))
            self.assertIn(why, answer["why"])
        for place in (commands[0][1], route):
            for name in ("longer than the next", "parts" + place):
                driver.job(place, name, ["true"], ids=["id%d" % i for i in range(10000)])
                self.assertEqual(driver.answer(name)["state"], "refused")
        for process in [process for process, _ in commands + [over_network]] + [named]:
            process.terminate()

    def test_over_a_network(self):
        """A muxd takes and passes on orders and jobs from there only with --trust-network."""
        self.tree()
        port = self.upper.addresses[1]
        for options, is_trusted in (((), False), (("--trust-network",), True)):
            name = "net%d" % is_trusted
            lower = self.node(*options, name=name, endpoint="mux:" + port)
            route = self.agent("--slots", "1", place=name)
            below = route[:route.index("/")]
            if is_trusted:
                self.order("drain", route)
                self.order("undrain", route)
                self.order("drain", below)
                self.order("undrain", below)
                self.driver.job(route, "j", ["true"], allow_empty=True)
                self.assertEqual(self.driver.answer("j")["status"], 0)
                continue
            for words in (("drain", route), ("drain", below), ("kick", route), ("stop", below)):
                self.assertIn("it comes over a network", self.refused(*words))
            self.assertEqual(self.links(name + "-ctl")["draining"], [])
            self.driver.job(route, "no", ["true"])
            self.driver.job(route, "parts", ["true"], ids=["id%d" % i for i in range(10000)])
            for job in ("no", "parts"):
                answer = self.driver.answer(job)
                self.assertEqual(answer["state"], "refused")
                self.assertIn("it comes over a network", answer["why"])
            self.driver.order(route, "drain")  # without an id: a message says it
            self.driver.wait(lambda events: any(event["file"] == "muxd" and event["route"] == below and
                                                b"an order is refused" in event["content"]
                                                for event in events), "the refusal")
            self.assertGreaterEqual(self.counter("orders_refused", name + "-ctl"), 7)
        process, route = self.exec("exec sleep 1000", to="mux:" + self.lower.addresses[1])
        self.assertIn("it comes over a network", self.refused("stop", route))
        process.terminate()


if __name__ == "__main__":
    unittest.main()
