"""kill -9 at random of every aggregator and of the end, under load from real workers: nothing is missing at
the root, nothing doubled, nobody falsely failed. Rolling restarts by TERM likewise.

CI kills a few; KILL_ROUNDS=200 KILL_WORKERS=50 is the proof, and prints its figures."""
import collections

from harness import *

ROUNDS = int(os.environ.get("KILL_ROUNDS", 5))
WORKERS = int(os.environ.get("KILL_WORKERS", 10))
SEED = int(os.environ.get("KILL_SEED", 1))

# A worker's, in each test: all together have 250 tests a second.
PAUSE = WORKERS / 250

# How much more is to come to the end before the next one is killed.
BYTES_BETWEEN = 20000

WORKER = """
import os, socket, sys, time
from subunit.v2 import StreamResultToBytes
host, port = sys.argv[1].rsplit(":", 1)
up = socket.create_connection((host, int(port)))
out = StreamResultToBytes(up.makefile("wb", 0))
number = 0
while not os.path.exists(sys.argv[3]):
    name = "%s.t%d" % (sys.argv[2], number)
    out.status(test_id=name, test_status="inprogress")
    out.status(test_id=name, file_name="log", file_bytes=b"x" * (100 + 37 * number % 2000), eof=True)
    time.sleep(float(sys.argv[4]))
    out.status(test_id=name, test_status="success")
    number += 1
up.shutdown(socket.SHUT_WR)
while up.recv(65536):
    pass
print(number)
"""


class Kills(Case):
    def node(self, name, *upstreams):
        """Starts it, at the port that it has."""
        options = [word for upstream in upstreams for word in ("--upstream", upstream)]
        self.upstreams[name] = upstreams
        self.nodes[name] = self.muxd(*options, "--window", "1M", "--node-grace", "60",
                                     listen=("127.0.0.1:%d" % self.ports[name],))

    def start(self):
        self.nodes, self.upstreams = {}, {}
        self.path = os.path.join(self.folder(), "out")
        self.ports = {name: free_port() for name in ("end", "a", "b", "leaf", "other")}
        self.node("end", "file:" + self.path)
        for name in ("a", "b"):
            self.node(name, "mux:127.0.0.1:%d" % self.ports["end"])
        ways = ["mux:127.0.0.1:%d" % self.ports[name] for name in ("a", "b")]
        self.node("leaf", *ways)
        self.node("other", *reversed(ways))

    def again(self, name, is_killed):
        node = self.nodes[name]
        if is_killed:
            node.process.kill()
            node.wait()
        else:
            self.assertEqual(node.end(), 0, "".join(node.log))
        self.node(name, *self.upstreams[name])

    def work(self):
        """Starts the workers; returns what stops them and gives how many tests each has had."""
        stop = os.path.join(self.folder(), "stop")
        processes = []
        for number in range(WORKERS):
            leaf = self.nodes["other" if number % 2 else "leaf"]
            processes.append(subprocess.Popen(
                [sys.executable, "-c", WORKER, leaf.addresses[0], "w%d" % number, stop,
                 str(PAUSE)], stdout=subprocess.PIPE))
            self.addCleanup(processes[-1].stdout.close)
            self.addCleanup(processes[-1].kill)

        def end():
            open(stop, "w").close()
            return [int(process.communicate(timeout=PATIENCE)[0]) for process in processes]
        return end

    def has_more(self, than):
        return os.path.exists(self.path) and os.path.getsize(self.path) > than + BYTES_BETWEEN

    def strike(self, is_killed):
        dice = random.Random(SEED)
        end = self.work()
        for _ in range(ROUNDS):
            size = os.path.getsize(self.path) if os.path.exists(self.path) else 0
            self.until(lambda: self.has_more(size), "more of the stream")
            time.sleep(dice.random() * 0.05)        # at any moment: none is waited for
            self.again(dice.choice(("a", "b", "end")), is_killed)
        counts = end()
        for name in ("leaf", "other", "a", "b", "end"):
            self.assertEqual(self.nodes[name].end(), 0, name + ": " + "".join(self.nodes[name].log))
        return counts

    def assert_whole(self, counts, what):
        with open(self.path, "rb") as file:
            stream = file.read()
        events = [event for event in oracle.decode(stream) if event["test_id"]]
        seen, routes = collections.defaultdict(list), collections.defaultdict(set)
        for event in events:
            worker = event["test_id"].split(".")[0]
            seen[worker].append((event["test_id"], event["test_status"], event["file_name"]))
            routes[worker].add(event["route_code"])
        for number, count in enumerate(counts):
            worker = "w%d" % number
            expected = [one for test in range(count) for one in (
                ("%s.t%d" % (worker, test), "inprogress", None), ("%s.t%d" % (worker, test), None, "log"),
                ("%s.t%d" % (worker, test), "success", None))]
            self.assertEqual(seen[worker], expected)
            self.assertEqual(len(routes[worker]), 1)
        self.assertEqual(len({route for of in routes.values() for route in of}), WORKERS)
        print("%s %d times, %d workers: %d tests, %d bytes: missing 0, doubled 0, falsely failed 0" % (
            what, ROUNDS, WORKERS, sum(counts), len(stream)), file=sys.stderr)

    def test_killed_at_random(self):
        self.start()
        self.assert_whole(self.strike(is_killed=True), "killed")

    def test_rolling_restart(self):
        self.start()
        self.assert_whole(self.strike(is_killed=False), "ended by TERM")
