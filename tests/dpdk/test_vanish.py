"""Workers and cables that vanish without notice."""
import random

from port import *

WORKERS = 20
DOWN_SECONDS = 3

SENDER = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
stream = sys.stdin.buffer.read()
print("connected", flush=True)
while True:
    sock.sendall(stream)
"""


class Vanish(PortCase):
    def test_killed_under_load(self):
        """kill -9 in the middle of packets: whole packets stay, damage is reported, other streams arrive whole."""
        path = os.path.join(self.folder(), "stats")
        muxd = self.port("--stats-json", path)
        rng = random.Random(1)
        one = packet(test_id="t", file_name="log", file_bytes=bytes(20000))
        processes = []
        for _ in range(WORKERS):
            process = subprocess.Popen(["/usr/bin/python3", "-c", SENDER, PORT4, str(TCP_PORT)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            self.addCleanup(process.stdout.close)
            process.stdin.write(one)
            process.stdin.close()
            processes.append(process)
        for process in processes:
            process.stdout.readline()
        good, sent = self.socket(WORKERS_AT), worker_stream("good", rng, 400)
        half = len(sent) // 2
        good.sendall(sent[:half])
        for process in processes:
            process.kill()
            time.sleep(rng.random() * 0.02)
        good.sendall(sent[half:])
        self.finish(good)
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_links_ended_total"] == WORKERS + 1, "their ends")
        self.assertEqual(muxd.end(), 0)
        links = {events[0]["test_id"]: events for events in by_segment(oracle.decode(muxd.stream())).values()}
        take_failed(links["good"])
        self.same(links["good"], oracle.decode(sent))
        self.assertEqual(set(links), {"good", "t"})

    def test_reset(self):
        """A reset inside a packet: packets before it are whole, the rest is reported as damage."""
        path = os.path.join(self.folder(), "stats")
        muxd = self.port("--stats-json", path)
        sock = self.socket(WORKERS_AT)
        sent = packet(test_id="t", file_name="f", file_bytes=bytes(3000)) * 10
        sock.sendall(sent[:-100])
        self.until(lambda: count_packets(muxd.stream()) == 9, "the whole packets")
        reset(sock)
        self.until(lambda: count_packets(muxd.stream()) > 9, "the damage")
        self.assertEqual(muxd.end(), 0)
        self.same(without_reasons(by_segment(oracle.decode(muxd.stream()))["0"]),
                  without_reasons(oracle.decode(sent[:-100])))
        stats = self.stats(path)
        self.assertEqual((stats["muxd_connections_lost_total"], stats["muxd_damages_total"]), (1, 1))

    def test_cable_out_and_in(self):
        """Bytes sent while the cable was out arrive when it is in again."""
        muxd = self.port("--exit-after", "1")
        sent = worker_stream("w", random.Random(2), 600)
        sock, third = self.socket(WORKERS_AT), len(sent) // 3
        sock.sendall(sent[:third])
        self.addCleanup(ip, "link", "set", NEAR, "up")
        ip("link", "set", NEAR, "down")
        thread = threading.Thread(target=sock.sendall, args=(sent[third:],), daemon=True)
        thread.start()
        time.sleep(DOWN_SECONDS)
        self.assertIsNone(muxd.process.poll())
        ip("link", "set", NEAR, "up")
        thread.join(PATIENCE)
        self.finish(sock)
        self.assertEqual(muxd.wait(), 0)
        self.same_by_worker(muxd.stream(), [sent])

    def test_end_without_a_cable(self):
        """Peers that do not answer do not delay muxd's end."""
        upstream = self.upstream()
        muxd = self.port("--upstream", upstream.endpoint, "--drain-timeout", "2")
        upstream.accept()
        sock = self.socket(WORKERS_AT)
        sock.sendall(packet(test_id="t"))
        upstream.read_events(1)
        self.addCleanup(ip, "link", "set", NEAR, "up")
        ip("link", "set", NEAR, "down")
        upstream.sock.sendall(packet(file_name="stdin", file_bytes=bytes(100000), route_code="0"))
        time.sleep(0.5)
        muxd.signal()
        upstream.read_until(lambda s: False)
        upstream.sock.close()
        muxd.wait()

    def test_upstream_lost_and_back(self):
        """The upstream, reached through the port, goes and comes back: no packet is lost or doubled."""
        upstream = self.upstream()
        upstream.listener.close()
        upstream.listener = socket.create_server((FAR4, 0))
        upstream.listener.settimeout(PATIENCE)
        port = upstream.listener.getsockname()[1]
        muxd = self.muxd("--upstream", upstream_endpoint(port))
        upstream.accept()
        sock = self.socket(muxd.addresses[0])
        sock.sendall(packet(test_id="before"))
        self.assertEqual([e["test_id"] for e in upstream.read_events(1)], ["before"])
        time.sleep(0.2)  # acknowledged
        reset(upstream.sock)
        muxd.wait_log("lost")
        sock.sendall(packet(test_id="after") * 1000)
        upstream.accept()
        events = [e["test_id"] for e in upstream.read_events(1000)]
        self.assertEqual(events, ["after"] * 1000)


if __name__ == "__main__":
    unittest.main()
