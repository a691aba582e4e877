"""A farm: 20 leaves with 20 real workers each, whose node links are cut and mended meanwhile."""
import random
import threading

from harness import *

LEAVES, WORKERS = 20, 20

PROGRAM = """
import time, unittest
class T(unittest.TestCase):
    def test_a(self): pass
    def test_b(self): time.sleep(0.3)
    def test_c(self): self.fail("as scripted")
    def test_d(self): print("chatter")
"""

# 20 workers of one leaf: forked, so that python is started and imports its library only once, and
# ended without cleaning up, which would touch, and so copy, all memory that they share
LAUNCHER = """
import gc, os, runpy, socket, sys
import subunit.run, testtools, unittest
host, port = sys.argv[1].split(":")
children = []
gc.freeze()
for _ in range(int(sys.argv[2])):
    pid = os.fork()
    if pid:
        children.append(pid)
        continue
    sock = socket.create_connection((host, int(port)))
    os.dup2(sock.fileno(), 1)
    sock.close()
    sys.argv = ["subunit.run", "test_demo"]
    sys.path.insert(0, "")
    try:
        runpy.run_module("subunit.run", run_name="__main__")
    except SystemExit:
        sys.stdout.flush()
    os._exit(0)
for pid in children:
    os.waitpid(pid, 0)
"""


class Farm(Case):
    def test_cuts(self):
        folder = self.folder()
        with open(os.path.join(folder, "test_demo.py"), "w") as file:
            file.write(PROGRAM)
        top = self.muxd("--upstream", "file:" + os.path.join(folder, "out"))
        cables, leaves = [], []
        for i in range(LEAVES):
            cables.append(Cable(top.addresses[0]))
            self.addCleanup(cables[i].close)
            leaves.append(self.muxd("--upstream", cables[i].endpoint,
                                    "--exit-after", str(WORKERS)))
        stop = threading.Event()

        def cut():
            rng = random.Random(7)
            while not stop.is_set():
                cable = rng.choice(cables)
                cable.cut()
                time.sleep(rng.choice((0.01, 0.3)))
                cable.mend()
                time.sleep(0.1)
        cutter = threading.Thread(target=cut, daemon=True)
        cutter.start()
        launcher = os.path.join(folder, "launcher.py")
        with open(launcher, "w") as file:
            file.write(LAUNCHER)
        for first in range(0, LEAVES, 4):
            running = [subprocess.Popen(
                ["/usr/bin/python3", launcher, leaf.addresses[0], str(WORKERS)], cwd=folder,
                stderr=subprocess.DEVNULL) for leaf in leaves[first:first + 4]]
            for process in running:
                self.addCleanup(process.kill)
            for process in running:
                self.assertEqual(process.wait(PATIENCE), 0)
        stop.set()
        cutter.join(PATIENCE)
        for leaf in leaves:
            leaf.wait()
        self.assertEqual(top.end(), 0)
        with open(os.path.join(folder, "out"), "rb") as file:
            self.check(oracle.decode(file.read()))

    def check(self, events):
        """No node was declared dead, no test has two routes, no outcome comes twice."""
        tests = [e for e in events if e["test_id"]]
        # a test whose last packet was lost with a cut connection fails when its node ends, not before
        dead = [e for e in tests if e["file_name"] == "muxd"]
        self.assertFalse([e for e in dead if "ended while" not in text(e)])
        self.assertFalse([e for e in tests if e["test_id"] == "subunit.parser"])
        ended = [(e["route_code"], e["test_id"]) for e in tests
                 if e["test_status"] in ("success", "fail")]
        self.assertEqual(len(set(ended)), len(ended))
        routes = {e["route_code"] for e in tests}
        self.assertLessEqual(len(routes), LEAVES * WORKERS)
        self.assertLessEqual({r.split("/")[0] for r in routes}, {str(i) for i in range(LEAVES)})
        # bytes in the kernels of a cut connection are lost: few, since the cuts are short
        self.assertGreater(len(ended), LEAVES * WORKERS * 4 * 0.9)


if __name__ == "__main__":
    unittest.main()
