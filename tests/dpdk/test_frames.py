"""Frames that no kernel sends: muxd goes on, and another worker's stream arrives whole."""
import random

import frames
from port import *

FUZZ_SECONDS = int(os.environ.get("MUXD_FUZZ_SECONDS", "30"))
BURST, PAUSE_SECONDS = 64, 0.004  # slow enough that the port does not drop frames unread
CONNECT_SECONDS = 0.1
STRANGER4, STRANGER6 = "10.9.0.77", "fd09::77"
SYNS = 50000
LARGEST_GROWTH_BYTES = 64 << 20


class GoodWorker(threading.Thread):
    """Sends all the time, on one lasting connection, and sometimes on a new one."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stop, self.sent, self.error = threading.Event(), [], None
        self.begun = threading.Event()
        self.start()
        self.begun.wait(PATIENCE)

    def run(self):
        rng = random.Random(1)
        try:
            lasting, stream, count = connect(WORKERS_AT), b"", 0
            while not self.stop.is_set():
                more = worker_stream("lasting.%d" % count, rng, 4) if count else packet(test_id="lasting")
                lasting.sendall(more)
                stream += more
                if count % 50 == 0:
                    self.sent.append(worker_stream("brief%d" % count, rng))
                    self.say(connect(WORKERS_AT), self.sent[-1])
                count += 1
                self.begun.set()
                time.sleep(0.01)
            self.say(lasting, b"")
            self.sent.append(stream)
        except OSError as error:
            self.error = error

    @staticmethod
    def say(sock, stream):
        sock.sendall(stream)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
        sock.close()


class Frames(PortCase):
    def stranger(self, seed):
        wire = frames.Wire(FAR)
        self.addCleanup(wire.close)
        hosts = [(STRANGER4, PORT4), (STRANGER6, PORT6)]
        return frames.Stranger(wire, seed, hosts, [TCP_PORT], spare=FAR4)

    def arrived_whole(self, muxd, worker):
        worker.stop.set()
        worker.join(PATIENCE)
        self.assertFalse(worker.is_alive(), "the good worker hangs")
        self.assertIsNone(worker.error)
        self.assertEqual(muxd.end(), 0)
        links = {events[0]["test_id"]: events for events in by_segment(oracle.decode(muxd.stream())).values()}
        for stream in worker.sent:
            wanted = oracle.decode(stream)
            events = links[wanted[0]["test_id"]]
            take_failed(events)
            self.same(events, wanted)

    def test_fuzzed(self):
        seed = int(os.environ.get("MUXD_SEED", time.time_ns() % 1000000))
        print("seed %d: again by MUXD_SEED=%d" % (seed, seed), flush=True)
        muxd = self.port()
        stranger, worker = self.stranger(seed), GoodWorker()
        before, sent, next_connect = muxd.resident_bytes(), 0, 0
        end = time.monotonic() + FUZZ_SECONDS
        while time.monotonic() < end:
            if time.monotonic() >= next_connect:
                stranger.introduce()
                stranger.connect(six=stranger.random.random() < 0.4)
                next_connect = time.monotonic() + CONNECT_SECONDS
            for _ in range(BURST):
                stranger.send()
            sent += BURST
            self.assertIsNone(muxd.process.poll(), "muxd died: %r" % muxd.log)
            time.sleep(PAUSE_SECONDS)
        print("%d frames" % sent)
        self.assertGreater(sent, FUZZ_SECONDS * 100)
        self.assertLess(muxd.resident_bytes() - before, LARGEST_GROWTH_BYTES)
        self.arrived_whole(muxd, worker)

    def test_own_address_as_source(self):
        """LAND: lwIP would pass such a frame to a thread that does not exist, and abort."""
        muxd = self.port()
        stranger, worker = self.stranger(1), GoodWorker()
        own4, own6 = frames.address(PORT4), frames.address(PORT6)
        loop4, loop6 = frames.address("127.0.0.1"), frames.address("::1")
        for source, to in ((own4, own4), (loop4, own4), (loop4, loop4), (own4, loop4), (own6, own6), (loop6, own6),
                           (loop6, loop6)):
            for flags in (frames.SYN, frames.ACK, frames.RST, frames.SYN | frames.ACK, frames.FIN):
                for ports in ((TCP_PORT, TCP_PORT), (1234, TCP_PORT), (TCP_PORT, 1234)):
                    segment = frames.tcp(source, to, *ports, 1, 1, flags)
                    self.send(stranger, source, to, frames.TCP, segment)
            self.send(stranger, source, to, frames.UDP, frames.udp(source, to, 7, 7, b"x"))
            if len(source) == 4:
                self.send(stranger, source, to, frames.ICMP, frames.icmp(8, 0, b"echo"))
            else:
                self.send(stranger, source, to, frames.ICMPV6, frames.icmpv6(source, to, 128, 0, b"echo"))
        time.sleep(0.5)
        self.arrived_whole(muxd, worker)

    def send(self, stranger, source, to, protocol, payload, mac=None):
        six = len(source) == 16
        packed = (frames.ipv6 if six else frames.ipv4)(source, to, protocol, payload)
        kind = frames.ETH_P_IPV6 if six else frames.ETH_P_IP
        stranger.wire.send(frames.ethernet(mac or stranger.to_mac, stranger.mac, kind, packed))

    def test_for_another_mac(self):
        """Frames that the port receives only because it is promiscuous are not answered."""
        muxd = self.port()
        stranger = self.stranger(2)
        source, to = frames.address(STRANGER4), frames.address(PORT4)
        other = bytes([stranger.to_mac[0], *stranger.to_mac[1:5], stranger.to_mac[5] ^ 1])
        answered = lambda f: f[:6] == stranger.mac and f[12:14] == b"\x08\0" and f[26:30] == to
        for mac, patience in ((other, 0.5), (stranger.to_mac, PATIENCE)):
            self.send(stranger, source, to, frames.TCP, frames.tcp(source, to, 99, TCP_PORT, 1, 0, frames.SYN), mac)
            answer = stranger.wire.receive(answered, patience)
            self.assertEqual(answer is not None, mac == stranger.to_mac)
        self.assertEqual(muxd.end(), 0)

    def test_syn_flood(self):
        """A worker's packets arrive while a stranger begins connections and abandons them."""
        muxd = self.port()
        stranger, worker = self.stranger(3), GoodWorker()
        source, to = frames.address(STRANGER4), frames.address(PORT4)
        before = muxd.resident_bytes()
        for i in range(SYNS):
            syn = frames.tcp(source, to, i & 0xFFFF, TCP_PORT, i, 0, frames.SYN)
            self.send(stranger, source, to, frames.TCP, syn)
            if i % BURST == 0:
                time.sleep(PAUSE_SECONDS)
        GoodWorker.say(connect(WORKERS_AT), packet(test_id="new"))
        self.assertLess(muxd.resident_bytes() - before, LARGEST_GROWTH_BYTES)
        self.arrived_whole(muxd, worker)

    def test_longer_than_a_buffer(self):
        """Frames of 9,000 bytes, which the port truncates."""
        for interface in (FAR, NEAR):
            ip("link", "set", interface, "mtu", "9000")
            self.addCleanup(ip, "link", "set", interface, "mtu", "1500")
        muxd = self.port()
        stranger, worker = self.stranger(4), GoodWorker()
        source, to = frames.address(STRANGER4), frames.address(PORT4)
        for length in (1480, 1500, 1600, 1900, 2000, 2048, 4000, 8900):
            self.send(stranger, source, to, frames.ICMP, frames.icmp(8, 0, bytes(length)))
            self.send(stranger, source, to, frames.TCP, frames.tcp(source, to, 5, TCP_PORT, 1, 0, frames.SYN,
                                                                   bytes(length)))
        time.sleep(1)
        self.arrived_whole(muxd, worker)


if __name__ == "__main__":
    unittest.main()
