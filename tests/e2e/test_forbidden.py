"""Profiles that forbid system calls for which there are older ones: everything works with those."""
import os
import subprocess

from harness import *

FORBID = os.environ["FORBID"]  # FORBID ERROR CALL,CALL... COMMAND
ERRORS = ("ENOSYS", "EPERM", "EACCES")
IO_URING = "io_uring_setup,io_uring_enter,io_uring_register"
# accept4, pipe2 and the others replace older calls; glibc makes threads with clone3.
YOUNG = "accept4,clone3,close_range,epoll_create1,epoll_pwait2,getrandom,pipe2,preadv2,pwritev2,statx"


class Forbidden(Case):
    def calls(self):
        return YOUNG if IO == "uring" else YOUNG + "," + IO_URING

    def test_pipes(self):
        """From stdin to stdout."""
        stream = packet(test_id="t", file_name="f", file_bytes=bytes(5000)) * 200
        for error in ERRORS:
            with self.subTest(error):
                done = subprocess.run([FORBID, error, self.calls(), MUXD, "--io", IO, "--listen", "-"],
                                      input=stream, capture_output=True, timeout=PATIENCE)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertEqual(count_packets(done.stdout), 200)

    def test_a_day(self):
        """Workers, an upstream's name, the way down, signals, counters."""
        for error in ERRORS:
            with self.subTest(error):
                self.a_day((FORBID, error, self.calls()))

    def a_day(self, wrapper):
        folder = self.folder()
        stats = os.path.join(folder, "stats")
        upstream = self.upstream()
        muxd = self.muxd("--upstream", "tcp:localhost:%d" % upstream.port, "--stats-json", stats,
                         listen=("127.0.0.1:0", "unix:" + os.path.join(folder, "s")), wrapper=wrapper)
        upstream.accept()
        for address in muxd.addresses:
            self.socket(address).sendall(packet(test_id="t"))
        self.assertEqual(len(upstream.read_events(2)), 2)
        worker = muxd.connect()
        worker.sendall(packet(test_id="third"))
        self.assertEqual(upstream.read_events(1)[0]["route_code"], "2")
        upstream.sock.sendall(packet(file_name="stdin", file_bytes=b"x", route_code="2"))
        self.assertEqual(worker.recv(100), packet(file_name="stdin", file_bytes=b"x"))
        worker.close()
        self.assertEqual(self.fresh_stats(muxd, stats)["muxd_received_packets_total"], 3)
        muxd.signal()
        self.assertEqual(upstream.read_until(lambda s: False), b"")
        upstream.sock.close()
        self.assertEqual(muxd.wait(), 0, muxd.log)

    def test_send(self):
        stream = packet(test_id="t") * 1000
        for error in ERRORS:
            with self.subTest(error):
                muxd = self.muxd("--exit-after", "1")
                done = subprocess.run([FORBID, error, YOUNG + "," + IO_URING, MUX, "send",
                                       muxd.addresses[0]], input=stream, capture_output=True,
                                      timeout=PATIENCE)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(muxd.wait(), 0)
                self.assertEqual(count_packets(muxd.stream()), 1000)

    def test_parts_of_io_uring(self):
        """A ring that can be made but not used: --io auto takes epoll."""
        for call in IO_URING.split(","):
            for error in ERRORS:
                with self.subTest((call, error)):
                    muxd = self.muxd(io_choice="auto", wrapper=(FORBID, error, call))
                    self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
                    self.until(lambda: count_packets(muxd.stream()) == 1, "the packet")
                    self.assertEqual(muxd.end(), 0)
                    self.assertTrue(any("using epoll" in line for line in muxd.log), muxd.log)


if __name__ == "__main__":
    unittest.main()
