"""Tests of tests/e2e again, with their workers on a DPDK port."""
import test_hostile
import test_tree
import test_workers
from port import *


class OnPort(PortCase):
    """The first muxd of a test that listens on the kernel's TCP listens on the port instead."""

    def muxd(self, *options, listen=("127.0.0.1:0",), **keywords):
        taken = getattr(self, "holder", None)
        if listen[0] not in ("127.0.0.1:0", WORKERS_AT) or taken and taken.process.poll() is None:
            return super().muxd(*options, listen=listen, **keywords)
        self.holder = self.port(*options, listen=(LISTEN, *listen[1:]), **keywords)
        return self.holder


class Workers(OnPort):
    test_real_workers = test_workers.Workers.test_real_workers
    test_stestr_nested = test_workers.Workers.test_stestr_nested
    test_garbage_is_contained = test_workers.Workers.test_garbage_is_contained
    test_large_packets_are_split = test_workers.Workers.test_large_packets_are_split
    test_large_packets_from_many = test_workers.Workers.test_large_packets_from_many
    test_chatter_is_gathered = test_workers.Workers.test_chatter_is_gathered


class Tree(OnPort):
    tree = test_tree.Tree.tree
    test_routes_of_two_levels = test_tree.Tree.test_routes_of_two_levels
    test_down_to_one_worker = test_tree.Tree.test_down_to_one_worker
    test_unknown_segments_do_not_flood = test_tree.Tree.test_unknown_segments_do_not_flood


class Hostile(OnPort):
    good_stream_beside = test_hostile.Hostile.good_stream_beside
    test_headers_of_large_packets = test_hostile.Hostile.test_headers_of_large_packets


if __name__ == "__main__":
    unittest.main()
