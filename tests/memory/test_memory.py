"""The memory of connections and packets: goals of the design."""
import mmap
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import *

CONNECTIONS = 10000
IDLE_MOST_BYTES = 4096  # resident user memory of an idle connection, beyond the arena


class Memory(Case):
    def test_idle_connections(self):
        limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most < CONNECTIONS + 1000:
            self.skipTest("at most %d open files" % most)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, most))
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        path = os.path.join(self.folder(), "s")
        muxd = self.muxd(listen=("unix:" + path,), links=None)
        before = muxd.resident_bytes()
        socks = [self.socket("unix:" + path) for _ in range(CONNECTIONS)]
        # the last one is served, so all are
        socks[-1].sendall(packet(test_id="t"))
        self.until(lambda: muxd.stream(), "the packet of the last connection")
        each = (muxd.resident_bytes() - before) / CONNECTIONS
        print("%.0f bytes for an idle connection" % each, file=sys.stderr)
        self.assertLessEqual(each, IDLE_MOST_BYTES)
        self.assertGreater(each, 300)  # fewer: the measurement failed

    def test_no_allocation_per_packet(self):
        """Small and large packets, chatter, damage, ends of links, packets down: no allocation."""
        path = os.path.join(self.folder(), "count")
        with open(path, "wb") as file:
            file.write(bytes(8))
        upstream = self.upstream()
        env = dict(os.environ, LD_PRELOAD=os.environ["COUNT_MALLOC"], COUNT_MALLOC_FILE=path)
        muxd = self.muxd("--upstream", upstream.endpoint, env=env)
        upstream.accept()
        with open(path, "r+b") as file:
            shared = mmap.mmap(file.fileno(), 8)
        calls = lambda: int.from_bytes(shared[:8], sys.byteorder)
        socks = [self.socket(muxd.addresses[0]) for _ in range(10)]
        self.work(socks, upstream, 1)  # allocations at the first use happen now
        before = calls()
        self.assertGreater(before, 0)
        self.work(socks, upstream, 10)
        self.assertEqual(calls(), before)

    def work(self, socks, upstream, rounds):
        small = b"".join(packet(test_id="t%d" % i, test_status="inprogress") for i in range(300))
        large = packet(test_id="l", file_name="f", file_bytes=bytes(300000))
        end = packet(test_id="the end")
        for _ in range(rounds):
            for i, sock in enumerate(socks):
                sock.sendall(small + large + b"chatter\n" + small[:-1] + b"?" + end)
                upstream.read_until(lambda s: b"the end" in s)
                upstream.sock.sendall(packet(file_name="stdin", file_bytes=b"x", route_code=str(i)))
                self.assertTrue(sock.recv(1000))


if __name__ == "__main__":
    unittest.main()
