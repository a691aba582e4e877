"""A worker that prints between its results: text without a newline, bytes that look like packets."""
import sys
import unittest


class Noisy(unittest.TestCase):
    def test_chatter(self):
        sys.stdout.write("half a line, 3\u00b3 = 27")
        sys.stdout.flush()

    def test_junk(self):
        sys.stdout.buffer.write(b"\xb3\xb3\x29 and \x00\xff\xfe\n")
        sys.stdout.flush()
