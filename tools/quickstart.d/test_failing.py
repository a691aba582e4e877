"""A worker with two failures among its tests."""
import unittest


class Failing(unittest.TestCase):
    def test_wrong_sum(self):
        self.assertEqual(2 + 2, 5, "arithmetic is broken again")

    def test_missing_key(self):
        {}["cable"]

    def test_fine(self):
        self.assertTrue(True)
