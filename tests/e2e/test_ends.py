"""The end of bundles: leaf, relay, end, and what happens when one of them dies."""
import threading

from harness import *

WINDOW = ("--window", "1M")


class Ends(Case):
    def tree(self, *options, grace="30"):
        """A leaf below a relay below an end; the relay can come again at its port."""
        self.options = WINDOW + ("--node-grace", grace)
        self.relay_port = free_port()
        self.end = self.muxd(*self.options, *options)
        self.relay = self.start_relay()
        self.leaf = self.muxd("--upstream", "mux:127.0.0.1:%d" % self.relay_port, *self.options)

    def start_relay(self):
        return self.muxd("--upstream", "mux:" + self.end.addresses[0], *self.options,
                         listen=("127.0.0.1:%d" % self.relay_port,))

    def flood(self, count, size=900):
        """A worker sends the tests t0, t1, ... and stays."""
        worker = self.socket(self.leaf.addresses[0])
        packets = [packet(test_id="t%d" % number, test_status="success", file_name="f",
                          file_bytes=bytes(size)) for number in range(count)]
        sender = threading.Thread(target=worker.sendall, args=(b"".join(packets),))
        sender.start()
        self.addCleanup(sender.join)
        return worker

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()

    def events(self, path):
        stream = self.read(path)
        return [event for event in oracle.decode(stream[:([0] + packet_ends(stream))[-1]])
                if event["test_id"]]

    def assert_whole(self, path, count):
        events = self.events(path)
        self.assertEqual([event["test_id"] for event in events], ["t%d" % n for n in range(count)])
        self.assertEqual({event["route_code"] for event in events}, {"0/0/0"})
        self.assertNotIn(b"muxd.bundle", self.read(path))

    def test_once_in_order(self):
        """All packets of a worker, with the route of its leaf in front, as if there were no bundles."""
        path = os.path.join(self.folder(), "out")
        self.tree("--upstream", "file:" + path)
        worker = self.flood(3000)
        self.until(lambda: b"t2999" in self.read(path), "the last test")
        self.finish(worker)
        for node in (self.leaf, self.relay, self.end):
            self.assertEqual(node.end(), 0)
        self.assert_whole(path, 3000)

    def test_a_relay_is_killed(self):
        """Twice, under load, at any byte: nothing is missing, nothing doubled, the route stays."""
        path = os.path.join(self.folder(), "out")
        self.tree("--upstream", "file:" + path)
        self.flood(6000)
        for least in (500000, 2000000):
            self.until(lambda: os.path.getsize(path) > least, "%d bytes" % least)
            self.relay.process.kill()
            self.relay.wait()
            self.relay = self.start_relay()
        self.until(lambda: b"t5999" in self.read(path), "the last test")
        self.assert_whole(path, 6000)

    def test_a_leaf_is_killed(self):
        """Its tests fail when the grace is over: said by the end, and by nobody else."""
        path = os.path.join(self.folder(), "out")
        self.tree("--upstream", "file:" + path, grace="1")
        worker = self.socket(self.leaf.addresses[0])
        worker.sendall(packet(test_id="dies", test_status="inprogress"))
        self.until(lambda: b"dies" in self.read(path), "the test")
        self.leaf.process.kill()
        self.until(lambda: len(self.events(path)) > 1, "the verdict")
        begun, failed = self.events(path)
        self.assertEqual([(event["test_id"], event["test_status"], event["route_code"])
                          for event in (begun, failed)],
                         [("dies", "inprogress", "0/0/0"), ("dies", "fail", "0/0/0")])
        self.assertIn("was unreachable for 1 s while this test", text(failed))


if __name__ == "__main__":
    unittest.main()
