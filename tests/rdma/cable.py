"""The rig of the tests in the guest: the cable between two RDMA devices, its faults, its counters."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness
from harness import *

BUILD = os.environ["BUILD"]
NEAR, NEAR6 = "10.9.0.1", "[fd09::1]"  # of ib0; connections to them come from ib1
MEMORY = ("--memory", "16M")  # all of it is pinned, and the guest has little memory


def run(*argv, patience=PATIENCE):
    """Runs a command to its end: (exit code, output)."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=patience)
    return done.returncode, done.stdout


def must(*argv):
    status, said = run(*argv)
    assert status == 0, (argv, said)


def loss(percent):
    """Both ends of the cable drop this share of the packets that they send."""
    for device in ("ib0", "ib1"):
        run("tc", "qdisc", "del", "dev", device, "root")
        if percent:
            must("tc", "qdisc", "add", "dev", device, "root", "netem", "loss", "%d%%" % percent)


def counted(name):
    """The sum of both devices' counters with this name."""
    total = 0
    for path in glob.glob("/sys/class/infiniband/rxe*/ports/1/hw_counters/" + name):
        with open(path) as file:
            total += int(file.read())
    return total


def stream_of(number, count, body_bytes):
    """A worker's stream: outcomes, bodies of different sizes and bytes, chatter between them."""
    parts = []
    for i in range(count):
        name = "w%d.t%d" % (number, i)
        parts.append(packet(test_id=name, test_status="inprogress", test_tags={"a", "b%d" % i}))
        body = bytes((number + i + k) & 255 for k in range(256)) * (body_bytes(i) // 256 + 1)
        parts.append(packet(test_id=name, file_name="log", file_bytes=body[:body_bytes(i)],
                            mime_type="application/octet-stream"))
        if i % 7 == 3:
            parts.append(b"chatter of %d\n" % number)
        parts.append(packet(test_id=name, test_status="success" if i % 2 else "fail"))
    return b"".join(parts)


class Cabled(Case):
    """Each test begins and ends with a cable without loss; no message may lack a receive buffer."""

    def setUp(self):
        super().setUp()
        loss(0)
        self.addCleanup(loss, 0)
        self.not_ready = counted("*rnr*")

    def tearDown(self):
        self.assertEqual(counted("*rnr*"), self.not_ready, "a message found no receive buffer")
        super().tearDown()

    def tree(self, place=NEAR, prefix="", top=(), leaf=()):
        """A muxd below a muxd that writes to a file: (top, leaf, path)."""
        path = os.path.join(self.folder(), "out")
        above = self.muxd("--upstream", "file:" + path, *MEMORY, *top, listen=("rdma:%s:0" % place,))
        below = self.muxd("--upstream", prefix + above.addresses[0], *MEMORY, *leaf)
        return above, below, path

    def send_all(self, muxd, streams):
        """One TCP worker for each stream, all at once."""
        def work(stream):
            with connect(muxd.addresses[0]) as sock:
                sock.sendall(stream)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1)
        workers = [threading.Thread(target=work, args=(stream,), daemon=True) for stream in streams]
        for worker in workers:
            worker.start()
        return workers

    def join(self, threads, patience=PATIENCE):
        deadline = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
            self.assertFalse(thread.is_alive(), "a worker has not ended")

    def same_streams(self, stream, streams):
        """A stream of two levels has each worker's events."""
        expected = {}
        for sent in streams:
            events = merge_chatter(python_events(sent))
            expected[events[0]["test_id"]] = events
        (segment, below), = by_segment(python_events(stream)).items()
        self.assertIsNotNone(segment)
        for events in by_segment(below).values():
            events = merge_chatter(events)
            self.same(events, expected.pop(events[0]["test_id"]))
        self.assertEqual(expected, {})


def read(path):
    with open(path, "rb") as file:
        return file.read()
