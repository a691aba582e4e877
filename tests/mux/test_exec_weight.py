"""mux exec stands beside each command: it stays small, and says nothing while all is well."""
import glob
import re
import resource

from execution import *

MUXD = os.environ["MUXD"]
MOST_BYTES = 4 << 20


def is_sanitized():
    with open(MUX, "rb") as program:
        return b"__asan_init" in program.read() or b"__tsan_init" in program.read()


class Weight(ExecCase):
    def node(self):
        """The endpoint of a muxd."""
        muxd = subprocess.Popen([MUXD, "--listen", "127.0.0.1:0", "--upstream", "file:/dev/null"],
                                stderr=subprocess.PIPE, text=True)
        self.addCleanup(muxd.stderr.close)
        self.addCleanup(muxd.wait)
        self.addCleanup(muxd.kill)
        for line in muxd.stderr:
            if found := re.search("listening on (.*)", line):
                return "mux:" + found[1]
        self.fail("muxd does not listen")

    @unittest.skipIf(is_sanitized(), "with a sanitizer it is larger")
    def test_memory(self):
        """At most 4 MiB were ever resident: beside a command that is silent, and one that wrote much."""
        for count in (0, 100000000):
            for to in (("--to", self.node()), ()):
                ready = os.path.join(self.folder(), "ready")
                process = self.start("exec", *to, "--allow-empty", "--", "sh", "-c",
                                     "head -c %d /dev/zero; touch %s; sleep 1000" % (count, ready),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     env=dict(os.environ, MALLOC_PERTURB_="0"))  # meson's would touch all heap
                self.until(lambda: os.path.exists(ready), "the command")
                with open("/proc/%d/status" % process.pid) as status:
                    peak = int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) << 10
                self.assertLessEqual(peak, MOST_BYTES, (to, count))
                process.terminate()
                process.wait(PATIENCE)

    @unittest.skipIf(is_sanitized(), "with a sanitizer it needs terabytes of addresses")
    def test_no_memory(self):
        """The command starts while mux gets its memory. When there is none it is ended, and this is said."""
        for most_bytes in range(20 << 20, 200 << 20, 4 << 20):
            process = self.start("exec", "--", "sleep", "1000", preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_AS, (most_bytes, most_bytes)))
            said = process.communicate(timeout=PATIENCE)[1]
            if b"cannot map" in said:
                break
        self.assertEqual((process.returncode, said.count(b"\n")), (1, 1), said)
        self.assertEqual(glob.glob("/sys/fs/cgroup/**/mux-exec-%d" % process.pid, recursive=True), [])

    def test_silence(self):
        self.execute("--to", self.node(), "--as-test", "t", "--", "true", status=0)
        self.assertEqual(self.said, "")

    def test_other_stacks(self):
        """Endpoints of RDMA and DPDK are understood, though mux itself is linked without them."""
        for arguments in (("exec", "--to", "rdma:127.0.0.1:1", "--drain-timeout", "0.1", "--allow-empty", "--", "true"),
                          ("exec", "--to=mux:rdma:127.0.0.1:1", "--drain-timeout", "0.1", "--allow-empty", "--", "true")):
            done = mux(*arguments)
            is_without = b"was built without" in done.stderr
            self.assertEqual(done.returncode, 1 if is_without else 75, done.stderr)
            self.assertIn(b"rdma:127.0.0.1:1", done.stderr)


if __name__ == "__main__":
    unittest.main()
