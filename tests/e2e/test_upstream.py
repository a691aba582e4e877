"""The upstream: absent, lost, back, slow; pipes and files."""
import os
import socket

from harness import *


class UpstreamTests(Case):
    def test_absent_at_start(self):
        upstream = self.upstream()
        upstream.stop_listening()
        muxd = self.muxd("--upstream", upstream.endpoint)
        worker = self.socket(muxd.addresses[0])
        for i in range(100):
            worker.sendall(packet(test_id="t%d" % i))
        muxd.wait_log("not reached: connect: Connection refused")
        upstream.listen_again()
        upstream.accept()
        self.assertEqual([e["test_id"] for e in upstream.read_events(100)],
                         ["t%d" % i for i in range(100)])

    def kill_under_load(self, end):
        """Kills the upstream while a worker sends numbered packets; returns what both ends read."""
        path = self.folder() + "/stats"
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint, "--stats-json", path)
        upstream.accept()
        worker = self.socket(muxd.addresses[0])
        total = 30000

        def load():
            for i in range(total):
                worker.sendall(packet(test_id="t%d" % i, file_name="f", file_bytes=bytes(i % 50)))

        sender = threading.Thread(target=load, daemon=True)
        sender.start()
        before = upstream.read_until(lambda s: len(s) > 200000)
        end(upstream)
        upstream.accept()
        after = upstream.read_until(lambda s: b"t%d" % (total - 1) in s)
        sender.join(PATIENCE)
        worker.close()
        muxd.signal()
        after = upstream.read_until(lambda s: False, after)
        upstream.sock.close()
        self.assertEqual(muxd.wait(), 0)
        return before, after, total, self.stats(path)

    def check_loss(self, before, after, total, stats):
        ids = [int(e["test_id"][1:]) for e in oracle.decode(after)]
        self.assertEqual(ids, list(range(ids[0], total)), "whole packets, in order, to the end")
        count = count_packets(before)
        self.assertGreaterEqual(ids[0], count - 1, "nothing twice but a packet that was in flight")
        self.assertEqual(stats["muxd_upstream_connects_total"], 2)
        self.assertEqual(stats["muxd_unsent_bytes_total"], 0)
        self.assertEqual(stats["muxd_received_packets_total"], total)
        return ids[0] - count

    def test_killed_under_load(self):
        def reset(upstream):
            upstream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct_linger(1, 0))
            upstream.sock.close()
        self.check_loss(*self.kill_under_load(reset))

    def test_fin_is_a_loss(self):
        """The peer's end of stream: muxd closes, counts, connects again."""
        def fin(upstream):
            upstream.sock.shutdown(socket.SHUT_WR)
            upstream.read_rest = upstream.read_until(lambda s: False)
            upstream.sock.close()
        before, after, total, stats = self.kill_under_load(fin)
        self.check_loss(before, after, total, stats)

    def test_slow_upstream_holds_workers(self):
        """Nothing is read above: memory stays bounded, the worker waits, nothing is lost."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint, "--memory", "16M")
        upstream.accept()
        block = packet(test_id="x", file_name="f", file_bytes=bytes(10000))
        worker = self.socket(muxd.addresses[0])
        worker.setblocking(False)
        sent, still = 0, time.monotonic()
        stream = block * 100
        while time.monotonic() - still < 0.5 and sent < 200 << 20:
            try:
                sent += worker.send(stream[sent % len(block):])
                still = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        self.assertLess(sent, 100 << 20, "the worker was never held")
        with open("/proc/%d/status" % muxd.process.pid) as file:
            resident = int(next(line.split()[1] for line in file if line.startswith("VmRSS")))
        self.assertLess(resident, 200 * 1024)
        worker.setblocking(True)
        rest = (len(block) - sent % len(block)) % len(block)
        threading.Thread(target=lambda: worker.sendall(block[len(block) - rest:] if rest else b""),
                         daemon=True).start()
        whole = (sent + rest) // len(block)
        tail = upstream.read_until(lambda s: count_packets(s) >= whole)
        self.assertEqual(count_packets(tail), whole)

    def test_file(self):
        path = os.path.join(self.folder(), "run.subunit")
        for round_number in (1, 2):
            muxd = self.muxd("--upstream", "file:" + path, "--exit-after", "1")
            worker = muxd.connect()
            worker.sendall(packet(test_id="t") * 10)
            self.finish(worker)
            self.assertEqual(muxd.wait(), 0)
            with open(path, "rb") as file:
                self.assertEqual(len(python_events(file.read())), 10 * round_number)

    def test_unix(self):
        path = os.path.join(self.folder(), "up")
        top = self.muxd("--exit-after", "1", listen=("unix:" + path,))
        leaf = self.muxd("--upstream", "unix:" + path, "--exit-after", "1")
        worker = leaf.connect()
        worker.sendall(packet(test_id="t"))
        self.finish(worker)
        self.assertEqual((leaf.wait(), top.wait()), (0, 0))
        event, = python_events(top.stream())
        self.assertEqual(event["route_code"], "0/0")

    def test_stdin_is_the_way_down(self):
        """With stdout upstream: packets on stdin go down; its end ends only the way down."""
        reading, writing = os.pipe()
        muxd = self.muxd("--upstream", "-", stdin=reading)
        os.close(reading)
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="one"))
        self.until(lambda: muxd.stream(), "the first packet")
        os.write(writing, packet(file_name="stdin", file_bytes=b"x", route_code="0"))
        self.assertEqual(worker.recv(100), packet(file_name="stdin", file_bytes=b"x"))
        os.close(writing)
        worker.sendall(packet(test_id="two"))
        self.until(lambda: count_packets(muxd.stream()) == 2, "the second packet")
        self.assertEqual(muxd.end(), 0)


def struct_linger(on, seconds):
    import struct
    return struct.pack("ii", on, seconds)


if __name__ == "__main__":
    unittest.main()
