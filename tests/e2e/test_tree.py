"""Two levels of muxd: routes get segments on the way up, and lose them on the way down."""
import socket

from harness import *


class Tree(Case):
    def tree(self):
        supervisor = self.upstream()
        top = self.muxd("--upstream", supervisor.endpoint)
        supervisor.accept()
        leaf = self.muxd("--upstream", "tcp:" + top.addresses[0])
        return supervisor, top, leaf

    def test_routes_of_two_levels(self):
        supervisor, top, leaf = self.tree()
        self.socket(top.addresses[0]).sendall(packet(test_id="direct"))
        event, = supervisor.read_events(1)
        self.assertEqual(event["route_code"], "0")
        for i in range(3):
            worker = self.socket(leaf.addresses[0])
            worker.sendall(packet(test_id="w%d" % i, route_code="x" if i == 2 else None))
            event, = supervisor.read_events(1)
            self.assertEqual((event["test_id"], event["route_code"]),
                             ("w%d" % i, "1/%d" % i + ("/x" if i == 2 else "")))

    def test_a_leaf_is_killed_and_replaced(self):
        """The new leaf is another link: segments are never reused."""
        supervisor, top, leaf = self.tree()
        for segment in range(2):
            self.socket(leaf.addresses[0]).sendall(packet(test_id="t"))
            event, = supervisor.read_events(1)
            self.assertEqual(event["route_code"], "%d/0" % segment)
            leaf.close()
            leaf = self.muxd("--upstream", "tcp:" + top.addresses[0])

    def test_the_top_is_killed_and_started_again(self):
        """Its leaf connects again with the same workers; packets that waited arrive."""
        supervisor, top, leaf = self.tree()
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="before"))
        supervisor.read_events(1)
        top.close()
        leaf.wait_log("lost")
        worker.sendall(packet(test_id="waits") * 1000)
        self.muxd("--upstream", supervisor.endpoint, listen=(top.addresses[0],))
        supervisor.accept()
        events = supervisor.read_events(1000)
        self.assertEqual({(e["test_id"], e["route_code"]) for e in events}, {("waits", "0/0")})
        self.assertEqual(len(events), 1000)

    def test_down_to_one_worker(self):
        """Only the named worker gets the packet, without its segments; a reply comes back."""
        supervisor, top, leaf = self.tree()
        workers = []
        for i in range(3):
            workers.append(self.socket(leaf.addresses[0]))
            workers[i].sendall(packet(test_id="hello"))
            supervisor.read_events(1)
        stdin = packet(file_name="stdin", file_bytes=b"p x\n", route_code="0/1")
        supervisor.sock.sendall(stdin + packet(file_name="stdin", file_bytes=b"c\n",
                                               route_code="0/1/deep"))
        got = b""
        while count_packets(got) < 2:
            got += workers[1].recv(4096)
        self.assertEqual(got, packet(file_name="stdin", file_bytes=b"p x\n") +
                         packet(file_name="stdin", file_bytes=b"c\n", route_code="deep"))
        workers[1].sendall(b"42\n(Pdb) ")
        events = supervisor.read_events(2)
        self.assertEqual("".join(map(text, events)), "42\n(Pdb) ")
        self.assertEqual({e["route_code"] for e in events}, {"0/1"})
        for other in (workers[0], workers[2]):
            other.setblocking(False)
            self.assertRaises(BlockingIOError, other.recv, 1)

    def test_unknown_segment_is_answered(self):
        supervisor, top, leaf = self.tree()
        self.socket(leaf.addresses[0]).sendall(packet(test_id="hello"))
        supervisor.read_events(1)
        for route, reply_route in (("7", None), ("0/9", "0")):
            supervisor.sock.sendall(packet(file_name="stdin", file_bytes=b"x", route_code=route))
            event, = supervisor.read_events(1)
            self.assertEqual((event["test_id"], event["test_status"], event["file_name"],
                              event["route_code"], event["mime_type"]),
                             (None, "fail", "muxd", reply_route, "text/plain;charset=utf8"))
            self.assertIn("no link has the segment", text(event))

    def test_unknown_segments_do_not_flood(self):
        supervisor, top, leaf = self.tree()
        supervisor.sock.sendall(packet(file_name="stdin", file_bytes=b"x", route_code="7") * 5000)
        worker = self.socket(top.addresses[0])
        stream = supervisor.read_until(lambda s: count_packets(s) >= 20)
        worker.sendall(packet(test_id="after"))
        stream = supervisor.read_until(lambda s: b"after" in s, stream)
        self.assertLess(count_packets(stream), 100)

    def test_for_this_node(self):
        """Without a route code a packet from above is the node's own: counted, not forwarded."""
        path = self.folder() + "/stats"
        supervisor = self.upstream()
        muxd = self.muxd("--upstream", supervisor.endpoint, "--stats-json", path)
        supervisor.accept()
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="hello"))
        supervisor.read_events(1)
        supervisor.sock.sendall(packet(test_id="own") + packet(file_name="stdin", file_bytes=b"x",
                                                               route_code="0"))
        self.assertEqual(count_packets(worker.recv(4096)), 1)
        muxd.signal()
        supervisor.read_until(lambda s: False)
        supervisor.sock.close()
        self.assertEqual(muxd.wait(), 0)
        self.assertEqual(self.stats(path)["muxd_down_own_packets_total"], 1)

    def test_a_link_that_does_not_read(self):
        """It delays packets down by a second at most; then its packets are refused, others go on."""
        supervisor = self.upstream()
        muxd = self.muxd("--upstream", supervisor.endpoint)
        supervisor.accept()
        deaf = socket.socket()
        self.addCleanup(deaf.close)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", muxd.port))
        deaf.sendall(packet(test_id="deaf"))
        supervisor.read_events(1)
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="good"))
        supervisor.read_events(1)
        block = packet(file_name="stdin", file_bytes=bytes(50000), route_code="0")
        threading.Thread(target=lambda: supervisor.sock.sendall(
            block * 200 + packet(file_name="stdin", file_bytes=b"x", route_code="1")),
            daemon=True).start()
        self.assertEqual(worker.recv(4096), packet(file_name="stdin", file_bytes=b"x"))
        stream = supervisor.read_until(lambda s: count_packets(s) >= 1)
        self.assertIn("does not read", text(oracle.decode(stream)[0]))


if __name__ == "__main__":
    unittest.main()
