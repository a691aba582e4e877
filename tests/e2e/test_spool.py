"""A leaf with a spool: the end away, the leaf killed, disks that are full or damaged."""
import glob
import threading

from harness import *


LARGE = b"".join(packet(test_id="t%d" % number, test_status="success", file_name="f", file_bytes=bytes(65000))
                 for number in range(200))  # 13 MB
LARGE_IDS = ["t%d" % number for number in range(200)]


class Spool(Case):
    def setUp(self):
        super().setUp()
        self.out = os.path.join(self.folder(), "out")
        self.spool = os.path.join(self.folder(), "spool")
        self.end_port = free_port()

    def start_end(self):
        return self.muxd("--upstream", "file:" + self.out, "--window", "1M",
                         listen=("127.0.0.1:%d" % self.end_port,))

    def start_leaf(self, *options, spool=None, **keywords):
        return self.muxd("--upstream", "mux:127.0.0.1:%d" % self.end_port, "--window", "1M",
                         "--spool", spool or self.spool, *options, **keywords)

    def packets(self, first, count, size):
        return b"".join(packet(test_id="t%d" % number, test_status="success", file_name="f",
                               file_bytes=bytes(size)) for number in range(first, first + count))

    def send(self, leaf, first, count, size):
        """A worker sends tests and ends; muxd has taken all of it then."""
        worker = self.socket(leaf.addresses[0])
        worker.sendall(self.packets(first, count, size))
        self.finish(worker)

    def counters(self, leaf):
        return self.fresh_stats(leaf, self.stats_path)

    def with_stats(self):
        self.stats_path = os.path.join(self.folder(), "stats")
        return "--stats-json", self.stats_path

    def read(self):
        if not os.path.exists(self.out):
            return b""
        with open(self.out, "rb") as file:
            return file.read()

    def ids(self):
        """Of the tests in the output, the last packet perhaps in part."""
        return [match.decode() for match in re.findall(rb"\x02?(t[0-9]+)\x01f", self.read())]

    def wait_out(self, least):
        self.until(lambda: os.path.exists(self.out) and os.path.getsize(self.out) >= least,
                   "%d bytes in the output" % least)

    def wait_spooled(self, leaf, least):
        self.until(lambda: self.counters(leaf)["muxd_spool_written_bytes_total"] >= least,
                   "%d bytes in the spool" % least)

    def files(self, pattern="*.spool"):
        return sorted(glob.glob(os.path.join(self.spool, pattern)))

    def test_end_away(self):
        """50 MB come in while there is no end, with a window of 1 MiB: all of it arrives later."""
        leaf = self.start_leaf(*self.with_stats())
        worker = self.socket(leaf.addresses[0])
        worker.sendall(4 * LARGE)
        self.finish(worker)
        self.assertLess(leaf.resident_bytes(), 150 << 20)
        end = self.start_end()
        self.wait_out(4 * len(LARGE))
        self.assertEqual(self.ids(), 4 * LARGE_IDS)
        self.assertEqual(leaf.end(), 0)
        self.assertEqual(end.end(), 0)
        self.assertEqual(self.files("*"), [])

    def test_killed(self):
        """kill -9, twice: what the spool had comes once, then what is new, and the folder is empty."""
        for life in range(2):
            leaf = self.start_leaf(*self.with_stats())
            self.send(leaf, 300 * life, 300, 9000)
            self.wait_spooled(leaf, 300 * 9000)
            leaf.process.kill()
            leaf.wait()
        end = self.start_end()
        leaf = self.start_leaf()
        self.assertIn("the spool has 2 files of earlier lives", " ".join(leaf.log))
        self.send(leaf, 600, 10, 9000)
        self.until(lambda: len(self.ids()) >= 610, "all tests")
        self.assertEqual(sorted(self.ids(), key=lambda name: int(name[1:])),
                         ["t%d" % n for n in range(610)])
        for node in (leaf, end):
            self.assertEqual(node.end(), 0)
        self.assertEqual(self.files("*"), [])

    def test_term_without_an_end(self):
        """All is in the spool: 0, and at once. The next life sends it."""
        leaf = self.start_leaf("--drain-timeout", "3600", "--spool-sync", "always")
        self.send(leaf, 0, 50, 1000)
        self.assertEqual(leaf.end(), 0)
        self.assertTrue(any("in the spool that the end has not acknowledged" in line for line in leaf.log),
                        leaf.log)
        self.start_end()
        self.start_leaf()
        self.until(lambda: len(self.ids()) >= 50, "all tests")
        self.assertEqual(self.ids(), ["t%d" % n for n in range(50)])

    def test_locked(self):
        """Two leaves never share a folder."""
        self.start_leaf()
        done = subprocess.run([MUXD, "--listen", "127.0.0.1:0", "--upstream", "mux:127.0.0.1:1", "--window",
                               "1M", "--spool", self.spool], stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another muxd has its spool there", done.stderr)

    def test_full(self):
        """--spool-max is reached: workers wait, it is said, and all of it arrives."""
        leaf = self.start_leaf("--spool-max", "16M")
        worker = self.socket(leaf.addresses[0])
        sender = threading.Thread(target=worker.sendall, args=(2 * LARGE,))
        sender.start()
        leaf.wait_log("the spool is full, with [0-9]+ bytes")
        self.start_end()
        sender.join()
        self.wait_out(2 * len(LARGE))
        self.assertEqual(self.ids(), 2 * LARGE_IDS)

    def test_disk_full(self):
        """A disk of 4 MiB: said, back-pressure, nothing lost."""
        disk = self.folder()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", disk],
                          stderr=subprocess.DEVNULL).returncode:
            self.lacks("no right to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", disk])
        leaf = self.start_leaf(spool=os.path.join(disk, "spool"))
        worker = self.socket(leaf.addresses[0])
        sender = threading.Thread(target=worker.sendall, args=(LARGE,))
        sender.start()
        leaf.wait_log("the spool: .*: write: No space left on device")
        self.start_end()
        sender.join()
        self.wait_out(len(LARGE))
        self.assertEqual(self.ids(), LARGE_IDS)
        self.assertEqual(leaf.end(), 0)

    def test_damaged(self):
        """A flipped byte is a hole, said by offset; the file is kept aside, the rest arrives."""
        leaf = self.start_leaf(*self.with_stats())
        self.send(leaf, 0, 100, 20000)
        self.wait_spooled(leaf, 100 * 20000)
        leaf.process.kill()
        leaf.wait()
        path, = self.files()
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        with open(os.path.join(self.spool, "0" * 32 + "-" + "1" * 16 + ".spool"), "wb") as file:
            file.write(b"no spool")
        self.start_end()
        leaf = self.start_leaf()
        self.assertIn("it is not a spool file: it is kept aside", " ".join(leaf.log))
        leaf.wait_log("bytes [0-9]+ to [0-9]+ of its stream are damaged or missing: the rest goes on")
        self.until(lambda: "t99" in self.ids(), "the last test")
        ids = self.ids()
        self.assertEqual(len(ids), len(set(ids)))
        missing = [n for n in range(100) if "t%d" % n not in ids]
        self.assertTrue(0 < len(missing) <= 4, missing)
        self.until(lambda: len(self.files("*.bad")) == 2 and not self.files(), "the files kept aside")


if __name__ == "__main__":
    unittest.main()
