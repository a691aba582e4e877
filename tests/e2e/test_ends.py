"""The end of bundles: leaf, relay, end, and what happens when one of them dies."""
import threading

from harness import *

WINDOW = ("--window", "1M")


class Ends(Case):
    def tree(self, *options, grace="30"):
        """A leaf below a relay below an end; the relay can come again at its port."""
        self.options, self.end_options = WINDOW + ("--node-grace", grace), options
        self.relay_port, self.end_port = free_port(), free_port()
        self.end = self.start_end()
        self.relay = self.start_relay()
        self.leaf = self.muxd("--upstream", "mux:127.0.0.1:%d" % self.relay_port, *self.options)

    def start_end(self):
        return self.muxd(*self.options, *self.end_options, listen=("127.0.0.1:%d" % self.end_port,))

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
        # a leaf that was turned away before its relay had an upstream may have another segment than 0
        self.assertEqual(len({event["route_code"] for event in events}), 1)
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

    def test_the_end_is_killed(self):
        """Twice, under load, and with --sync: it goes on by its journal where its file stops."""
        for sync in ((), ("--sync",)):
            path = os.path.join(self.folder(), "out")
            self.tree("--upstream", "file:" + path, *sync)
            self.flood(6000)
            for least in (500000, 2000000):
                self.until(lambda: os.path.getsize(path) > least, "%d bytes" % least)
                self.end.process.kill()
                self.end.wait()
                self.end = self.start_end()
            self.until(lambda: b"t5999" in self.read(path), "the last test")
            self.assert_whole(path, 6000)
            self.assertEqual([node.end() for node in (self.leaf, self.relay, self.end)], [0, 0, 0])

    def test_tests_in_progress_when_the_end_is_killed(self):
        """Those of a leaf that lives go on; of one that died meanwhile they fail after the grace, and
        those of the end's own workers at once."""
        path = os.path.join(self.folder(), "out")
        self.tree("--upstream", "file:" + path, grace="2")
        other = self.muxd("--upstream", "mux:127.0.0.1:%d" % self.relay_port, *self.options)
        workers = [self.socket(node.addresses[0]) for node in (self.leaf, other, self.end)]
        for worker, name in zip(workers, ("lives", "dies", "own")):
            worker.sendall(packet(test_id=name, test_status="inprogress"))
            self.until(lambda: name.encode() in self.read(path), name)
        self.end.process.kill()
        other.process.kill()
        self.end.wait()
        self.end = self.start_end()
        self.until(lambda: self.read(path).count(b"dies") == 2, "the verdict")
        workers[0].sendall(packet(test_id="lives", test_status="success"))
        self.until(lambda: self.read(path).count(b"lives") == 2, "the result")
        self.assertEqual([(event["test_id"], event["test_status"]) for event in self.events(path)], [
            ("lives", "inprogress"), ("dies", "inprogress"), ("own", "inprogress"), ("own", "fail"),
            ("dies", "fail"), ("lives", "success")])

    def test_rotation(self):
        """By HUP, and killed between rename and HUP: both files together have all, once."""
        folder = self.folder()
        path = os.path.join(folder, "out")
        self.tree("--upstream", "file:" + path)
        self.flood(6000)
        for number, is_killed in ((1, False), (2, True)):
            self.until(lambda: os.path.exists(path) and os.path.getsize(path) > 500000, "some bytes")
            os.rename(path, "%s.%d" % (path, number))
            if is_killed:
                self.end.process.kill()
                self.end.wait()
                self.end = self.start_end()
            else:
                self.end.signal(signal.SIGHUP)
        self.until(lambda: os.path.exists(path) and b"t5999" in self.read(path), "the last test")
        events = sum((self.events(path + ending) for ending in (".1", ".2", "")), [])
        self.assertEqual([event["test_id"] for event in events], ["t%d" % n for n in range(6000)])
        self.assertEqual({event["route_code"] for event in events}, {"0/0/0"})

    def test_a_journal_that_is_no_journal(self):
        """It is put aside, and said; and a second muxd must not write the same file."""
        path = os.path.join(self.folder(), "out")
        with open(path + ".journal", "w") as file:
            file.write("something else")
        self.tree("--upstream", "file:" + path)
        self.assertIn("it is kept as .bad", "".join(self.end.log))
        self.assertTrue(os.path.exists(path + ".journal.bad"))
        self.until(lambda: os.path.exists(path + ".journal"), "the journal")
        second = subprocess.run([MUXD, *WINDOW, "--listen", "127.0.0.1:0", "--upstream", "file:" + path],
                                stderr=subprocess.PIPE, text=True)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another muxd writes it", second.stderr)

    def test_without_a_journal(self):
        """None can be made, as its name is too long: plain packets, and it is said; with --sync muxd does not
        start."""
        folder, name = self.folder(), "o" * 249
        path = os.path.join(folder, name)
        end = self.muxd("--upstream", "file:" + name, cwd=folder)
        self.assertIn("no journal can be made here", "".join(end.log))
        leaf = self.muxd("--upstream", "mux:" + end.addresses[0])
        self.socket(leaf.addresses[0]).sendall(packet(test_id="t", test_status="success"))
        self.until(lambda: os.path.getsize(path) > 0, "the packet")
        self.assertEqual([event["route_code"] for event in self.events(path)], ["0/0"])
        refused = subprocess.run([MUXD, "--sync", "--listen", "127.0.0.1:0", "--upstream",
                                  "file:" + name], cwd=folder, stderr=subprocess.PIPE, text=True)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("which --sync needs", refused.stderr)

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
