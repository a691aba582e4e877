"""Workers on the kernel's TCP, and their muxd on a DPDK port: every event arrives."""
import random
import socket

from port import *
from test_workers import pump

CROWD = 5000
HOSTS = 60  # more than the neighbour tables of Debian's lwIP hold
STUCK_SECONDS = 1


class Streams(PortCase):
    def descriptors(self, wanted):
        limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most != resource.RLIM_INFINITY and most < wanted:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, wanted))
                most = wanted
            except (OSError, ValueError):
                self.skipTest("at most %d descriptors here, and %d are needed" % (most, wanted))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, most))
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))

    def test_python_workers_through_two(self):
        """subunit.run -> DPDK -> TCP -> a second muxd -> file -> python-subunit."""
        folder = self.folder()
        with open(os.path.join(folder, "test_demo.py"), "w") as file:
            file.write("import os, unittest\nclass T(unittest.TestCase):\n"
                       "    def test_fail(self): self.fail('x' * 100000)\n"
                       "    def test_pass(self): pass\n"
                       "    def test_skip(self): self.skipTest(os.environ['WORKER'])\n")
        second = self.gathers("--exit-after", "1")
        first = self.port("--exit-after", "4", "--upstream", second.addresses[0])
        workers, sent = [], []
        for i in range(4):
            command = "/usr/bin/python3 -m subunit.run test_demo | tee out.%d | %s send %s" % (
                i, MUX, WORKERS_AT)
            workers.append(subprocess.Popen(["sh", "-c", command], cwd=folder, stdout=subprocess.DEVNULL,
                                            env=dict(os.environ, WORKER="worker %d" % i)))
        for worker in workers:
            self.assertEqual(worker.wait(PATIENCE), 0)
        self.assertEqual((first.wait(), second.wait()), (0, 0))
        links = by_segment(by_segment(python_events(second.stream()))["0"])
        self.assertEqual(sorted(links), ["0", "1", "2", "3"])
        for i in range(4):
            with open(os.path.join(folder, "out.%d" % i), "rb") as file:
                sent.append(python_events(file.read()))
        stamp = lambda events: next(e["timestamp"] for e in events if e["timestamp"])
        for events, wanted in zip(sorted(links.values(), key=stamp), sorted(sent, key=stamp)):
            self.same(events, wanted)

    def test_many_streams_through_two(self):
        """Small and large packets of 40 workers, half of them by IPv6."""
        rng = random.Random(1)
        second = self.gathers("--exit-after", "1")
        first = self.port("--exit-after", "40", "--upstream", second.addresses[0])
        sent = [worker_stream("w%d" % i, rng, 200) for i in range(40)]
        pump([connect(WORKERS_AT6 if i % 2 else WORKERS_AT) for i in range(40)], sent, rng)
        self.assertEqual((first.wait(), second.wait()), (0, 0))
        self.same_by_worker(second.stream(), sent, prefix="0")

    def test_upstream(self):
        """The port carries the stream up, to a muxd on the kernel's TCP."""
        rng = random.Random(2)
        second = self.gathers("--exit-after", "1")
        first = self.muxd("--exit-after", "20", "--upstream", upstream_endpoint(second.port))
        sent = [worker_stream("w%d" % i, rng, 200) for i in range(20)]
        pump([first.connect() for _ in sent], sent, rng)
        self.assertEqual((first.wait(), second.wait()), (0, 0))
        self.same_by_worker(second.stream(), sent, prefix="0")

    def test_upstream_and_back(self):
        """A packet that comes down through the port reaches its worker."""
        upstream = self.upstream()
        upstream.listener.close()
        upstream.listener = socket.create_server((FAR4, 0))
        upstream.listener.settimeout(PATIENCE)
        muxd = self.muxd("--upstream", upstream_endpoint(upstream.listener.getsockname()[1]))
        upstream.accept()
        workers = [self.socket(muxd.addresses[0]) for _ in range(2)]
        for worker in workers:
            worker.sendall(packet(test_id="hello"))
            upstream.read_events(1)
        answer = packet(file_name="stdin", file_bytes=bytes(range(256)) * 4000)
        upstream.sock.sendall(packet(file_name="stdin", file_bytes=bytes(range(256)) * 4000, route_code="1"))
        got = b""
        while len(got) < len(answer):
            got += workers[1].recv(1 << 20)
        self.assertEqual(got, answer)

    def test_every_transport_at_once(self):
        """One muxd listens on the port, on the kernel's TCP and on a unix socket."""
        rng = random.Random(3)
        listen = (LISTEN, "127.0.0.1:0", "unix:" + os.path.join(self.folder(), "s"))
        muxd = self.port("--exit-after", "30", listen=listen)
        sent = [worker_stream("w%d" % i, rng, 200) for i in range(30)]
        pump([connect(muxd.addresses[i % 4]) for i in range(30)], sent, rng)
        self.assertEqual(muxd.wait(), 0)
        self.same_by_worker(muxd.stream(), sent)

    def test_5000_connections(self):
        """All open at the same time. Packets are small: on a machine that loses segments large ones could
        seem stuck."""
        self.descriptors(CROWD + 200)
        rng = random.Random(4)
        muxd = self.port("--exit-after", str(CROWD), links=None)
        sent = [worker_stream("w%d" % i, rng, 4, output_most=1000) for i in range(CROWD)]
        pump([connect(WORKERS_AT) for _ in sent], sent, rng, piece_most=40000)
        self.assertEqual(muxd.wait(), 0)
        self.same_by_worker(muxd.stream(), sent)

    def test_many_hosts(self):
        """More hosts on the wire than lwIP has room for neighbours, all sending at once."""
        rng = random.Random(5)
        sources = ["10.9.0.%d" % (10 + i) for i in range(HOSTS)]
        for source in sources:
            ip("addr", "add", source + "/24", "dev", FAR)
            self.addCleanup(ip, "addr", "del", source + "/24", "dev", FAR)
        muxd = self.port("--exit-after", str(HOSTS))
        sent = [worker_stream("w%d" % i, rng, 400) for i in range(HOSTS)]
        pump([socket.create_connection((PORT4, TCP_PORT), PATIENCE, (source, 0)) for source in sources], sent, rng)
        self.assertEqual(muxd.wait(), 0)
        self.same_by_worker(muxd.stream(), sent)

    def test_a_reader_that_stops(self):
        """TCP windows hold the workers, memory is bounded, and later everything arrives."""
        upstream = self.upstream()
        muxd = self.port("--memory", "16M", "--exit-after", "1", "--upstream", upstream.endpoint)
        upstream.accept()
        worker = self.socket(WORKERS_AT)
        one = packet(test_id="t", file_name="log", file_bytes=bytes(60000))
        sent, count = one * 1500, 0
        before = muxd.resident_bytes()
        worker.settimeout(STUCK_SECONDS)
        try:
            while count < len(sent):
                count += worker.send(sent[count:count + (1 << 18)])
            self.fail("nothing held the worker")
        except socket.timeout:
            pass
        self.assertLess(muxd.resident_bytes() - before, 32 << 20)
        worker.settimeout(PATIENCE)
        thread = threading.Thread(target=lambda: (worker.sendall(sent[count:]), worker.shutdown(socket.SHUT_WR)),
                                  daemon=True)
        thread.start()
        stream = upstream.read_until(lambda s: False)
        thread.join(PATIENCE)
        upstream.sock.close()
        self.assertEqual(muxd.wait(), 0)
        self.same(by_segment(oracle.decode(stream))["0"], oracle.decode(sent))

    def test_a_worker_that_does_not_read(self):
        """It does not hold others up, and its memory is freed."""
        upstream = self.upstream()
        muxd = self.port("--upstream", upstream.endpoint)
        upstream.accept()
        deaf = socket.socket()
        self.addCleanup(deaf.close)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((PORT4, TCP_PORT))
        deaf.sendall(packet(test_id="deaf"))
        upstream.read_events(1)
        good = self.socket(WORKERS_AT)
        good.sendall(packet(test_id="good"))
        upstream.read_events(1)
        block = packet(file_name="stdin", file_bytes=bytes(50000), route_code="0")
        last = packet(file_name="stdin", file_bytes=b"x", route_code="1")
        threading.Thread(target=lambda: upstream.sock.sendall(block * 200 + last), daemon=True).start()
        self.assertEqual(good.recv(4096), packet(file_name="stdin", file_bytes=b"x"))

    def test_half_closed(self):
        """A worker that has sent its last byte can still receive: muxd closes after it has everything."""
        muxd = self.port("--exit-after", "1")
        sock = self.socket(WORKERS_AT)
        sent = worker_stream("w", random.Random(6), 300)
        sock.sendall(sent)
        self.finish(sock)
        self.assertEqual(muxd.wait(), 0)
        self.same_by_worker(muxd.stream(), [sent])


if __name__ == "__main__":
    unittest.main()
