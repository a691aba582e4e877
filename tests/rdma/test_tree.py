"""TCP workers, a muxd, RDMA, a muxd, a file: every event arrives."""
from cable import *


class Tree(Cabled):
    def carry(self, streams, patience=PATIENCE, **keywords):
        top, leaf, path = self.tree(top=("--exit-after", "1"), **keywords)
        self.join(self.send_all(leaf, streams), patience)
        self.assertEqual(leaf.end(), 0)
        self.assertEqual(top.wait(), 0)
        self.same_streams(read(path), streams)

    def test_small_packets(self):
        before = counted("sent_pkts")
        self.carry([stream_of(i, 200, lambda k: k % 90) for i in range(8)])
        self.assertGreater(counted("sent_pkts"), before, "nothing went by RDMA")

    def test_bodies_of_all_sizes(self):
        """Below, at and above the size that is sent as a message, and larger than any buffer."""
        sizes = [0, 1, 255, 1000, 4095, 4096, 8191, 8192, 8193, 65535, 65536, 65537, 300000, 1 << 20]
        self.carry([stream_of(i, len(sizes), lambda k: sizes[k]) for i in range(4)], 60)

    def test_bodies_in_one_piece_are_not_copied(self):
        """TCP in and RDMA out, RDMA in and TCP out: only the bytes around a body are copied."""
        count, body, around_bytes = 20, os.urandom(20000), 100
        supervisor, folder = self.upstream(), self.folder()
        top = self.muxd("--upstream", supervisor.endpoint, *MEMORY, "--stats-json", folder + "/top",
                        listen=("rdma:%s:0" % NEAR,))
        supervisor.accept()
        leaf = self.muxd("--upstream", top.addresses[0], *MEMORY, "--stats-json", folder + "/leaf")
        worker = self.socket(leaf.addresses[0])
        for _ in range(count):
            worker.sendall(packet(test_id="t", file_name="log", file_bytes=body))
            event, = supervisor.read_events(1)
            self.assertEqual(base64.b64decode(event["file_b64"]), body)
        for muxd, name in ((leaf, "leaf"), (top, "top")):
            counters = self.fresh_stats(muxd, os.path.join(folder, name))
            self.assertGreaterEqual(counters["muxd_body_bytes_referenced_total"], count * len(body), name)
            self.assertLess(counters["muxd_body_bytes_copied_total"], count * around_bytes, name)

    def test_ipv6(self):
        self.carry([stream_of(0, 50, lambda k: 1000 * k)], place=NEAR6)

    def test_from_an_address(self):
        """The source address selects the device: here the other end's, which then talks to itself."""
        path = os.path.join(self.folder(), "out")
        top = self.muxd("--upstream", "file:" + path, *MEMORY, "--exit-after", "1",
                        listen=("rdma:%s:0" % NEAR,))
        leaf = self.muxd("--upstream", top.addresses[0] + ",from=10.9.0.2", *MEMORY)
        stream = stream_of(0, 20, lambda k: 1000 * k)
        self.join(self.send_all(leaf, [stream]))
        self.assertEqual((leaf.end(), top.wait()), (0, 0))
        self.same_streams(read(path), [stream])

    def test_a_node(self):
        """mux:rdma:...: hello and goodbye by RDMA."""
        top, leaf, path = self.tree(prefix="mux:")
        top.wait_log("is node ")
        streams = [stream_of(i, 30, lambda k: 3000 * k) for i in range(4)]
        self.join(self.send_all(leaf, streams))
        self.assertEqual((leaf.end(), top.end()), (0, 0))
        self.same_streams(read(path), streams)

    def test_the_way_down(self):
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint, *MEMORY, listen=("rdma:%s:0" % NEAR,))
        supervisor.accept()
        leaf = self.muxd("--upstream", top.addresses[0], *MEMORY)
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="t"))
        event, = supervisor.read_events(1)
        self.assertEqual((event["test_id"], event["route_code"]), ("t", "0/0"))
        for size in (1, 5000, 200000):
            body = os.urandom(size)
            supervisor.sock.sendall(packet(file_name="stdin", file_bytes=body, route_code="0/0"))
            expected = packet(file_name="stdin", file_bytes=body)
            got = b""
            while len(got) < len(expected):
                got += worker.recv(1 << 20)
            self.assertEqual(got, expected)

    def test_mux_send(self):
        """A worker that has only a pipe."""
        folder = self.folder()
        top = self.muxd("--exit-after", "2", *MEMORY, listen=("rdma:%s:0" % NEAR,))
        stream = stream_of(0, 100, lambda k: 200 * k)
        with open(os.path.join(folder, "in"), "wb") as file:
            file.write(stream)
        for source in (os.path.join(folder, "in"), "-"):
            with open(os.path.join(folder, "in"), "rb") as file:
                done = subprocess.run([MUX, "send", top.addresses[0], source], stdin=file,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        self.assertEqual(top.wait(), 0)
        links = by_segment(python_events(top.stream()))
        self.assertEqual(sorted(links), ["0", "1"])
        for events in links.values():
            self.same(merge_chatter(events), merge_chatter(python_events(stream)))

    def test_a_crowd(self):
        """500 workers at the same time."""
        count = 500
        folder = self.folder()
        stream = stream_of(0, 3, lambda k: 300 * k)
        with open(os.path.join(folder, "in"), "wb") as file:
            file.write(stream)
        top = self.muxd("--exit-after", str(count), *MEMORY, listen=("rdma:%s:0" % NEAR,))
        resident = top.resident_bytes()
        status, said = run(os.path.join(BUILD, "bench/bench-crowd"), top.addresses[0], str(count),
                           os.path.join(folder, "in"), "1", patience=120)
        self.assertEqual((status, said.splitlines()[:1]), (0, ["connected"]), said)
        self.assertLess(top.resident_bytes() - resident, 48 << 20)
        self.assertEqual(top.wait(), 0)
        links = by_segment(python_events(top.stream()))
        self.assertEqual(sorted(links, key=int), [str(i) for i in range(count)])
        expected = merge_chatter(python_events(stream))
        for events in links.values():
            self.same(merge_chatter(events), expected)


if __name__ == "__main__":
    unittest.main()
