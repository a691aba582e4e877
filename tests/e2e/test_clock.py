"""Clocks that are wrong: nodes measure, workers are estimated, timestamps are corrected or added."""
import datetime
import threading

from harness import *

HOUR_S = 3600
SKEW_CLOCK = os.environ["SKEW_CLOCK"]
# An estimate that differs less from the one that is applied is not applied (SKEW_CHANGE_NS).
CHANGE_S = 0.010
# Timestamps that gain more are not used for a better estimate at once (MUX_SKEW_GAIN_NS).
GAIN_S = 1
# How fast the error of what was measured grows (MUX_DRIFT_PPM).
DRIFT = 500e-6


def whole(stream):
    """Where the last whole packet at the stream's front ends."""
    end = 0
    while len(stream) - end >= 8:
        width = (stream[end + 3] >> 6) + 1
        length = int.from_bytes(stream[end + 3:end + 3 + width], "big") & ((1 << 8 * width - 2) - 1)
        if end + length > len(stream):
            break
        end += length
    return end


def stamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def seconds(event):
    return event["timestamp"] and event["timestamp"][0] + event["timestamp"][1] / 1e9


class Worker:
    """Sends tests with the time of a clock that is ahead, and notes the right time of each packet."""

    def __init__(self, sock, ahead_s):
        self.sock, self.ahead_s = sock, ahead_s
        self.sent_s = []

    def send(self, name, status):
        now_s = time.time()
        self.sent_s.append(now_s)
        self.sock.sendall(packet(test_id=name, test_status=status, timestamp=stamp(now_s + self.ahead_s)))


class Clock(Case):
    def skewed(self, ahead_s):
        """The environment of a process whose time of day is wrong."""
        asan = os.environ.get("ASAN_OPTIONS", "")
        return dict(os.environ, LD_PRELOAD=SKEW_CLOCK, SKEW_CLOCK_S=str(ahead_s),
                    ASAN_OPTIONS=asan + ":verify_asan_link_order=0")

    def ask(self, path, request):
        done = subprocess.run([MUX, "ctl", "unix:" + path, request, "--json"], stdout=subprocess.PIPE,
                              check=True, timeout=PATIENCE)
        return json.loads(done.stdout)

    def events(self, upstream, count, seen=None):
        """Events, and for each when it was here; packets of nodes about clocks apart."""
        found, stream = [], b""
        while len(found) < count:
            chunk = upstream.sock.recv(1 << 20)
            self.assertTrue(chunk)
            stream += chunk
            events = oracle.decode(stream[:whole(stream)])
            here_s = time.time()
            of_tests = [event for event in events if event["test_id"]]
            found += [(event, here_s) for event in of_tests[len(found):]]
            notes = [event for event in events if event["file_name"] == "muxd.clock"]
        self.notes = notes
        return found

    def check(self, worker, events, errors_s=0):
        """The times at the upstream are right: not before a packet was sent, nor later than the
        smallest delay of those before the last change says, which falls between two tests."""
        self.assertEqual(len(events), len(worker.sent_s))
        delays_s = [here_s - sent_s for (_, here_s), sent_s in zip(events, worker.sent_s)]
        for i, ((event, _), sent_s) in enumerate(zip(events, worker.sent_s)):
            wrong_s = seconds(event) - sent_s
            self.assertGreaterEqual(wrong_s, -CHANGE_S - errors_s)
            if max(delays_s) < GAIN_S:
                self.assertLessEqual(wrong_s, min(delays_s[:max(1, i - i % 2)]) + CHANGE_S + errors_s)
            else:  # a busy machine: what was held up at the beginning counts longer
                self.assertLessEqual(wrong_s, max(delays_s) + CHANGE_S + errors_s)

    def test_skewed_workers(self):
        """One hour ahead, one behind, and right: all are right at the upstream, and marked."""
        upstream = self.upstream()
        path = os.path.join(self.folder(), "ctl")
        muxd = self.muxd("--upstream", upstream.endpoint, "--clock", "correct", "--control", "unix:" + path)
        upstream.accept()
        workers = [Worker(self.socket(muxd.addresses[0]), ahead_s) for ahead_s in (HOUR_S, -HOUR_S, 0)]
        got = {}
        reader = threading.Thread(target=lambda: got.update(events=self.events(upstream, 3 * 40)))
        reader.start()
        for i in range(40):
            for number, worker in enumerate(workers):
                worker.send("w%d.t%d" % (number, i // 2), "success" if i % 2 else "inprogress")
            time.sleep(0.01)  # a live worker takes its time; no test waits for it
        reader.join(PATIENCE)
        for number, worker in enumerate(workers):
            events = [pair for pair in got["events"] if pair[0]["test_id"].startswith("w%d." % number)]
            self.check(worker, events)
        links = self.ask(path, "links")["links"]
        by_peer = {link["peer"]: link for link in links}
        for worker in workers:
            link = by_peer["%s:%d" % worker.sock.getsockname()]
            self.assertEqual(link["clock_shifted"], worker.ahead_s != 0)
            if worker.ahead_s == 0:
                continue
            self.assertEqual(link["clock_basis"], "estimated")
            self.assertLess(abs(link["clock_ahead_s"] - worker.ahead_s), PATIENCE)
        marked = {event["route_code"] for event in self.notes}
        self.assertEqual(marked, {link["segment"] for link in links if link["clock_shifted"]})
        self.assertIn("basis=estimated", text(self.notes[0]))

    def test_recording(self):
        """An old stream, sent again, keeps its times."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint, "--clock", "correct")
        upstream.accept()
        then_s = [1500000000 + 7.25 * i for i in range(1000)]
        stream = b"".join(packet(test_id="t%d" % i, test_status="exists", timestamp=stamp(s))
                          for i, s in enumerate(then_s))
        path = os.path.join(self.folder(), "old.subunit")
        with open(path, "wb") as file:
            file.write(stream)
        subprocess.run([MUX, "send", muxd.addresses[0], path], check=True, timeout=PATIENCE)
        self.assertEqual([seconds(event) for event, _ in self.events(upstream, 1000)], then_s)
        self.assertEqual(self.notes, [])

    def test_tree(self):
        """Three nodes whose clocks differ: at the root all is in the root's time. With bundles the leaf shifts
        to the root's clock, without them each node to that of the next."""
        for window, ahead_s in ("16M", 2 * HOUR_S), ("0", 3 * HOUR_S):
            with self.subTest(window=window):
                self.check_tree(window, ahead_s)

    def check_tree(self, window, leaf_ahead_s):
        upstream = self.upstream()
        folder = self.folder()
        options = "--clock", "correct", "--window", window
        root = self.muxd("--upstream", upstream.endpoint, *options)
        upstream.accept()
        middle = self.muxd("--upstream", "mux:" + root.addresses[0], *options,
                           "--control", "unix:%s/middle" % folder, env=self.skewed(HOUR_S))
        leaf = self.muxd("--upstream", "mux:" + middle.addresses[0], *options,
                         "--control", "unix:%s/leaf" % folder, env=self.skewed(-2 * HOUR_S))
        errors_s = 0
        for name, ahead_s in ("middle", -HOUR_S), ("leaf", leaf_ahead_s):
            control = "%s/%s" % (folder, name)
            self.until(lambda: self.ask(control, "counters")["muxd_clock_readings_total"]["value"] >= 4,
                       "the first answers")
            above = self.ask(control, "status")["upstream"]
            self.assertEqual(above["clock_basis"], "measured")
            self.assertLessEqual(abs(above["clock_ahead_s"] - ahead_s), above["clock_error_s"])
            errors_s += above["clock_error_s"]
        begun_s = time.time()
        skews_s = 0, HOUR_S, -HOUR_S  # from the clock of the leaf's machine
        workers = [Worker(self.socket(leaf.addresses[0]), skew_s - 2 * HOUR_S) for skew_s in skews_s]
        for i in range(20):
            for number, worker in enumerate(workers):
                worker.send("w%d.t%d" % (number, i // 2), "success" if i % 2 else "inprogress")
            time.sleep(0.01)
        events = self.events(upstream, 60)
        errors_s += 2 * DRIFT * (time.time() - begun_s) + 2e-6
        for number, worker in enumerate(workers):
            own = [pair for pair in events if pair[0]["test_id"].startswith("w%d." % number)]
            if number:  # estimated
                self.check(worker, own, errors_s)
                continue
            for (event, _), sent_s in zip(own, worker.sent_s):
                self.assertLessEqual(abs(seconds(event) - sent_s), errors_s)
        self.until(lambda: self.ask(folder + "/middle", "links")["links"][0]["clock_basis"],
                   "what the leaf has measured")
        link, = self.ask(folder + "/middle", "links")["links"]
        self.assertEqual(link["clock_basis"], "measured")
        self.assertLessEqual(abs(link["clock_ahead_s"] + 3 * HOUR_S), link["clock_error_s"])
        counters = self.ask(folder + "/leaf", "counters")
        self.assertEqual(counters["muxd_upstream_clock_ahead_seconds"]["unit"], "seconds")
        self.assertLess(abs(counters["muxd_upstream_clock_ahead_seconds"]["value"] - leaf_ahead_s), PATIENCE)

    def test_stamp(self):
        """What has no time gets that of its arrival; what has one keeps it."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint, "--clock", "stamp")
        upstream.accept()
        before_s = time.time()
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="without", test_status="inprogress") +
                       packet(test_id="with", test_status="exists", timestamp=stamp(1500000000)))
        worker.close()
        (without, here_s), (with_one, _), (failed, end_s) = self.events(upstream, 3)
        self.assertTrue(before_s - CHANGE_S <= seconds(without) <= here_s)
        self.assertEqual(seconds(with_one), 1500000000)
        self.assertEqual((failed["test_status"], failed["file_name"]), ("fail", "muxd"))
        self.assertTrue(before_s - CHANGE_S <= seconds(failed) <= end_s)

    def test_untouched(self):
        """Without --clock no packet is changed, whatever the clocks are."""
        upstream = self.upstream()
        root = self.muxd("--upstream", upstream.endpoint)
        upstream.accept()
        leaf = self.muxd("--upstream", "mux:" + root.addresses[0], env=self.skewed(HOUR_S))
        self.socket(leaf.addresses[0]).sendall(
            packet(test_id="with", test_status="exists", timestamp=stamp(1500000000)) +
            packet(test_id="without", test_status="exists"))
        (first, _), (second, _) = self.events(upstream, 2)
        self.assertEqual((seconds(first), second["timestamp"]), (1500000000, None))


if __name__ == "__main__":
    unittest.main()
