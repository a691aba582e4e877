"""mux store import: repositories of stestr and testrepository, and streams of subunit v1 as python-subunit reads them."""
import datetime
import dbm.dumb
import io
import json
import random
import shutil
import subprocess

import subunit
from testtools import ExtendedToStreamDecorator, PlaceHolder, StreamResult
from testtools.content import Content, ContentType

from command import *

STREAMS = int(os.environ.get("MUXD_IMPORT_STREAMS", 6))  # random ones
KEYS = ("test_id", "test_status", "file_name", "mime_type", "file_bytes", "test_tags", "timestamp")


class Sink(StreamResult):
    """What python makes of a stream: events, the files of each test put together."""

    def __init__(self):
        super().__init__()
        self.events = []

    def status(self, **event):
        event = {key: event.get(key) for key in KEYS}
        event["test_tags"] = sorted(event["test_tags"] or ())
        event["mime_type"] = (event["mime_type"] or "").replace('"', "").replace(" ", "").replace(",", ";") or None
        if event["file_name"]:
            event["timestamp"] = None
            last = self.events[-1] if self.events else {}
            if (last.get("test_id"), last.get("file_name")) == (event["test_id"], event["file_name"]):
                last["file_bytes"] += event["file_bytes"]
                return
            if not event["file_bytes"]:
                return
        self.events.append(event)


def read_v1(text):
    sink = Sink()
    result = ExtendedToStreamDecorator(sink)
    result.startTestRun()
    subunit.ProtocolTestCase(io.BytesIO(text), passthrough=io.BytesIO()).run(result)
    result.stopTestRun()
    return sink.events


def read_v2(stream):
    sink = Sink()
    subunit.ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name="stdout").run(sink)
    return [event for event in sink.events if event["test_id"]]


def random_text(source):
    """As python-subunit writes it."""
    out = io.BytesIO()
    client = subunit.TestProtocolClient(out)
    second = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    for number in range(source.randrange(1, 30)):
        test = PlaceHolder("t%d.%s" % (number, source.choice(["a", "b[1]", "with blanks", "\u00e4", "x [ y"])))
        tags = {source.choice(["slow", "db", "worker-%d" % number])}
        second += datetime.timedelta(seconds=source.randrange(200) / 2)  # python rounds others
        client.time(second)
        client.tags(tags, set())
        client.startTest(test)
        outcome = source.choice(["addSuccess", "addFailure", "addError", "addSkip", "addExpectedFailure",
                                 "addUnexpectedSuccess"])
        details = {name: Content(ContentType("text", "plain", {"charset": "utf8"}), lambda body=body: [body])
                   for name in source.sample(["traceback", "log", "a name"], source.randrange(0, 3))
                   for body in [bytes(source.choices(b"ab]\n\r [", k=source.choice([1, 9, 70000])))]}
        if outcome == "addSkip" and not details and test.id().isascii():
            client.addSkip(test, "a reason\n")
        elif details or outcome in ("addFailure", "addError", "addExpectedFailure", "addSkip"):
            getattr(client, outcome)(test, details=details)
        else:
            getattr(client, outcome)(test)
        client.stopTest(test)
        client.tags(set(), tags)
    return out.getvalue()


class Import(Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="muxd-import-")
        self.addCleanup(shutil.rmtree, self.folder)

    def mux(self, *arguments):
        return mux(*arguments, cwd=self.folder)

    def objects(self, *arguments):
        return [json.loads(line) for line in self.fine(self.mux(*arguments, "--json")).splitlines()]

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)

    def test_as_python_reads_it(self):
        for seed in range(STREAMS):
            text = random_text(random.Random(seed))
            self.write("stream", text)
            self.assertEqual(self.objects("store", "import", "stream"), [{"runs": 1, "known": 0, "times": 0, "left_out": 0}])
            stream = self.fine(self.mux("store", "export", str(seed + 1)))
            ours, theirs = read_v2(stream), read_v1(text)
            for our, their in zip(ours, theirs):
                self.assertEqual(our, their, "seed %d" % seed)
            self.assertEqual(len(ours), len(theirs))

    def test_by_hand(self):
        self.write("stream", b"chatter\ntest: a\nfailure: b\ntags: worker-7\nerror: a [\nx\n ]y\n]\ntest b\nskip b [\nwhy\n]\n"
                             b"progress: +3\ntime: 2026-01-02 03:04:05Z\ntesting: c\nunknown words\nxfail: c\ntest: d\n")
        self.objects("store", "import", "stream")
        self.assertEqual([(row["test_id"], row["status"], row["route_code"]) for row in self.objects("show", "--tests")],
                         [("a", "fail", ""), ("b", "skip", ""), ("c", "xfail", ""), ("d", "inprogress", "")])
        self.assertIn(b"        ]y\n", self.fine(self.mux("show")))

    def test_repository(self):
        """What stestr left of a run that it did; again: nothing is twice."""
        self.write("tests/__init__.py", b"")
        self.write("tests/test_a.py", b"import unittest\nclass A(unittest.TestCase):\n"
                   b"    def test_good(self): pass\n    def test_bad(self): self.fail('this text')\n")
        self.write(".stestr.conf", b"[DEFAULT]\ntest_path=./tests\n")
        environment = {**os.environ, "PYTHON": "/usr/bin/python3", "PATH": "/usr/bin:" + os.environ["PATH"]}
        for _ in range(2):
            subprocess.run(["stestr", "run", "--no-subunit-trace"], cwd=self.folder, env=environment, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        with dbm.dumb.open(os.path.join(self.folder, ".stestr/times.dbm"), "w") as times:
            times["it's \xe4\n"] = "12.5"
            times["no.number"] = "x"
        self.write("stream", b"test: new\nsuccess: new\n")
        self.objects("store", "import", "stream")
        for expected in ({"runs": 3, "known": 0, "times": 1, "left_out": 0}, {"runs": 0, "known": 2, "times": 0, "left_out": 0}):
            self.assertEqual(self.objects("store", "import", ".stestr"), [expected])
        runs = self.objects("runs")
        self.assertEqual([run["source"] for run in runs],  # by age
                         ["stream", ".stestr/times.dbm.dat", ".stestr", ".stestr"])
        self.assertEqual([run["new"] for run in runs], [None, None, 0, None])
        self.assertEqual([run["counts"]["fail"] for run in runs], [0, 0, 1, 1])
        self.assertEqual([row["took_s"] for row in self.objects("history", "it's \xe4\n")], [12.5])
        self.assertIn(b"this text", self.fine(self.mux("show", "last-2")))
        self.assertTrue(all(run["begun"] <= run["ended"] for run in runs if run["source"] == ".stestr"))

    def test_other_databases(self):
        for name, words in (("times.dbm", "a gdbm"), ("times.dbm.db", "a Berkeley"), ("times.dbm.pag", "an ndbm")):
            self.write(name + "/format", b"1\n")
            self.write(os.path.join(name, name), b"anything")
            done = self.mux("store", "import", name)
            self.assertEqual(done.returncode, 0)
            self.assertIn(words, done.stderr.decode())

    def test_wrong(self):
        self.write("damaged/format", b"1\n")
        self.write("damaged/times.dbm.dir", b"'a', (0, 1)\n'b', (7, 9)\n")
        self.write("damaged/times.dbm.dat", b"1")
        self.assertIn("they are damaged", self.mux("store", "import", "damaged").stderr.decode())
        self.write("later/format", b"2\n")
        self.write("none/README", b"")
        for path, words in (("later", "its format is not 1"), ("none", "it has no file 'format'"), ("gone", "No such file")):
            done = self.mux("store", "import", path)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr.decode())
        self.assertEqual(self.mux("store", "import").returncode, 2)


if __name__ == "__main__":
    unittest.main()
