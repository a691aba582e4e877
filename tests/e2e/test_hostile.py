"""Peers that want to stop the node: what they get, and what those beside them do not notice."""
from harness import *

LARGE = packet(test_id="large", file_name="log", file_bytes=bytes(4000000), eof=True)
MIDDLE = packet(test_id="middle", file_name="log", file_bytes=bytes(100000), eof=True)


class Hostile(Case):
    def good_stream_beside(self, muxd, stuck):
        """A worker's large and small packets get through, however many hold theirs back."""
        sent = LARGE + MIDDLE + packet(test_id="small") + LARGE
        good = muxd.connect()
        good.sendall(sent)
        self.finish(good)
        self.assertEqual(muxd.end(), 0)
        events = [e for e in python_events(muxd.stream()) if e["test_id"] in
                  ("large", "middle", "small")]
        self.same([e["test_id"] for e in events], ["large", "middle", "small", "large"])

    def test_headers_of_large_packets(self):
        """1,000 begun packets of a few bytes take no memory for large ones."""
        muxd = self.muxd("--memory", "16M")
        stuck = [self.socket(muxd.addresses[0]) for _ in range(1000)]
        for sock in stuck:
            sock.sendall(LARGE[:100])
        self.good_stream_beside(muxd, stuck)
        self.assertFalse([line for line in muxd.log if "wait for the memory" in line])

    def test_half_packets(self):
        """Those that hold a slot, and all that queue for one before the good worker, are evicted."""
        muxd = self.muxd("--memory", "16M")
        stuck = [self.socket(muxd.addresses[0]) for _ in range(8)]
        for i, sock in enumerate(stuck):
            sock.sendall((LARGE if i % 2 else MIDDLE)[:20000 + i])
        self.good_stream_beside(muxd, stuck)
        self.assertTrue([line for line in muxd.log if "wait for the memory" in line])


    def test_a_stray_header(self):
        """The beginning of a 4 MiB packet, then good ones at 10 a second: delivered in seconds."""
        muxd = self.muxd()
        sock = self.socket(muxd.addresses[0])
        sock.sendall(LARGE[:30])
        begin = time.monotonic()
        for i in range(50):
            sock.sendall(packet(test_id="t%d" % i))
            time.sleep(0.1)
            if time.monotonic() - begin > 4:
                self.assertGreater(len(muxd.stream()), 0)
        self.finish(sock)
        self.assertEqual(muxd.end(), 0)
        events = oracle.decode(muxd.stream())
        self.same([e["test_id"] for e in events],
                  ["subunit.parser"] * 2 + ["t%d" % i for i in range(50)])
        self.assertEqual(base64.b64decode(events[0]["file_b64"]), LARGE[:30])


    def test_a_jam(self):
        """Half packets in all receive buffers: an innocent worker is heard in seconds."""
        muxd = self.muxd("--memory", "16M")
        stuck = [self.socket(muxd.addresses[0]) for _ in range(150)]
        for sock in stuck:
            sock.setblocking(False)
            sock.send(LARGE[:300000])
        time.sleep(0.5)
        begin = time.monotonic()
        sock = self.socket(muxd.addresses[0])
        sock.sendall(packet(test_id="innocent"))
        self.until(lambda: b"innocent" in muxd.stream(), "the innocent worker's packet")
        self.assertLess(time.monotonic() - begin, 15)


if __name__ == "__main__":
    unittest.main()
