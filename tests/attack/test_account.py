"""The attack notices broken promises: each is broken once in a stream made by hand."""
import os
import tempfile
import threading
import unittest
import zlib

import workers
from packets import *


class Account(unittest.TestCase):
    def setUp(self):
        self.account = workers.Account()
        self.worker = workers.Worker(self.account, "", 1, threading.Event())
        self.worker.running = set()

    def expect(self, *packets):
        for test_id, status in packets:
            self.worker.sent.append((workers.time.monotonic(), test_id, status, zlib.crc32(b"")))

    def read(self, stream):
        """Returns the account's message about the broken promise."""
        self.account.newcomers[b"join"] = self.worker
        self.worker.sent.appendleft((workers.time.monotonic(), b"join", None, zlib.crc32(b"")))
        with tempfile.TemporaryFile() as file:
            file.write(packet(test_id="join", route="3") + stream)
            file.seek(0)
            self.account.read(file)
        return self.account.broken

    def verdict(self, test_id="a", route="3"):
        return packet(test_id=test_id, status="fail", file="muxd", content=b"why", eof=True, route=route)

    def test_all_is_well(self):
        self.expect((b"a", "inprogress"), (b"b", "success"))
        self.worker.dead_since = 1
        self.assertIsNone(self.read(packet(test_id="a", status="inprogress", route="3") +
                                    packet(test_id="stranger", route="4") + self.verdict("a", "4") +
                                    packet(test_id="b", status="success", route="3") + self.verdict()))
        self.assertTrue(self.account.settled())

    def test_lost_or_out_of_order(self):
        self.expect((b"a", None), (b"b", None))
        self.assertIn("expected b'a'", self.read(packet(test_id="b", route="3")))

    def test_changed(self):
        self.expect((b"a", None))
        self.assertIn("expected b'a'", self.read(packet(test_id="a", file="log", content=b"x", route="3")))

    def test_twice(self):
        self.expect((b"a", None))
        self.assertIn("twice", self.read(packet(test_id="a", route="3") * 2))

    def test_late(self):
        self.worker.sent.append((workers.time.monotonic() - 2 * workers.PATIENCE, b"a", None, 0))
        self.account.newcomers[b"join"] = self.worker
        self.account.late()
        self.assertIn("waits for longer", self.account.broken)

    def test_no_verdict(self):
        self.expect((b"a", "inprogress"))
        self.worker.dead_since = workers.time.monotonic() - 2 * workers.PATIENCE
        self.assertIsNone(self.read(packet(test_id="a", status="inprogress", route="3")))
        self.assertFalse(self.account.settled())
        self.account.late()
        self.assertIn("the verdict on", self.account.broken)

    def test_verdict_on_the_living(self):
        self.expect((b"a", "inprogress"))
        self.assertIn("lives", self.read(packet(test_id="a", status="inprogress", route="3") + self.verdict()))

    def test_verdict_twice(self):
        self.expect((b"a", "inprogress"))
        self.worker.dead_since = 1
        self.assertIn("failed twice", self.read(packet(test_id="a", status="inprogress", route="3") +
                                                self.verdict() * 2))

    def test_malformed(self):
        for stream, why in ((b"x" * 9, "no packet begins"), (packet(wrong_crc=True), "bad checksum"),
                            (packet(test_id="a")[:-1], "ends inside a packet")):
            self.account = workers.Account()
            self.worker.account = self.account
            self.worker.sent.clear()
            self.assertIn(why, self.read(stream))


if __name__ == "__main__":
    unittest.main()
