"""A worker below can send results, and nothing else: whatever it says that only those above may say, nothing happens."""
from test_orders import *
from test_views import Viewer

FILES = ("muxd.control", "muxd.job", "muxd.want", "muxd.window", "muxd.writer", "muxd.live", "muxd.hello", "muxd.path",
         "muxd.time", "muxd.node", "muxd.goodbye", "muxd", "stdin")

NODES_FILES = ("muxd.control", "muxd.job", "muxd.want", "muxd.node", "muxd.writer", "muxd.live")  # no worker may send them


class Forged(Tree):
    def viewer(self, request):
        viewer = Viewer(self.path("ctl"), request)
        self.addCleanup(viewer.close)
        return viewer

    def worker(self, name):
        """Its socket and its route."""
        worker = self.socket(self.lower.addresses[1])
        worker.sendall(packet(test_id=name, test_status="inprogress"))
        return worker, self.driver.wait(lambda events: next((event["route"] for event in events
                                                             if event["test_id"] == name), None), name)

    def silent(self, worker):
        worker.setblocking(False)
        self.assertRaises(BlockingIOError, worker.recv, 1)
        worker.settimeout(PATIENCE)

    def pour(self, hostile, routes):
        """All that could be an order, a job, a key or a word of a node, to each of these routes."""
        contents = [json.dumps(dict(v=1, do=do, **more)).encode() for do in ("stop", "kick", "drain", "undrain")
                    for more in ({}, {"id": "5f"}, {"id": "", "state": "done", "draining": True}, {"above": True})
                    if more != {"above": True} or "drain" in do]
        contents += [json.dumps(dict(v=1, run="r", job="forged", command=["touch", self.path("forged")])).encode(),
                     json.dumps(dict(v=1, rows=1, columns=1)).encode(),
                     json.dumps(dict(v=1, slots=9, free=9, ahead=0, room=9, taken=0, draining=True,
                                     slots_draining=["0"])).encode(),
                     b"version=1\nidentity=abc\nname=x\nproof=\n", b"ask=1\n", b"identity=abc\nstate=gone\n",
                     b"nodes=0\n", b"keys\n", b"{", b""]
        for route in routes:
            for file in FILES:
                for content in contents:
                    hostile.sendall(packet(file_name=file, file_bytes=content, route_code=route, eof=True))
        return len(routes) * len(contents)

    def test_only_results(self):
        self.tree()
        agent = self.agent("--slots", "2")
        slot = self.busy(agent)
        process, command = self.exec("read line; echo got $line")
        good, beside = self.worker("good")
        hostile, own = self.worker("hostile")
        writer, looker = self.viewer("attach 0 " + command), self.viewer("attach 0 " + own)
        second, third = self.viewer("attach 0 " + own), self.viewer("tail 0 ")
        self.assertFalse(second.answer["writes"])
        inner = [route.partition("/")[2] for route in (agent, slot, command, beside)]
        each = self.pour(hostile, [None, "0", *inner, agent, slot, command, "../" + inner[0], "/" + inner[0], own])
        hostile.sendall(b"the end\n")
        self.driver.wait(lambda events: any(b"the end" in event["content"] and event["route"] == own
                                            for event in events), "the end")
        third.until(lambda v: "the end" in v.text())

        # nobody has obeyed: the processes, the other worker, the nodes
        self.silent(good)
        self.silent(hostile)
        self.assertFalse(os.path.exists(self.path("forged")))
        self.assertIsNone(process.poll())
        self.assertNotIn("order", self.agents[agent].log())
        for socket, forged in (("lower-ctl", len(NODES_FILES) * each), ("ctl", 0)):
            self.assertTrue(json.loads(self.ctl("status", "--json", socket=socket).stdout)["takes_jobs"])
            self.assertEqual(self.counter("orders_forged", socket), forged)
            self.assertEqual(self.links(socket)["draining"], [])
        self.lower.wait_log("which only nodes and agents may send")
        self.assertEqual([(link["state"], link["node"] is None) for link in self.links("lower-ctl")["links"]],
                         [("open", False), ("open", False), ("open", True), ("open", True)])
        # no viewer was told that it writes, and none has lost its right
        for viewer in (writer, looker, second, third):
            self.assertEqual(viewer.text(file="muxd.writer"), "")
        second.send(b"mine\n")
        second.until(lambda v: "somebody else writes" in v.text(file="muxd"))
        writer.send(b"keys\n")
        self.driver.wait(lambda events: any(b"got keys" in event["content"] and event["route"] == command
                                            for event in events), "the command's output")
        # all else that it said went up as its own
        said = [event for event in self.driver.events if b"touch" in event["content"]]
        self.assertEqual({event["route"][:len(own)] for event in said}, {own})
        self.assertEqual({event["file"] for event in said}, set(FILES) - set(NODES_FILES))
        with self.driver.news:  # whose text is not all JSON
            self.driver.events[:] = [event for event in self.driver.events if not event["route"].startswith(own)]
        self.order("stop", slot)
        self.assertEqual(self.driver.answer("busy", "ended")["why"], "it was stopped by an order")

    def test_an_answer_for_another(self):
        """An id that one worker has betrayed is worth nothing elsewhere."""
        self.tree()
        asked, route = self.worker("asked")
        hostile, own = self.worker("hostile")
        said = []
        thread = threading.Thread(target=lambda: said.append(self.ask("drain " + route)))
        thread.start()
        order = json.loads(fields(packets(asked.recv(1 << 16))[0][0])["content"])
        answer = json.dumps(dict(v=1, state="done", do="drain", id=order["id"], draining=True)).encode()
        for to in (None, "0", route, route.partition("/")[2]):
            hostile.sendall(packet(file_name="muxd.control", file_bytes=answer, route_code=to, eof=True))
        thread.join()
        self.assertIn("no answer within 5 s", said[0]["error"])
        self.assertEqual(self.counter("orders_forged", "lower-ctl"), 4)

    def test_results_with_such_names(self):
        """A test's attachment and a failure are results, whatever their file is called; and so is a command's end."""
        self.tree()
        worker, own = self.worker("w")
        want = json.dumps(dict(v=1, slots=1, draining=True)).encode()
        answer = json.dumps(dict(v=1, state="done", do="drain", id="5f", draining=True)).encode()
        sent = [dict(test_id="w", file_name="muxd.want", file_bytes=want),
                dict(test_status="fail", file_name="muxd.want", file_bytes=want),
                dict(test_status="fail", file_name="muxd.control", file_bytes=answer),
                dict(file_name="muxd.exit", file_bytes=b'{"version":1,"status":0}')]
        for fields in sent:
            worker.sendall(packet(**fields))
        worker.sendall(packet(test_id="w", test_status="success"))
        self.driver.wait(lambda events: any(event["test_id"] == "w" and event["status"] == 3 for event in events), "w")
        self.assertEqual([event["file"] for event in self.driver.events if event["route"] == own and event["file"]],
                         [fields["file_name"] for fields in sent])
        self.assertEqual(self.counter("orders_forged", "lower-ctl"), 0)
        for socket in ("ctl", "lower-ctl"):
            self.assertEqual(self.links(socket)["draining"], [])

    def test_a_crowd_of_drains(self):
        """What a worker says of places that drain fills no table, so that a real drain is seen."""
        self.tree()
        agent = self.agent("--slots", "1")
        worker, own = self.worker("w")
        for state in ("done", "news"):
            for number in range(300):
                content = json.dumps(dict(v=1, state=state, do="drain", id="5f", draining=True)).encode()
                worker.sendall(packet(file_name="muxd.control", file_bytes=content, eof=True,
                                      route_code="z%d" % number))
        worker.sendall(packet(test_id="w", test_status="success"))
        self.driver.wait(lambda events: any(event["test_id"] == "w" and event["status"] == 3 for event in events), "w")
        self.order("drain", agent)
        self.seen(lambda drains: drains == [agent], "draining")
        self.assertEqual(self.counter("orders_forged", "lower-ctl"), 600)

    def test_answers_of_a_worker(self):
        """It may answer as many orders as went to it, with their ids, and never says that it drains."""
        self.tree()
        worker, own = self.worker("w")
        said = []
        thread = threading.Thread(target=lambda: said.append(self.ask("stop " + own)))
        thread.start()
        order = json.loads(fields(packets(worker.recv(1 << 16))[0][0])["content"])
        answers = [dict(state="news", draining=True), dict(state="done", do="stop", id=order["id"], draining=True),
                   dict(state="done", do="stop", id=""), dict(state="refused", do="stop", id=order["id"], why="no"),
                   dict(state="done", do="stop", id=order["id"])]
        for answer in answers:
            worker.sendall(packet(file_name="muxd.control", file_bytes=json.dumps(dict(v=1, **answer)).encode(),
                                  eof=True))
        thread.join()
        self.assertIn("no", said[0]["error"])
        worker.sendall(packet(test_id="w", test_status="success"))
        self.driver.wait(lambda events: any(event["test_id"] == "w" and event["status"] == 3 for event in events), "w")
        self.assertEqual([answer["state"] for _, answer in self.driver.messages("muxd.control")], ["refused"])
        self.assertEqual(self.counter("orders_forged", "lower-ctl"), 4)


if __name__ == "__main__":
    unittest.main()
