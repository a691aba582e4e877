"""Faults: a peer is killed, packets are lost, the upstream does not read."""
from cable import *


def numbered(count, body_bytes):
    return [packet(test_id="t%d" % i, file_name="f", file_bytes=bytes(body_bytes(i))) for i in range(count)]


def numbers(stream):
    """The numbers of its whole packets: a stream that broke off may end with part of a packet."""
    return [int(event["test_id"][1:]) for event in oracle.decode(stream)[:count_packets(stream)]]


class Faults(Cabled):
    def supervised(self, *options, address="rdma:%s:0" % NEAR):
        """(supervisor, muxd that listens on RDMA, with the supervisor as upstream)."""
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint, *MEMORY, *options, listen=(address,))
        supervisor.accept()
        return supervisor, top

    def send_steadily(self, muxd, packets):
        """Sends some 2 MB a second in the background, during all that the test does."""
        def work():
            with connect(muxd.addresses[0]) as sock:
                sock.settimeout(None)
                for one in packets:
                    sock.sendall(one)
                    time.sleep(len(one) / 2e6)
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def test_killed_under_load(self):
        """kill -9 of the muxd above: no packet comes twice, the rest arrives when it is back."""
        stats = os.path.join(self.folder(), "stats")
        supervisor, top = self.supervised()
        leaf = self.muxd("--upstream", top.addresses[0], *MEMORY, "--stats-json", stats)
        sent = numbered(1000, lambda i: i % 9 * 2000)
        thread = self.send_steadily(leaf, sent)
        before = supervisor.read_until(lambda s: len(s) > 1 << 20)
        top.process.kill()
        before = supervisor.read_until(lambda s: False, before)
        leaf.wait_log("lost")
        again = self.muxd("--upstream", supervisor.endpoint, *MEMORY, "--exit-after", "1",
                          listen=(top.addresses[0],))
        supervisor.accept()
        last = ("t%d" % (len(sent) - 1)).encode()
        after = supervisor.read_until(lambda s: last in s[-40000:])
        thread.join(PATIENCE)
        self.assertIn(leaf.end(), (0, 75))  # 75: bytes that the killed one had not read are in doubt
        after = supervisor.read_until(lambda s: False, after)
        supervisor.sock.close()
        self.assertEqual(again.wait(), 0)
        counters = self.stats(stats)
        first, second = numbers(before), numbers(after)
        self.assertEqual(first, list(range(len(first))))
        self.assertEqual(second, list(range(second[0], len(sent))))
        doubles = len(first) - second[0]
        self.assertLessEqual(doubles, counters["muxd_resent_packets_total"])
        self.assertLessEqual(counters["muxd_resent_packets_total"], 1)
        self.assertEqual(counters["muxd_upstream_connects_total"], 2)
        self.assertEqual(counters["muxd_unsent_bytes_total"], 0)

    def test_a_killed_worker(self):
        """A leaf dies: the muxd above reports its tests at once, and serves the next leaf."""
        supervisor, top = self.supervised()
        leaf = self.muxd("--upstream", top.addresses[0], *MEMORY)
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="t", test_status="inprogress"))
        supervisor.read_events(1)
        leaf.process.kill()
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["test_status"], event["route_code"]), ("t", "fail", "0/0"))
        again = self.muxd("--upstream", top.addresses[0], *MEMORY)
        self.socket(again.addresses[0]).sendall(packet(test_id="next"))
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["route_code"]), ("next", "1/0"))

    def test_a_little_loss(self):
        top, leaf, path = self.tree(top=("--exit-after", "1"))
        loss(1)
        streams = [stream_of(i, 60, lambda k: k * 500) for i in range(4)]
        self.join(self.send_all(leaf, streams), 60)
        self.assertEqual(leaf.end(), 0)
        self.assertEqual(top.wait(), 0)
        self.same_streams(read(path), streams)

    def test_the_cable_is_pulled(self):
        """All packets are lost for a while. The node below notices and reconnects by itself; no packet comes
        twice, and it reports missing bytes as in doubt."""
        path = os.path.join(self.folder(), "stats")
        supervisor, top = self.supervised()
        leaf = self.muxd("--upstream", "mux:" + top.addresses[0], *MEMORY, "--stats-json", path)
        top.wait_log("is node ")
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="before"))
        supervisor.read_events(1)
        loss(100)
        sent = numbered(1000, lambda i: 100)
        worker.sendall(b"".join(sent))
        leaf.wait_log("lost")
        loss(0)
        stream = supervisor.read_until(lambda s: b"t999" in s)
        arrived = [int(event["test_id"][1:]) for event in oracle.decode(stream) if event["file_name"] == "f"]
        self.assertEqual(arrived, list(range(arrived[0], len(sent))))
        missing = sum(len(packet(test_id="t%d" % i, file_name="f", file_bytes=bytes(100), route_code="0"))
                      for i in range(arrived[0]))
        self.assertLessEqual(missing, self.fresh_stats(leaf, path)["muxd_in_doubt_bytes_total"])

    def test_upstream_does_not_read(self):
        """The worker is held, memory stays bounded; later the stream goes on, byte for byte."""
        supervisor, top = self.supervised()
        leaf = self.muxd("--upstream", top.addresses[0], *MEMORY)
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="first"))
        supervisor.read_events(1)
        resident = [muxd.resident_bytes() for muxd in (top, leaf)]  # including pinned memory
        blocks = [packet(test_id="t%d" % i, file_name="f", file_bytes=bytes([i & 255]) * size)
                  for i, size in enumerate([100] * 500 + [20000] * 10 + [200000])]
        block, sent, still = b"".join(blocks), 0, time.monotonic()
        worker.setblocking(False)
        while time.monotonic() - still < 2:
            try:
                sent += worker.send(block[sent % len(block):])
                still = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
            self.assertLess(sent, 100 << 20, "the worker was never held")
        for muxd, begin in zip((top, leaf), resident):
            self.assertLess(muxd.resident_bytes() - begin, 4 << 20)
        worker.setblocking(True)
        rest = block[sent % len(block):]
        thread = threading.Thread(target=worker.sendall, args=(rest,), daemon=True)
        thread.start()
        rounds = (sent + len(rest)) // len(block)
        routed = oracle.decode(block)
        for event in routed:
            event["route_code"] = "0/0"
        got = supervisor.read_until(lambda s: count_packets(s) >= rounds * len(blocks))
        self.same(oracle.decode(got), routed * rounds)
        thread.join(PATIENCE)

    def test_the_device_goes_away(self):
        """Its connections are lost. This kernel removes the device only when its users have ended."""
        supervisor, top = self.supervised()
        leaf = self.muxd("--upstream", "mux:" + top.addresses[0], *MEMORY, "--drain-timeout", "1")
        top.wait_log("is node ")
        removal = subprocess.Popen(["rdma", "link", "delete", "rxe1"])
        self.addCleanup(must, "rdma", "link", "add", "rxe1", "type", "rxe", "netdev", "ib1")
        self.addCleanup(removal.wait)
        self.addCleanup(leaf.close)
        leaf.wait_log("lost")
        top.wait_log("is unreachable")
        self.assertEqual(leaf.end(), 0)
        self.assertEqual(removal.wait(PATIENCE), 0)
        self.assertEqual(top.end(), 0)


if __name__ == "__main__":
    unittest.main()
