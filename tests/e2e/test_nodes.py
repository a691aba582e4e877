"""Node links: hello, loss and return, given up, refused."""
import random
import re
import socket
import threading
import zlib

from harness import *


class Nodes(Case):
    """Nodes that send each other plain packets."""

    def muxd(self, *options, **keywords):
        return super().muxd(*options, "--window", "0", **keywords)

    def tree(self, *options):
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint, *options)
        supervisor.accept()
        cable = Cable(top.addresses[0])
        self.addCleanup(cable.close)
        leaf = self.muxd("--upstream", cable.endpoint)
        top.wait_log("is node ")
        return supervisor, top, cable, leaf

    def worker(self, node, **fields):
        sock = self.socket(node.addresses[0])
        sock.sendall(packet(**fields))
        return sock

    def test_a_flap(self):
        """The cable is cut and mended: no test fails falsely, no test has two routes."""
        supervisor, top, cable, leaf = self.tree()
        worker = self.worker(leaf, test_id="t", test_status="inprogress")
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["route_code"]), ("t", "0/0"))
        for _ in range(3):
            cable.cut()
            top.wait_log("is unreachable")
            event, = supervisor.read_events(1)
            self.assertEqual((event["test_id"], event["file_name"], event["test_status"]),
                             (None, "muxd", None))
            self.assertIn("is unreachable", text(event))
            cable.mend()
            top.wait_log("is back")
        worker.sendall(packet(test_id="t", test_status="success"))
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["test_status"], event["route_code"]),
                         ("t", "success", "0/0"))
        # and packets down reach it again
        supervisor.sock.sendall(packet(file_name="stdin", file_bytes=b"x", route_code="0/0"))
        self.assertEqual(worker.recv(100), packet(file_name="stdin", file_bytes=b"x"))

    def test_a_flap_beside_a_dead_address(self):
        """The name has an address whose packets vanish: muxd first tries the one that worked, well
        within the grace."""
        hole = self.black_hole()
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint)
        supervisor.accept()
        cable = Cable(top.addresses[0], port=hole.port)
        self.addCleanup(cable.close)
        leaf = self.muxd("--upstream", "mux:" + hole.place, wrapper=self.two_addresses())
        worker = self.worker(leaf, test_id="t", test_status="inprogress")
        supervisor.read_events(1)
        for _ in range(3):
            cable.cut()
            top.wait_log("is unreachable")
            cable.mend()
            top.wait_log("is back")
        worker.sendall(packet(test_id="t", test_status="success"))
        events = supervisor.read_events(4)
        self.assertEqual([e["test_status"] for e in events], [None, None, None, "success"])

    def two_aggregators(self):
        """Two nodes at the two addresses of a name, a leaf connected to the second (the first started
        later), and its worker, whose test has begun."""
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            self.lacks("no IPv6 here: %s" % error)
        port = free_port()
        wrapper = self.two_addresses()
        home = self.muxd()
        cable = Cable(home.addresses[0], port=port)
        self.addCleanup(cable.close)
        leaf = self.muxd("--upstream", "mux:%s:%d" % (TWO_ADDRESSES, port), wrapper=wrapper)
        home.wait_log("is node ")
        other = self.muxd(listen=("[::1]:%d" % port,))
        worker = self.worker(leaf, test_id="t", test_status="inprogress")
        self.until(lambda: count_packets(home.stream()) == 1, "the test's beginning")
        self.until(cable.has_acknowledged, "the acknowledgement")
        return home, other, cable, leaf, worker

    def verdicts(self, *nodes):
        """Status and route of the test at each node that reported it."""
        return [[(e["test_status"], e["route_code"]) for e in oracle.decode(node.stream())
                 if e["test_id"] == "t"] for node in nodes]

    def test_a_flap_with_two_aggregators(self):
        """Both accept the leaf: it returns to the one that waits for it, so that no test fails."""
        home, other, cable, leaf, worker = self.two_aggregators()
        for _ in range(3):
            cable.cut()
            cable.mend()
            home.wait_log("is back")
            self.until(cable.has_acknowledged, "the acknowledgement")
        worker.sendall(packet(test_id="t", test_status="success"))
        self.finish(worker)
        # 75: a cut has left a word of the leaf itself in doubt
        self.assertIn(leaf.end(), (0, 75), leaf.log)
        for node in (home, other):
            self.assertEqual(node.end(), 0, node.log)
        self.assertEqual(self.verdicts(home, other),
                         [[("inprogress", "0/0"), ("success", "0/0")], []])
        self.assertFalse([line for line in other.log if "is node " in line])

    def test_one_of_two_aggregators_dies(self):
        """The other one is told of the test and its end; the dead one has reported no end."""
        home, other, cable, leaf, worker = self.two_aggregators()
        home.process.kill()
        home.wait()
        cable.close()
        begun = [("inprogress", "0/0")]
        self.until(lambda: self.verdicts(other) == [begun], "the test's beginning at the other one")
        worker.sendall(packet(test_id="t", test_status="success"))
        self.finish(worker)
        # after a reset it is in doubt whether everything was read
        self.assertIn(leaf.end(), (0, 75), leaf.log)
        self.assertEqual(other.end(), 0, other.log)
        self.assertEqual(self.verdicts(home, other), [begun, begun + [("success", "0/0")]])

    def test_a_list_of_upstreams(self):
        """The first one is taken; when it is killed the next one, and that is kept to."""
        ports = [free_port(), free_port()]
        first, second = (self.muxd(listen=("127.0.0.1:%d" % port,)) for port in ports)
        leaf = self.muxd(*(word for port in ports for word in ("--upstream", "mux:127.0.0.1:%d" % port)))
        worker = self.worker(leaf, test_id="t", test_status="success")
        self.until(lambda: count_packets(first.stream()) == 1, "the packet at the first one")
        first.process.kill()
        first.wait()
        second.wait_log("is node ")
        worker.sendall(packet(test_id="t", test_status="success"))
        self.until(lambda: count_packets(second.stream()) == 1, "the packet at the second one")
        again = self.muxd(listen=("127.0.0.1:%d" % ports[0],))
        leaf.wait_log("upstream 127.0.0.1:%d or 127.0.0.1:%d: connected to 127.0.0.1:%d" % (*ports, ports[1]))
        second.end()
        again.wait_log("is node ")
        self.finish(worker)
        self.assertIn(leaf.end(), (0, 75), leaf.log)

    def test_an_address_of_another_program(self):
        """The first address is no muxd: it is rejected, and the next one tried at once."""
        stranger = self.black_hole()
        while stranger.held:
            stranger.held.pop().close()
        stranger.listener.listen(5)
        answers = packet(test_id="I am no muxd")
        top = self.muxd()
        cable = Cable(top.addresses[0], port=stranger.port)
        self.addCleanup(cable.close)
        leaf = self.muxd("--upstream", "mux:" + stranger.place, wrapper=self.two_addresses())
        worker = self.worker(leaf, test_id="t")
        sock, _ = stranger.listener.accept()
        self.addCleanup(sock.close)
        sock.sendall(answers)
        leaf.wait_log("it has not answered: is it a muxd")
        top.wait_log("is node ")
        self.until(lambda: count_packets(top.stream()) == 1, "the packet")

    def test_a_node_that_does_not_come_back(self):
        supervisor, top, cable, leaf = self.tree("--node-grace", "0.5")
        worker = self.worker(leaf, test_id="t", test_status="inprogress")
        supervisor.read_events(1)
        leaf.process.kill()
        unreachable, failed = supervisor.read_events(2)
        self.assertIn("is unreachable", text(unreachable))
        self.assertEqual((failed["test_id"], failed["test_status"], failed["route_code"],
                          failed["file_name"]), ("t", "fail", "0/0", "muxd"))
        self.assertIn("was unreachable for", text(failed))
        other = self.muxd("--upstream", cable.endpoint)
        self.worker(other, test_id="new")
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["route_code"]), ("new", "1/0"))

    def test_a_worker_of_a_node_dies(self):
        """Its own node reports that, at once."""
        supervisor, top, cable, leaf = self.tree()
        worker = self.worker(leaf, test_id="t", test_status="inprogress")
        supervisor.read_events(1)
        reset(worker)
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["test_status"], event["route_code"]),
                         ("t", "fail", "0/0"))
        self.assertIn("lost", text(event))

    def test_a_loop(self):
        """A node that is its own upstream is told of the loop."""
        port = free_port()
        muxd = self.muxd("--upstream", "mux:127.0.0.1:%d" % port, "--drain-timeout", "0.2",
                         listen=("127.0.0.1:%d" % port,))
        muxd.wait_log("the upstream says: .*a loop")
        muxd.end()

    def test_a_refused_node_loses_nothing(self):
        """Packets wait in a refused node, and back-pressure reaches its workers."""
        port = free_port()
        muxd = self.muxd("--upstream", "mux:127.0.0.1:%d" % port, "--drain-timeout", "0.2",
                         listen=("127.0.0.1:%d" % port,))
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="t") * 10)
        for _ in range(3):
            muxd.wait_log("a loop")
        self.assertEqual(muxd.end(), 75)
        unsent = re.search(r"ending with (\d+) bytes not sent", "\n".join(muxd.log))
        self.assertGreaterEqual(int(unsent[1]), 10 * len(packet(test_id="t", route_code="0")))

    def test_an_upstream_that_is_no_node(self):
        supervisor = self.upstream()
        muxd = self.muxd("--upstream", "mux:" + supervisor.endpoint.split(":", 1)[1])
        supervisor.accept()
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        event, = supervisor.read_events(1)
        self.assertEqual(event["file_name"], "muxd.hello")
        muxd.wait_log("it has not answered: is it a muxd")

    def test_a_leaf_ends_in_order(self):
        """Its end is not waited for, and nothing is reported as unreachable."""
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint, "--exit-after", "2")
        supervisor.accept()
        for name in "ab":
            leaf = self.muxd("--upstream", "mux:" + top.addresses[0])
            top.wait_log("is node ")
            self.worker(leaf, test_id=name)
            event, = supervisor.read_events(1)
            self.assertEqual(event["test_id"], name)
            self.assertEqual(leaf.end(), 0)
        self.assertEqual(top.wait(), 0)
        self.assertEqual(supervisor.sock.recv(100), b"")

    def hello(self, identity, **more):
        lines = {"version": 1, "identity": identity, "name": "x", **more}
        return packet(file_name="muxd.hello",
                      file_bytes="".join("%s=%s\n" % line for line in lines.items()).encode())

    def test_away_while_all_places_are_taken(self):
        """A worker does not shorten a node's grace, and a returning node needs no worker's place."""
        supervisor = self.upstream()
        muxd = self.muxd("--upstream", supervisor.endpoint, "--max-links", "3")
        supervisor.accept()
        node = self.socket(muxd.addresses[0])
        node.sendall(self.hello("ab") + packet(test_id="t", test_status="inprogress"))
        muxd.wait_log("is node ")
        reset(node)
        muxd.wait_log("is unreachable")
        workers = [self.worker(muxd, test_id="w%d" % i) for i in range(4)]
        muxd.wait_log("is one more than --max-links 3")
        node = self.socket(muxd.addresses[0])
        node.sendall(self.hello("ab") + packet(test_id="t", test_status="success"))
        muxd.wait_log("is back")
        events = []
        while not events or events[-1]["test_status"] != "success":
            events += supervisor.read_events(1)
        self.assertEqual((events[-1]["test_id"], events[-1]["route_code"]), ("t", "0"))
        self.assertNotIn("fail", [event["test_status"] for event in events])
        self.assertEqual(len([e for e in events if e["test_id"] and e["test_id"][0] == "w"]), 3)

    def test_back_before_the_old_connection_is_gone(self):
        """A half-open connection: packets that came with the hello go up without another event."""
        supervisor = self.upstream()
        muxd = self.muxd("--upstream", supervisor.endpoint)
        supervisor.accept()
        hello = packet(file_name="muxd.hello", file_bytes=b"version=1\nidentity=ab\nname=x\n")
        old = self.socket(muxd.addresses[0])
        old.sendall(hello + packet(test_id="one"))
        supervisor.read_events(1)
        new = self.socket(muxd.addresses[0])
        new.sendall(hello + packet(test_id="two"))
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["route_code"]), ("two", "0"))

    def three_levels(self, end_middle):
        """The node in the middle ends and is started again; the leaf below it goes on."""
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint, "--node-grace", "600")
        supervisor.accept()
        place = "127.0.0.1:%d" % free_port()
        middle = self.muxd("--upstream", "mux:" + top.addresses[0], listen=(place,))
        leaf = self.muxd("--upstream", "mux:" + place, "--node-grace", "600")
        worker = self.worker(leaf, test_id="t", test_status="inprogress")
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["route_code"]), ("t", "0/0/0"))
        end_middle(middle)
        self.muxd("--upstream", "mux:" + top.addresses[0], listen=(place,))
        top.wait_log("a node below link 0/0 comes another way")
        leaf.wait_log("another one than before")
        worker.sendall(packet(test_id="t", test_status="success"))
        events = []
        while not events or events[-1]["test_status"] != "success":
            events += supervisor.read_events(1)
        self.assertEqual(events[-1]["route_code"], "1/0/0")
        self.assertEqual([(e["test_status"], e["route_code"]) for e in events if e["test_id"]],
                         [("inprogress", "1/0/0"), ("success", "1/0/0")])
        # tests in progress there now fail there, once
        worker.sendall(packet(test_id="u", test_status="inprogress"))
        reset(worker)
        began, failed = supervisor.read_events(2)
        self.assertEqual((failed["test_id"], failed["test_status"], failed["route_code"]),
                         ("u", "fail", "1/0/0"))

    def test_the_middle_ends_in_order(self):
        self.three_levels(lambda middle: self.assertEqual(middle.end(), 0))

    def test_the_middle_is_killed(self):
        self.three_levels(lambda middle: middle.close())

    def test_nothing_is_lost_when_the_middle_ends(self):
        """Under load: it tells the nodes below to leave, and reads to their end."""
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint, *NEVER)
        supervisor.accept()
        place = "127.0.0.1:%d" % free_port()
        options = ("--upstream", "mux:" + top.addresses[0], *NEVER)
        middle = self.muxd(*options, listen=(place,))
        leaf = self.muxd("--upstream", "mux:" + place, *NEVER)
        worker = self.socket(leaf.addresses[0])
        count = 20000

        def send():
            for number in range(count):
                worker.sendall(packet(test_id="t%05d" % number, test_status="success",
                                      file_name="f", file_bytes=bytes(1000)))
        stream = bytearray()

        def read():
            while data := supervisor.sock.recv(1 << 20):
                stream.extend(data)
        for target in send, read:
            threading.Thread(target=target, daemon=True).start()
        for number in 2000, 8000, 14000:
            self.until(lambda: b"t%05d" % number in stream, "the first packets")
            self.assertEqual(middle.end(), 0)
            middle = self.muxd(*options, listen=(place,))
        self.until(lambda: b"t%05d" % (count - 1) in stream, "the last packet")
        events = [e for e in oracle.decode(bytes(stream)) if e["test_id"]]
        self.assertEqual([e["test_id"] for e in events], ["t%05d" % n for n in range(count)])

    def test_a_thief_of_an_identity(self):
        """Without the secret of the first connection the thief is refused, and the node is unaffected."""
        supervisor = self.upstream()
        muxd = self.muxd("--upstream", supervisor.endpoint)
        supervisor.accept()
        node = self.socket(muxd.addresses[0])
        node.sendall(self.hello("ab", proof="") + packet(test_id="t", test_status="inprogress"))
        supervisor.read_events(1)
        answer, = oracle.decode(node.recv(4096))
        self.assertNotIn("identity=ab", text(answer))
        secret = re.search("secret=([0-9a-f]+)", text(answer))[1]
        for proof in ("", "00" * 16):
            thief = self.socket(muxd.addresses[0])
            thief.sendall(self.hello("ab", proof=proof) + packet(test_id="t", test_status="fail"))
            muxd.wait_log("is refused as a node: its identity is in use")
        back = self.socket(muxd.addresses[0])
        back.sendall(self.hello("ab", proof=secret) + packet(test_id="t", test_status="success"))
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_status"], event["route_code"]), ("success", "0"))

    def test_two_that_are_above_each_other(self):
        """Both report the loop, and no packet goes round."""
        places = ["127.0.0.1:%d" % free_port() for _ in range(2)]
        paths = [self.folder() + "/stats" for _ in range(2)]
        nodes = [self.muxd("--upstream", "mux:" + places[1 - i], "--drain-timeout", "0.2",
                           "--stats-json", paths[i], listen=(places[i],)) for i in range(2)]
        self.worker(nodes[0], test_id="t", test_status="inprogress")
        for node in nodes:
            node.wait_log("a loop")
        for node, path in zip(nodes, paths):
            node.end()
            self.assertLess(self.stats(path)["muxd_received_packets_total"], 100)

    def test_another_version(self):
        muxd = self.muxd()
        sock = self.socket(muxd.addresses[0])
        sock.sendall(packet(file_name="muxd.hello",
                            file_bytes=b"version=9\nidentity=ab\nname=future\n"))
        said = b""
        while True:
            data = sock.recv(65536)
            if not data:
                break
            said += data
        event, = oracle.decode(said)
        self.assertEqual((event["file_name"], event["test_status"]), ("muxd", "fail"))
        self.assertIn("version", text(event))
        self.assertEqual(muxd.end(), 0)
        self.assertEqual(muxd.stream(), b"")

    def test_cuts_under_load(self):
        """Packets arrive in order, each worker under one route, and no node is declared dead."""
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint)
        supervisor.accept()
        cables = [Cable(top.addresses[0]) for _ in range(5)]
        leaves = []
        for cable in cables:
            self.addCleanup(cable.close)
            leaves.append(self.muxd("--upstream", cable.endpoint))
        sent = bytearray()
        stop = threading.Event()
        stream = bytearray()

        def read():
            while not stop.is_set():
                try:
                    stream.extend(supervisor.sock.recv(1 << 20))
                except TimeoutError:
                    pass
        supervisor.sock.settimeout(0.1)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        workers = [(self.socket(leaf.addresses[0]), "%d.%d" % (i, k))
                   for i, leaf in enumerate(leaves) for k in range(20)]
        rng = random.Random(5)
        for number in range(60):
            for sock, name in workers:
                sock.sendall(packet(test_id="%s.%d" % (name, number), test_status="inprogress") +
                             packet(test_id="%s.%d" % (name, number), test_status="success"))
            if number % 5 == 4:
                cable = rng.choice(cables)
                cable.cut()
                time.sleep(0.05)
                cable.mend()
        for sock, name in workers:
            sock.sendall(packet(test_id=name + ".last", test_status="success"))
        self.until(lambda: stream.count(b".last") >= len(workers), "the last packets")
        stop.set()
        reader.join()
        events = [e for e in oracle.decode(bytes(stream)) if e["test_id"]]
        self.assertFalse([e for e in events if e["file_name"] == "muxd"])
        self.assertFalse([e for e in events if e["test_id"] == "subunit.parser"])
        routes, last = {}, {}
        for event in events:
            worker, _, number = event["test_id"].rpartition(".")
            self.assertEqual(routes.setdefault(worker, event["route_code"]), event["route_code"])
            number = 1000 if number == "last" else int(number)
            order = (number, event["test_status"] == "success")
            self.assertLess(last.get(worker, (-1, False)), order, event)
            last[worker] = order
        self.assertEqual(len(set(routes.values())), len(workers))
        self.assertGreater(len(events), 100 * 60)


class End:
    """The end of a tree, by script: takes bundles apart and acknowledges each when it is there."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.streams = {}  # [at, crc, epoch]
        self.content = b""

    def serve(self, enough):
        """Reads until enough(self), over as many connections as it takes."""
        while not enough(self):
            self.upstream.accept()
            rest = b""
            while not enough(self):
                chunk = self.upstream.sock.recv(1 << 20)
                if not chunk:
                    break
                rest = self._take(rest + chunk)

    def _take(self, stream):
        ends = packet_ends(stream)
        for begin, end in zip([0, *ends], ends):
            event, = oracle.decode(stream[begin:end])
            self._answer(event)
        return stream[ends[-1]:] if ends else stream

    def _say(self, event, word, **lines):
        content = "".join("%s=%s\n" % line for line in lines.items()).encode()
        self.upstream.sock.sendall(packet(file_name="muxd." + word, file_bytes=content, eof=True,
                                          route_code=event["route_code"]))

    def _ack(self, event, stream):
        at, crc, epoch = self.streams[stream]
        self._say(event, "ack", stream=stream, epoch=epoch, at=at, safe=at, crc="%08x" % crc,
                  end="e4" * 16)

    def _answer(self, event):
        name = event["file_name"]
        if name == "muxd.hello":
            self._say(event, "hello", version=1, identity="e4d0", name="end", bundles=1)
        elif name == "muxd.where":
            lines = dict(line.split("=") for line in text(event).splitlines())
            known = self.streams.setdefault(lines["stream"], [0, 0, 0])
            known[2] = max(known[2], int(lines["epoch"]))
            self._ack(event, lines["stream"])
        elif name == "muxd.bundle":
            self._bundle(event)

    def _bundle(self, event):
        stream, epoch, offset, crc = re.search("s=(.*);e=(.*);o=(.*);c=(.*)",
                                               event["mime_type"]).groups()
        known = self.streams[stream]
        content = base64.b64decode(event["file_b64"])
        if [int(offset, 16), int(crc, 16), int(epoch, 16)] != known:
            return
        known[0] += len(content)
        known[1] = zlib.crc32(content, known[1])
        self.content += content
        self._ack(event, stream)


# A muxd from before there were bundles, such as one that is built from the parent of the commit "mux: the
# messages between leaf and end, and bundles, as bytes". A muxd without --window says the same hello.
OLD = os.environ.get("OLD_MUXD", MUXD)
PLAIN = () if "OLD_MUXD" in os.environ else ("--window", "0")


class Bundles(Case):
    WINDOW = ("--window", "1M")

    def ids(self, stream):
        return [event["test_id"] for event in oracle.decode(stream) if event["test_id"]]

    def test_old_nodes_get_plain_packets(self):
        """Above a node with bundles, and below one."""
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint, *PLAIN, program=OLD)
        supervisor.accept()
        middle = self.muxd("--upstream", "mux:" + top.addresses[0], *self.WINDOW)
        leaves = [self.muxd("--upstream", "mux:" + middle.addresses[0], *options, program=program)
                  for program, options in ((MUXD, self.WINDOW), (OLD, PLAIN))]
        for number, node in enumerate([middle, *leaves]):
            worker = self.socket(node.addresses[0])
            worker.sendall(packet(test_id="t%d" % number, test_status="success"))
            self.finish(worker)
        stream = supervisor.read_until(lambda s: all(b"t%d" % n in s for n in range(3)))
        self.assertEqual(sorted(self.ids(stream[:packet_ends(stream)[-1]])), ["t0", "t1", "t2"])
        self.assertNotIn(b"muxd.bundle", stream)
        for node in [*leaves, middle]:
            self.assertEqual(node.end(), 0)

    def test_an_old_relay(self):
        """Between a leaf and an end that know of bundles, and beside a relay that does, too."""
        path, count = os.path.join(self.folder(), "out"), 500
        end = self.muxd("--upstream", "file:" + path, *self.WINDOW)
        relays = [self.muxd("--upstream", "mux:" + end.addresses[0], *options, program=program)
                  for program, options in ((OLD, PLAIN), (MUXD, self.WINDOW))]
        leaves = [self.muxd("--upstream", "mux:" + relay.addresses[0], *self.WINDOW) for relay in relays]
        for number, leaf in enumerate(leaves):
            worker = self.socket(leaf.addresses[0])
            worker.sendall(b"".join(packet(test_id="w%d.t%d" % (number, test), test_status="success")
                                    for test in range(count)))
            self.finish(worker)
        for node in [*leaves, *relays, end]:
            self.assertEqual(node.end(), 0)
        with open(path, "rb") as file:
            stream = file.read()
        ids = self.ids(stream)
        for number in range(len(leaves)):
            self.assertEqual([name for name in ids if name.startswith("w%d." % number)],
                             ["w%d.t%d" % (number, test) for test in range(count)])
        self.assertEqual(len(ids), len(leaves) * count)
        self.assertNotIn(b"muxd.bundle", stream)

    def test_a_relay_is_killed(self):
        """Whatever it had: all comes, once and in order, under the same stream."""
        end, port, count = End(self.upstream()), free_port(), 3000
        above = ("--upstream", end.upstream.endpoint.replace("tcp:", "mux:"), *self.WINDOW)
        relay = self.muxd(*above, listen=("127.0.0.1:%d" % port,))
        leaf = self.muxd("--upstream", "mux:127.0.0.1:%d" % port, *self.WINDOW)
        worker = self.socket(leaf.addresses[0])
        expected = ["t%d" % number for number in range(count)]
        packets = [packet(test_id=name, test_status="success", file_name="f", file_bytes=bytes(900))
                   for name in expected]
        sender = threading.Thread(target=worker.sendall, args=(b"".join(packets),))
        sender.start()
        end.serve(lambda end: len(end.content) > 100000)
        relay.process.kill()
        relay.wait()
        self.muxd(*above, listen=("127.0.0.1:%d" % port,))
        end.serve(lambda end: b"t%d" % (count - 1) in end.content)
        sender.join()
        self.assertEqual(self.ids(end.content), expected)
        self.assertEqual({event["route_code"] for event in oracle.decode(end.content)
                          if event["test_id"]}, {"0"})

    def test_another_relay(self):
        """Long before the grace is over the leaf comes by the other one: it need not wait."""
        end, ports = End(self.upstream()), [free_port(), free_port()]
        above = ("--upstream", end.upstream.endpoint.replace("tcp:", "mux:"), *self.WINDOW)
        relay = self.muxd(*above, listen=("127.0.0.1:%d" % ports[0],))
        leaf = self.muxd(*(word for port in ports for word in ("--upstream", "mux:127.0.0.1:%d" % port)),
                         *self.WINDOW, "--node-grace", "600")
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="t0", test_status="success"))
        end.serve(lambda end: b"t0" in end.content)
        relay.process.kill()
        relay.wait()
        worker.sendall(packet(test_id="t1", test_status="success"))
        self.muxd(*above, listen=("127.0.0.1:%d" % ports[1],))
        end.serve(lambda end: b"t1" in end.content)
        self.assertEqual(self.ids(end.content), ["t0", "t1"])

    def test_a_relay_that_is_cut_off(self):
        """The first one is there and has no upstream: it sends the leaf to the second one."""
        end, ports = End(self.upstream()), [free_port(), free_port()]
        nowhere = ("--upstream", "mux:127.0.0.1:%d" % free_port())
        above = ("--upstream", end.upstream.endpoint.replace("tcp:", "mux:"))
        for port, upstream in zip(ports, (nowhere, above)):
            self.muxd(*upstream, *self.WINDOW, listen=("127.0.0.1:%d" % port,))
        leaf = self.muxd(*(word for port in ports for word in ("--upstream", "mux:127.0.0.1:%d" % port)),
                         *self.WINDOW)
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="t0", test_status="success"))
        end.serve(lambda end: b"t0" in end.content)
        self.assertEqual(self.ids(end.content), ["t0"])
        leaf.wait_log("this node has no upstream")


if __name__ == "__main__":
    unittest.main()
