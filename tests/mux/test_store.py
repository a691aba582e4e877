"""The store: mux load and what it shows; killed in the middle, on a full disk, damaged, of a newer version."""
import datetime
import json
import re
import shutil
import signal
import sqlite3
import subprocess

from command import *

KILLS = int(os.environ.get("MUXD_STORE_KILLS", 6))  # moments at which a load is killed


def run_stream(tests, **statuses):
    """A run of tests 't0'... that pass, but for those that are named."""
    return b"".join(packet(test_id="t%d" % i, test_status="inprogress") +
                    packet(test_id="t%d" % i, file_name="traceback", file_bytes=b"text of t%d\n" % i,
                           mime_type="text/plain;charset=utf8") +
                    packet(test_id="t%d" % i, test_status=statuses.get("t%d" % i, "success"))
                    for i in range(tests))


RUN = "0b5f6f0e-5a1c-4c9e-8f3e-2f6a1f0c7d21"


def mark(run=RUN, route=None, timestamp=None, **content):
    """What who runs a run says of it."""
    return packet(test_tags={"run-" + run}, file_name="muxd.run", file_bytes=json.dumps(content).encode(), eof=True,
                  mime_type="application/json", runnable=False, route_code=route, timestamp=timestamp)


def timed(test, seconds, route=None):
    """A test that passes after so long."""
    begun = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    ended = begun + datetime.timedelta(seconds=seconds)
    return (packet(test_id=test, test_status="inprogress", timestamp=begun, route_code=route) +
            packet(test_id=test, test_status="success", timestamp=ended, route_code=route))


class Store(Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="muxd-store-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.store = os.path.join(self.folder, ".mux")

    def mux(self, *arguments, **keywords):
        place = [] if self.store == os.path.join(self.folder, ".mux") else ["--store", self.store]
        return mux(*arguments, *place, cwd=self.folder, **keywords)

    def lines(self, *arguments):
        return self.fine(self.mux(*arguments)).decode().splitlines()

    def objects(self, *arguments):
        return [json.loads(line) for line in self.lines(*arguments, "--json")]

    def load(self, stream, **keywords):
        return self.fine(self.mux("load", "-", stream=stream, **keywords))

    def test_what_was_stored(self):
        self.load(run_stream(5, t1="fail", t3="skip") + packet(test_id="t9", test_status="inprogress"))
        self.load(run_stream(5, t2="fail"))
        runs = self.objects("runs")
        self.assertEqual([(run["number"], run["counts"]["fail"], run["counts"]["inprogress"]) for run in runs],
                         [(2, 1, 0), (1, 1, 1)])
        self.assertEqual(self.lines("failing", "--list"), ["t2"])
        self.assertEqual(self.lines("failing", "--list", "last-1"), ["t1", "t9"])
        shown = self.lines("show", runs[1]["run"][:6])
        self.assertRegex(shown[0], r"^run [0-9a-f]{8} failed: 1 failed, 1 did not end, 3 passed, 1 skipped$")
        self.assertIn("        text of t1", shown)
        self.assertNotIn("        text of t0", shown)
        self.assertEqual([row["test_id"] for row in self.objects("show", "--tests", "1")],
                         ["t0", "t1", "t2", "t3", "t4", "t9"])
        self.assertEqual([row["status"] for row in self.objects("history", "t2")], ["fail", "success"])
        done = self.mux("diff", "1", "2", "--json")
        self.assertEqual(done.returncode, 4)
        self.assertEqual([(change["change"], change["test_id"]) for change in map(json.loads, done.stdout.splitlines())],
                         [("fixed", "t1"), ("FAIL", "t2"), ("gone", "t9")])
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])

    def test_failed_then_passed(self):
        """Flaky is an outcome of its own: neither a failure nor a success, and what was tried again counts once."""
        self.load(run_stream(3))
        self.load(run_stream(4, t0="fail", t1="fail", t2="fail") + run_stream(3, t1="fail", t2="skip"))
        run = self.objects("runs")[0]
        self.assertEqual({key: n for key, n in run["counts"].items() if n},
                         {"fail": 2, "flaky": 1, "retried": 2, "skip": 1, "success": 1})
        self.assertEqual(self.lines("failing", "--list"), ["t2", "t1"])  # in the order of their counting results
        self.assertIn("failed: 2 failed (2 new), 1 flaky, 1 passed, 1 skipped", self.lines("show")[0])
        self.assertEqual([row["status"] for row in self.objects("history", "t0")], ["flaky", "retried", "success"])
        done = self.mux("diff", "last-1", "--json")
        self.assertEqual([(change["change"], change["test_id"], change["after"])
                          for change in map(json.loads, done.stdout.splitlines())],
                         [("flaky", "t0", "flaky"), ("FAIL", "t1", "fail"), ("FAIL", "t2", "fail"),
                          ("new", "t3", "success")])
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])

    def test_says_its_name(self):
        """A run keeps its id, what was run and its verdict, also in an index that is made anew."""
        begun = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
        stream = (mark(source="make check", timestamp=begun) + run_stream(3) +
                  mark(verdict="incomplete", timestamp=begun + datetime.timedelta(seconds=75)))
        self.load(stream)
        self.load(run_stream(1))
        for _ in range(2):
            run = self.objects("runs")[1]
            self.assertEqual((run["run"], run["source"], run["verdict"]), (RUN, "make check", "incomplete"))
            self.assertRegex(self.lines("runs")[2], "^%s .* make check +incomplete +1:15$" % RUN[:8])
            self.wrong(["load", "-"], "the store has it already", stream=stream)
            os.remove(os.path.join(self.store, "index.sqlite"))
            self.fine(self.mux("store", "rebuild"))

    def test_marks_of_others(self):
        """Not believed: a verdict under a route code or of another run, a name that is none. Unsaid: it was cut off."""
        def last():
            return self.objects("runs")[0]
        self.load(mark(source="a") + run_stream(1) + mark(verdict="passed", route="0") +
                  mark(verdict="passed", run=RUN[:-1] + "0"))
        self.assertEqual((last()["run"], last()["verdict"]), (RUN, None))
        self.assertIn(" cut off: ", self.lines("last")[0])
        self.load(run_stream(1) + mark(verdict="failed", run=RUN[:-1] + "2"))
        self.assertEqual(last()["verdict"], None)
        self.load(mark(verdict="passed", run="../../../../../../../../tmp/01234567"))
        self.assertRegex(last()["run"], "^[0-9a-f-]{36}$")
        self.load(mark(run=RUN[:-1] + "3", route="3") + run_stream(1))
        self.assertEqual(last()["run"], RUN[:-1] + "3")

    def test_what_people_see(self):
        """What is new, by the run before of the same source; how two runs differ."""
        self.load(run_stream(2000))
        self.load(run_stream(1999, t1="fail", t2="fail"))
        self.fine(self.mux("load", "-", "--source", "other", stream=run_stream(3, t1="fail")))
        self.load(run_stream(2001, t2="fail", t3="uxsuccess", t4="fail") + run_stream(3))
        runs = self.lines("runs")
        for line, words in zip(runs, (r"^run +when +what +result +time$",
                                      r"- +1 failed, 1 passed against expectation \(2 new\), 1 flaky$",
                                      r"other +1 failed$", r"- +2 failed \(2 new\)$", r"- +passed, 2,000$")):
            self.assertRegex(re.sub(r" +[0-9.]+ s$", "", line), words)  # a slow machine says how long it took
        self.assertEqual([run["new"] for run in self.objects("runs")], [2, None, 2, None])
        shown = self.lines("show")
        self.assertEqual([line.split("  ")[-1] for line in shown if line.startswith(("FAIL", "UXPASS"))], ["new", "new"])
        before = self.lines("runs")
        self.fine(self.mux("store", "rebuild"))
        self.assertEqual([line[23:] for line in self.lines("runs")], [line[23:] for line in before])  # but for its age
        done = self.mux("diff", "last~3", "last")
        self.assertEqual(done.stdout.decode().splitlines(),
                         ["flaky          t2", "newly failing  t3", "newly failing  t4", "new tests 1, gone 0, fixed 0"])
        self.assertEqual(self.lines("diff", "last", "last"), ["nothing is different"])
        self.load(run_stream(2001, t2="fail", t3="fail"))
        since = self.objects("runs")[1]["run"]
        self.assertEqual([row["since"] == since for row in self.objects("show", "--failures")], [False, True])
        since = since[:8]
        self.assertRegex("\n".join(self.lines("show", "--failures")), r"FAIL +t2  new\n[^F]*FAIL +t3  since run %s, .* ago" % since)

    def at_a_terminal(self, *arguments, pager):
        """(exit code, what the terminal shows)"""
        master, slave = self.terminal()
        process = subprocess.Popen([MUX, *arguments], cwd=self.folder, stdin=slave, stdout=slave, stderr=slave,
                                   env={**os.environ, "PAGER": pager})
        os.close(slave)
        shown = b""
        try:
            while True:
                shown += os.read(master, 65536)
        except OSError:  # the last one who had it open has ended
            return process.wait(PATIENCE), shown.decode().replace("\r\n", "\n")

    def test_documented_queries(self):
        """Those of docs/store.md, and its version, fit the index."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/store.md")) as file:
            text = file.read()
        self.load(run_stream(2) + run_stream(3, t0="fail") + run_stream(1))
        with sqlite3.connect("file:%s?mode=ro" % os.path.join(self.store, "index.sqlite"), uri=True) as database:
            rows = [database.execute(query).fetchall() for query in re.findall(r"```sql\n(.*?)```", text, re.S)]
            version, = database.execute("PRAGMA user_version").fetchone()
        database.close()
        self.assertEqual([len(found) for found in rows], [1, 1])
        self.assertEqual(rows[0], [("t0", 1)])
        self.assertIn("which is %d." % version, text)

    def test_pager(self):
        """At a terminal people read page by page; the pager ends last, and may end early."""
        self.load(run_stream(3, t1="fail"))
        for arguments in (["show"], ["runs"], ["failing"], ["history", "t1"], ["diff", "last", "last"]):
            plain = self.fine(self.mux(*arguments)).decode()
            status, shown = self.at_a_terminal(*arguments, pager="sleep 0.1; sed 's/^/> /'")
            self.assertEqual((status, re.sub(r"\d+ (s|min) ago *", "", shown)),
                             (0, re.sub(r"\d+ (s|min) ago *", "", "".join("> " + line for line in plain.splitlines(True)))))
            self.assertNotIn(">", self.at_a_terminal(*arguments, "--no-pager", pager="sed 's/^/> /'")[1])
        self.assertNotIn(">", self.at_a_terminal("runs", "--json", pager="sed 's/^/> /'")[1])
        self.assertIn("t1", self.at_a_terminal("failing", pager="")[1])
        self.load(run_stream(30000))
        self.assertEqual(self.at_a_terminal("show", "--tests", pager="head -n 1")[1], "ok      t0\n")

    def test_slots(self):
        self.load(timed("a", 2, "0") + timed("b", 1, "10") + timed("c", 4, "2") + packet(test_id="d", test_status="fail"))
        slots = self.objects("show", "--slots")
        self.assertEqual([(slot["route_code"], slot["results"], slot["busy_s"], slot["idle"]) for slot in slots],
                         [("", 1, 0, 1), ("0", 1, 2, 0.5), ("2", 1, 4, 0), ("10", 1, 1, 0.75)])
        self.assertRegex(self.lines("show", "--slots")[1], r"^ +1 results  busy +2.00 s  idle +50 %  0$")

    def test_never_ran(self):
        announced = b"".join(packet(test_id="t%d" % i, test_status="exists") for i in range(3000))
        self.load(announced + run_stream(2995) + packet(test_id="t2996", file_name="x", file_bytes=b"1") + announced)
        self.assertEqual(self.lines("show", "--never-ran"), ["t%d" % i for i in range(2995, 3000)])
        self.assertEqual(self.objects("show", "--never-ran")[0], {"test_id": "t2995"})
        self.load(packet(test_id="listed", test_status="exists", route_code="0") + run_stream(1))
        self.assertEqual(self.lines("show", "--never-ran"), ["listed"])
        self.load(packet(test_id="listed", test_status="exists", route_code="0") + run_stream(1) +
                  packet(test_id="to run", test_status="exists"))
        self.assertEqual(self.lines("show", "--never-ran"), ["to run"])
        self.wrong(["show", "--never-ran", "--attachment", "x"], "--attachment is for tests", 2)

    def test_export(self):
        first, second = run_stream(2000) + b"chatter\n", run_stream(1)
        self.load(first)
        self.load(second)
        self.assertEqual(self.fine(self.mux("store", "export")), second)
        self.assertEqual(self.fine(self.mux("store", "export", "1")), first)
        self.wrong(["store", "export", "last-9"], "there is none of this name")
        self.wrong(["store", "export", "1", "2"], "expected check, rebuild, prune, export or import", 2)
        self.wrong(["store", "export", "--keep", "1"], "are for prune", 2)

    def test_attachment(self):
        large = bytes(range(256)) * 1000
        self.load(run_stream(3, t1="fail") + packet(test_id="large", file_name="core", file_bytes=large) +
                  packet(test_id="large", test_status="skip"))
        self.assertEqual(self.fine(self.mux("show", "--attachment", "core")), large)
        self.assertEqual(self.fine(self.mux("show", "--failures", "--attachment", "traceback")), b"text of t1\n")
        self.assertEqual(self.lines("show", "last", "--attachment", "traceback"), ["text of t%d" % i for i in range(3)])
        self.wrong(["show", "--attachment", "none"], "no test of this run has a file 'none'")
        self.wrong(["show", "--attachment", "core", "--json"], "that is no JSON", 2)
        for name in os.listdir(os.path.join(self.store, "runs")):
            os.truncate(os.path.join(self.store, "runs", name), 1000)
        self.wrong(["show", "--attachment", "core"], "cannot be read to its end")

    def test_slowest(self):
        self.load(b"".join(timed("t%d" % i, i * 0.5) for i in range(6)))
        self.assertEqual([(row["test_id"], row["took_s"]) for row in self.objects("slowest")],
                         [("t5", 2.5), ("t4", 2.0), ("t3", 1.5), ("t2", 1.0), ("t1", 0.5)])

    def test_history(self):
        """By the end of an id, by a pattern; how long a test takes, and since when it is slower."""
        for seconds in (2, 3, 2, 2.5, 2, 7, 6):
            self.load(timed("pkg.mod.test_a", seconds) + timed("pkg.mod2.test_a", 1) + timed("pkg.mod.my_test_b", 1))
        names = [run["run"][:8] for run in self.objects("runs")]

        def history(name):
            return [re.sub(r"\d+ (s|min) ago *", "", line) for line in self.lines("history", name)]
        shown = history("pkg.mod.test_a")
        self.assertEqual(len(shown), 8)
        self.assertRegex(shown[0], "^%s +ok +6.00 s  #{17}$" % names[0])
        self.assertEqual(shown[7], "7 results: 7 passed; median 2.50 s, usual 2.00 s to 7.00 s; slower since " + names[1])
        self.assertEqual(history("mod.test_a"), ["pkg.mod.test_a"] + shown)
        self.assertEqual([line for line in self.lines("history", "*test_a") if line.startswith("pkg")],
                         ["pkg.mod.test_a", "pkg.mod2.test_a"])
        self.wrong(["history", "test_a"], "several tests end in 'test_a'")
        self.wrong(["history", "test_b"], "no run has a test 'test_b'")  # the end of a word is none
        self.assertEqual({row["took_s"] for row in self.objects("history", "my_test_b")}, {1})

    def test_names_steer_no_terminal(self):
        self.load(packet(test_id="\x1b[2Jevil\u202e", test_status="fail", route_code="\x1b]0;x"))
        self.harmless(self.fine(self.mux("show")))
        self.harmless(self.fine(self.mux("show", "--tests")))
        self.harmless(self.fine(self.mux("history", "*evil*")))

    def test_from_below(self):
        """The nearest .mux upwards, as git does; --store names another."""
        self.load(run_stream(1))
        below = os.path.join(self.folder, "a", "b")
        os.makedirs(below)
        self.assertEqual(len(self.fine(mux("runs", cwd=below)).splitlines()), 2)
        self.fine(mux("load", "-", "--store", "other", stream=run_stream(2), cwd=below))
        self.assertEqual(len(self.lines("runs", "--store", "a/b/other")), 2)

    def wrong(self, arguments, words, status=1, **keywords):
        done = self.mux(*arguments, **keywords)
        self.assertEqual(done.returncode, status, done)
        self.assertIn(words, done.stderr.decode())

    def test_wrong(self):
        self.wrong(["runs"], "there is none yet: mux load makes one")
        self.wrong(["load"], "expected one FILE", 2)
        self.wrong(["load", "missing"], "missing: No such file")
        self.load(run_stream(1))
        self.wrong(["show", "zzzz"], "there is none of this name (mux runs lists them)")
        self.wrong(["show", "last-7"], "there is none of this name")
        self.wrong(["history", "no.such.test"], "no run has a test 'no.such.test'")
        self.wrong(["store", "bake"], "expected check, rebuild, prune, export or import", 2)

    def test_newer_and_damaged(self):
        self.load(run_stream(3, t1="fail"))
        index = os.path.join(self.store, "index.sqlite")
        with sqlite3.connect(index) as database:
            database.execute("PRAGMA user_version=99")
        database.close()
        self.wrong(["runs"], "a newer muxd has written it")
        self.wrong(["load", "-"], "a newer muxd has written it", stream=run_stream(1))
        self.assertEqual(len(os.listdir(os.path.join(self.store, "runs"))), 1)
        with open(index, "r+b") as file:
            file.write(b"this is no database " * 200)
        for name in ("-wal", "-shm"):
            if os.path.exists(index + name):
                os.remove(index + name)
        self.wrong(["runs"], "mux store rebuild")
        self.wrong(["load", "-"], "mux store rebuild", stream=run_stream(1))
        self.fine(self.mux("store", "rebuild"))
        self.assertEqual(self.lines("failing", "--list"), ["t1"])

    def test_damaged_inside(self):
        """Pages that are overwritten: check says so, and the index is made anew."""
        self.load(run_stream(3000, t1="fail"))
        shown = self.stored()
        index = os.path.join(self.store, "index.sqlite")
        with open(index, "r+b") as file:
            file.seek(os.path.getsize(index) // 2 // 4096 * 4096)
            file.write(bytes(8192))
        done = self.mux("store", "check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("mux store: ", done.stderr.decode())
        self.fine(self.mux("store", "rebuild"))
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])
        self.assertEqual(shown, self.stored())

    def test_older(self):
        """An index of the first version is brought up to date by whoever opens it, also to read."""
        self.load(run_stream(3, t1="fail"))
        with sqlite3.connect(os.path.join(self.store, "index.sqlite")) as database:
            database.executescript("DROP INDEX runs_begun; ALTER TABLE runs DROP COLUMN verdict;"
                                   "ALTER TABLE runs DROP COLUMN new_bad; ALTER TABLE runs DROP COLUMN exit_status; DROP TABLE bad_since; DROP TABLE tries; PRAGMA user_version=1")
        database.close()
        self.assertEqual([run["verdict"] for run in self.objects("runs")], [None])
        self.load(run_stream(2))
        self.assertEqual(self.lines("failing", "--list", "last-1"), ["t1"])
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])

    def test_a_file_is_gone(self):
        self.load(run_stream(3))
        for name in os.listdir(os.path.join(self.store, "runs")):
            os.remove(os.path.join(self.store, "runs", name))
        self.wrong(["store", "check"], "No such file")
        self.assertEqual(len(self.lines("show", "--tests")), 3)

    def test_prune(self):
        self.wrong(["store", "prune", "--keep", "1"], "there is none yet")
        self.assertFalse(os.path.exists(self.store))
        for tests in (3, 2000, 1):
            self.load(run_stream(tests))
        folder = os.path.join(self.store, "runs")
        sizes = sorted(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
        self.assertEqual(self.objects("store", "prune", "--keep", "3", "--days", "1"), [{"runs": 0, "bytes": 0}])
        self.assertEqual(self.objects("store", "prune", "--bytes", str(sizes[0] + sizes[2])),
                         [{"runs": 1, "bytes": sizes[1]}])
        self.assertEqual([run["counts"]["success"] for run in self.objects("runs")], [1, 2000])
        self.assertEqual(self.lines("store", "prune", "--keep", "1"), ["removed 1 runs, %d bytes" % sizes[2]])
        self.assertEqual([run["counts"]["success"] for run in self.objects("runs")], [1])
        self.assertEqual(len(os.listdir(folder)), 1)
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])
        self.wrong(["store", "prune"], "Give --keep, --days or --bytes", 2)
        self.wrong(["store", "prune", "--keep", "-1"], "expected a number of runs", 2)
        self.wrong(["store", "prune", "--days", "99999"], "expected a number of days", 2)
        self.wrong(["store", "check", "--bytes", "1G"], "are for prune", 2)

    def test_two_at_once(self):
        loads = [subprocess.Popen([MUX, "load", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, cwd=self.folder) for _ in range(2)]
        for load in loads:
            load.stdin.write(run_stream(1500))
            load.stdin.close()
        for load in loads:
            self.assertEqual(load.wait(PATIENCE), 0, load.stderr.read())
            load.stdout.close(), load.stderr.close()
        self.assertEqual([run["counts"]["success"] for run in self.objects("runs")], [1500, 1500])
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])

    def test_killed(self):
        """kill -9 at any moment: the store is sound, and rebuilt has what the files have."""
        stream = run_stream(6000)
        for i in range(KILLS):
            load = subprocess.Popen([MUX, "load", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                    cwd=self.folder)
            try:
                load.stdin.write(stream[:len(stream) * (i + 1) // KILLS])
                load.stdin.close()
            except BrokenPipeError:
                pass
            time.sleep(0.02 * i)
            load.kill()
            load.wait()
            if not os.path.exists(self.store):
                continue  # it had not begun
            shown = self.stored()
            self.assertEqual(self.lines("store", "check"), ["the store is sound"])
            self.assertLessEqual(shown, self.stored())
        runs = self.objects("runs", "--all")
        self.assertEqual(len(runs), len(os.listdir(os.path.join(self.store, "runs"))))
        self.fine(self.mux("store", "rebuild"))
        self.assertEqual([(run["run"], run["counts"]) for run in runs],
                         [(run["run"], run["counts"]) for run in self.objects("runs", "--all")])
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])

    def stored(self):
        """All results that are shown as stored. A mux that was killed early has made no index."""
        found = set()
        done = self.mux("runs", "--json", "--all")
        for run in done.stdout.splitlines():
            run = json.loads(run)["run"]
            found |= {(run, row["test_id"], row["status"]) for row in self.objects("show", "--tests", run)}
        return found

    def test_goes_on_after_a_crash(self):
        """A file that the index does not know, and one whose owner was killed, are read by the next load."""
        self.load(run_stream(3, t1="fail"))
        runs = os.path.join(self.store, "runs")
        name = os.listdir(runs)[0]
        other = name[:15] + "12345678-0000-4000-8000-000000000000.subunit"
        shutil.copy(os.path.join(runs, name), os.path.join(runs, other))
        self.load(run_stream(1))
        self.assertEqual(sorted(run["counts"]["fail"] for run in self.objects("runs")), [0, 1, 1])
        self.assertEqual(self.lines("failing", "--list", "123456"), ["t1"])  # digits, and no run of this number
        self.wrong(["failing", "--list", "12"], "run 12: there is none of this name")  # a number, for it is so short

    def test_while_it_is_loaded(self):
        """What has come of a run is shown; rebuild waits for its end, prune lets it be."""
        load = subprocess.Popen([MUX, "load", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=self.folder)
        load.stdin.write(run_stream(1))
        load.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while b"t0" not in self.mux("show", "--tests").stdout and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertRegex(self.lines("show")[0], "open: 1 passed$")
        self.wrong(["store", "rebuild"], "it is being written: wait for its end")
        self.assertEqual(self.objects("store", "prune", "--keep", "0"), [{"runs": 0, "bytes": 0}])
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])
        load.stdin.close()
        self.assertEqual(load.wait(PATIENCE), 0)
        self.assertEqual(self.objects("runs")[0]["counts"]["success"], 1)

    @unittest.skipUnless(os.geteuid() == 0, "mounts a file system")
    def test_read_only(self):
        self.load(run_stream(3, t1="fail"))
        shown = self.stored()
        place = os.path.join(self.folder, "a %41?#b")
        os.mkdir(place)
        subprocess.run(["mount", "--bind", self.store, place], check=True)
        self.addCleanup(subprocess.run, ["umount", place], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        self.store = place
        self.assertEqual(shown, self.stored())
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])
        for arguments in (["load", "-"], ["store", "prune", "--keep", "0"]):
            self.wrong(arguments, "Read-only file system")
        self.wrong(["store", "rebuild"], "Read-only file system")

    @unittest.skipUnless(os.geteuid() == 0, "mounts a file system")
    def test_cannot_lock(self):
        """As above, and SQLite's files for locks are not there: who wants to write is told of it."""
        self.load(run_stream(1))
        subprocess.run(["mount", "--bind", self.store, self.store], check=True)
        self.addCleanup(subprocess.run, ["umount", self.store], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", self.store], check=True)
        self.assertEqual(len(self.lines("runs")), 2)
        self.wrong(["load", "-"], "choose or copy it to one that you may write to, by --store")

    @unittest.skipUnless(os.geteuid() == 0, "mounts a file system")
    def test_full_disk(self):
        os.mkdir(self.store)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", self.store], check=True)
        self.addCleanup(subprocess.run, ["umount", self.store], check=True)
        self.load(run_stream(10, t1="fail"))
        done = self.mux("load", "-", stream=run_stream(8000))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.decode(), "No space left|full")
        self.assertEqual(self.lines("failing", "--list", "1"), ["t1"])
        before = self.stored()
        self.wrong(["store", "check"], "make room, then mux store check reads the rest")
        subprocess.run(["mount", "-o", "remount,size=20m", self.store], check=True)
        self.assertEqual(self.lines("store", "check"), ["the store is sound"])
        self.assertLess(before, self.stored())


if __name__ == "__main__":
    unittest.main()
