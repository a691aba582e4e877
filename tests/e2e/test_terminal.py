"""What a person at a terminal sees."""
import os
import pty

from harness import *


class Terminal(Case):
    def test_lines_for_people(self):
        """Workers that come, failures with the tail of their traceback, counts; nothing binary."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        muxd = self.muxd(stdout=slave, stdin=slave)
        os.close(slave)
        sock = self.socket(muxd.addresses[0])
        evil = "a\x1b[31m.b\x1b]0;title\x07\x9b2J"
        long = b"".join(b"line %d\n" % i for i in range(100)) + b"Error: \x1b[2J\x07 boom\r\n"
        sock.sendall(
            packet(test_id=evil, test_status="inprogress") +
            packet(test_id=evil, file_name="traceback", file_bytes=long[:500],
                   mime_type="text/x-traceback") +
            packet(test_id=evil, file_name="traceback", file_bytes=long[500:], eof=True,
                   mime_type="text/x-traceback") +
            packet(test_id=evil, test_status="fail") +
            packet(test_id="fine", test_status="success") +
            packet(test_id="bin", file_name="x", file_bytes=bytes(range(256))) + b"\x1b[31mchatter\n")
        self.finish(sock)
        muxd.signal()
        seen = b""
        while b"1 failed" not in seen:
            seen += os.read(master, 65536)
        self.assertEqual(muxd.wait(), 0)
        lines = seen.decode().split("\r\n")
        self.assertTrue(any(re.match(r"worker 0 came: 127\.0\.0\.1:\d+$", l) for l in lines), lines)
        self.assertIn("FAIL  a.b??2J  worker 0", lines)
        self.assertIn("    Error: ? boom", lines)
        self.assertIn("    line 99", lines)
        self.assertNotIn("    line 10", lines)
        self.assertTrue(any("1 passed, 1 failed, 0 skipped" in l for l in lines), lines)
        self.assertFalse([c for c in seen if c < 0x20 and c not in b"\r\n"], seen)
        self.assertNotIn(b"\xb3", seen)

    def test_explicit_stdout(self):
        """--upstream - on a terminal is lines as well."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        muxd = self.muxd("--upstream", "-", stdout=slave)
        os.close(slave)
        sock = muxd.connect()
        sock.sendall(packet(test_id="t", test_status="fail"))
        self.finish(sock)
        self.assertEqual(muxd.end(), 0)
        seen = os.read(master, 65536)
        self.assertIn(b"FAIL  t  worker 0", seen)
        self.assertNotIn(b"\xb3", seen)


if __name__ == "__main__":
    unittest.main()
