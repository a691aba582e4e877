"""
TCP segments for which lwIP's assertions, which Debian's build has, would end the process: each did so without
the engine's filter and guard.
"""
import frames
from port import *

STRANGER = "10.9.0.77"
MAC = b"\x02\xaa\0\0\0\x77"
TIMERS_SECONDS = 1.5  # lwIP's slow timer runs twice a second


class Segments(PortCase):
    def setUp(self):
        super().setUp()
        self.above = self.upstream()
        self.node = self.port("--memory", "16M", "--upstream", self.above.endpoint)
        self.above.accept()

    def peer(self, **keywords):
        """A connection that is link 0 and has sent bytes."""
        wire, own, to = frames.Wire(FAR), frames.address(STRANGER), frames.address(PORT4)
        to_mac = wire.find_mac(MAC, own, to)
        wire.close()
        peer = frames.Peer(FAR, (MAC, own), (to_mac, to), 4000, TCP_PORT)
        self.addCleanup(peer.close)
        peer.open(**keywords)
        window = keywords.get("window", 65535)
        peer.say(packet(test_id="hello"), window=window)
        self.assertEqual([e["test_id"] for e in self.above.read_events(1)], ["hello"])
        return peer

    def send_down(self, length):
        self.above.sock.sendall(packet(file_name="stdin", file_bytes=bytes(length), route_code="0"))

    def still_there(self):
        """muxd is running, and serves workers."""
        time.sleep(TIMERS_SECONDS)
        self.assertIsNone(self.node.process.poll(), self.node.log)
        worker = self.socket(WORKERS_AT)
        worker.sendall(packet(test_id="good"))
        self.finish(worker)
        self.above.read_until(lambda s: b"good" in s)
        self.assertIsNone(self.node.process.poll(), self.node.log)

    def test_far_sequence(self):
        """Half of all sequence numbers away: tcp_in.c "insane offset!"."""
        peer = self.peer()
        for distance in (1 << 31, (1 << 31) - 1, (1 << 31) - 99, (1 << 31) - 1459, 1 << 30, 70000, -70000):
            for length in (1, 100, 1460):
                peer.say(b"x" * length, at=-distance)
        self.still_there()

    def test_small_mss_later(self):
        """The MSS of a connection that has sent by a larger one: tcp_out.c "mss_local is too small"."""
        peer = self.peer()
        self.send_down(5000)
        peer.listen(0.3)
        for mss in (b"\0\1", b"\0\x30", b"\0\0"):
            peer.say(window=100, options=b"\x02\x04" + mss)
            self.send_down(500)
        peer.listen(0.3)
        self.still_there()

    def test_tiny_window_first(self):
        """A window of one byte, then of some more: tcp_out.c "mss_local is too small", too."""
        peer = self.peer(window=1)
        for window in (1, 2, 100, 65535):
            self.send_down(500)
            peer.listen(0.2)
            peer.say(window=window)
            self.send_down(500)
            peer.listen(0.2)
        self.still_there()

    def test_window_closed_on_all_sent(self):
        """Zero while segments are out, then all acknowledged: tcp.c "persist ticking with empty send buffer"."""
        peer = self.peer(window=4000)
        self.send_down(300)
        peer.listen(0.3)
        seen = peer.expected
        peer.say(window=0, acknowledge=seen - 200)
        peer.listen(8)  # lwIP sends again, and begins to probe
        peer.say(window=0, acknowledge=seen)
        peer.listen(3)
        self.still_there()

    def paused(self):
        """A peer whose link is not read: the upstream does not read, and a worker has filled the memory."""
        peer, worker = self.peer(), self.socket(WORKERS_AT)
        worker.settimeout(0.5)
        try:
            while True:
                worker.send(packet(test_id="t", file_name="log", file_bytes=bytes(60000)))
        except socket.timeout:
            return peer

    def test_beyond_the_window(self):
        """Out of order, over the window's edge: tcp_in.c "ooseq tcplen > rcv_wnd"."""
        peer = self.paused()
        room = peer.fill(700)
        peer.say(b"c" * 1400, at=room - 1)
        peer.say(b"d" * (room - 1))
        peer.listen(0.5)
        self.assertIsNone(self.node.process.poll(), self.node.log)

    def test_covered_end(self):
        """An end out of order, then what fills the window over it: tcp_in.c "tcplen > rcv_wnd"."""
        peer = self.paused()
        peer.fill(700)
        peer.say(b"c" * 10, at=100, flags=frames.ACK | frames.FIN)
        peer.say(b"d" * 1460)
        peer.listen(0.5)
        self.assertIsNone(self.node.process.poll(), self.node.log)


if __name__ == "__main__":
    unittest.main()
