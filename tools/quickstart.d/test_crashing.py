"""A worker that dies in the middle of a test."""
import os
import signal
import unittest


class Crashing(unittest.TestCase):
    def test_1_before(self):
        self.assertTrue(True)

    def test_2_crash(self):
        os.kill(os.getpid(), signal.SIGKILL)
