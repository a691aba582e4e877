"""mux exec: what the command writes is bounded, masked, tagged, timed; its statuses always go up."""
import re

from execution import *


class Limits(ExecCase):
    def test_text(self):
        """Beginning and end stay, a line says what is missing, and the event counts it."""
        events = self.execute("--allow-empty", "--max-output", "100K", "--", "seq", "100000", status=0)
        whole, text = b"".join(b"%d\n" % i for i in range(1, 100001)), self.output(events, "stdout")
        found = re.fullmatch(rb"(.*)\n\[mux exec left out (\d+) bytes here: --max-output\]\n(.*)", text, re.S)
        begin, count, end = found[1], int(found[2]), found[3]
        self.assertEqual((begin, end), (whole[:100 << 10], whole[-(16 << 10):]))
        self.assertEqual(len(begin) + count + len(end), len(whole))
        self.assertEqual(self.exit_of(events)["output_cut_bytes"], count)

    def test_all_that_fits(self):
        for size in (1 << 20, (1 << 20) - 1000):  # the rest fits the end: nothing is missing
            events = self.execute("--allow-empty", "--max-output", str(size), "--", "head", "-c", "1M", "/dev/zero",
                                  status=0)
            self.assertEqual(self.output(events, "stdout"), bytes(1 << 20))
            self.assertEqual(self.exit_of(events)["output_cut_bytes"], 0)

    def test_mark_is_shown(self):
        """Of a long packet mux cat shows the end: the mark is not in it."""
        done = mux("exec", "--max-output", "2K", "--allow-empty", "--", "seq", "10000")
        shown = mux("cat", stream=done.stdout)
        self.assertRegex(shown.stdout.decode(), r"\n +\[mux exec left out \d+ bytes here: --max-output\]\n")

    def test_each_test_anew(self):
        """The end of a test's output comes before its status; the next test has its own limit."""
        events = self.python("""
for name in ('second', 'third', 'fourth'):
    stream.status(test_id=name, test_status='inprogress')
    for i in range(100000 if name == 'third' else 1000):
        os.write(1, b'%s %d\\n' % (name.encode(), i))
    os.write(2, b'e' * 200000)
    stream.status(test_id=name, file_name='log', file_bytes=b'l' * (200000 if name == 'third' else 100))
    stream.status(test_id=name, test_status='success', file_name='note', file_bytes=b'fine', eof=True)
""", "--max-output", "300K", "--timestamp", status=0)
        self.assertEqual(self.verdicts(events), [*self.BEGUN[:2], ("second", "inprogress"), ("second", "inprogress"),
                         ("second", "success"), ("third", "inprogress"), ("third", "success"),
                         ("fourth", "inprogress"), ("fourth", "success")])
        text = self.output(events, "stdout")
        for name in (b"second 0\n", b"second 999\n", b"third 0\n", b"third 99999\n", b"fourth 0\n", b"fourth 999\n"):
            self.assertEqual(text.count(name), 1, name)
        ends = [i for i, event in enumerate(events) if (event["test_id"], event["test_status"]) == ("third", "success")]
        before = self.output(events[:ends[0]], "stdout")
        self.assertIn(b"third 99999\n", before)
        self.assertEqual(self.output(events, "note"), b"fine" * 3)
        self.assertIn(b"left out", self.output(events, "log"))
        self.assertTrue(self.output(events, "log").endswith(b"l" * 100))
        self.assertGreater(self.exit_of(events)["output_cut_bytes"], 500000)

    def test_job(self):
        """Beyond it no output goes up, but for the end; statuses do."""
        events = self.python("""
stream.status(test_id='second', test_status='success')
for i in range(50):
    stream.status(test_id='t%d' % i, test_status='inprogress')
    os.write(1, b'x' * 50000 + b'\\n')
    stream.status(test_id='t%d' % i, test_status='success', file_name='f', file_bytes=b'y' * 50000, eof=True)
os.write(1, b'the end\\n')""", "--max-job-output", "1M", status=0)
        self.assertEqual(len(self.verdicts(events)), 4 + 100)
        size = sum(len(content(event)) for event in events)
        self.assertGreater(size, 1 << 20)
        self.assertLess(size, (1 << 20) + (50 << 10))
        self.assertTrue(self.output(events, "stdout").endswith(b"x\nthe end\n"))
        self.assertEqual(self.exit_of(events)["output_cut_bytes"] + size - len(self.marks(events)),
                         100 * 50000 + 50 + 8 + len(self.rest(events)))

    def marks(self, events):
        return b"".join(re.findall(rb"\n\[mux exec left out \d+ bytes here: --max-job-output\]\n",
                                   self.output(events, "stdout") + self.output(events, "f")))

    def rest(self, events):
        return b"".join(content(event) for event in events if event["file_name"] not in ("stdout", "f"))

    def test_many_files(self):
        """More attachments at a time than are remembered: each keeps its beginning or its end."""
        events = self.python("""
stream.status(test_id='second', test_status='success')
for i in range(3):
    for name in range(20):
        stream.status(test_id='t%d' % name, file_name='f%d' % name, file_bytes=b'%d' % i * 10000)
for name in range(20):
    stream.status(test_id='t%d' % name, file_name='f%d' % name, file_bytes=b'.', eof=True)
""", "--max-output", "100K", status=0)
        for name in range(20):
            text = self.output(events, "f%d" % name)
            self.assertTrue(text.endswith(b"."), text)

    def test_a_gigabyte_without_a_newline(self):
        """Neither this process nor what it sends grows."""
        process = self.start("exec", "--allow-empty", "--", "head", "-c", "1G", "/dev/zero", stdin=subprocess.DEVNULL)
        peak = size = 0
        tail = b""
        while chunk := process.stdout.read(1 << 20):
            size, tail = size + len(chunk), (tail + chunk)[-100000:]
            peak = max(peak, self.resident(process.pid))
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertLess(size, 70 << 20)
        self.assertIn(b"left out", tail)
        self.assertLess(peak, 24 << 20)

    def resident(self, pid):
        with open("/proc/%d/status" % pid) as status:
            found = re.search(r"VmRSS:\s+(\d+)", status.read())
        return int(found[1]) << 10 if found else 0


class Masks(ExecCase):
    SECRET = "ghp_0123456789abcdef"

    def masked(self, events):
        for event in events:
            for key in ("test_id", "file_name", "test_tags"):
                self.assertNotIn(self.SECRET, str(event[key]))
            self.assertNotIn(self.SECRET.encode(), content(event))

    def test_everywhere(self):
        events = self.execute(
            "--mask", "nothing|else", "--mask", "ghp_[0-9a-z]{16}", "--", "/usr/bin/python3", "-c", WORKER + """
secret = sys.argv[1]
print('a', secret, 'b', flush=True)
print('c', secret, 'd', file=sys.stderr, flush=True)
stream.status(test_id='with[%s]' % secret, test_status='inprogress', test_tags={'x', 'tag' + secret})
stream.status(test_id='with[%s]' % secret, file_name='f' + secret, file_bytes=b'1' + secret.encode() + b'2', eof=True)
stream.status(test_id='with[%s]' % secret, test_status='success')
stream.status(test_id='left ' + secret, test_status='inprogress')
sys.stdout.flush(); os._exit(3)""", self.SECRET, status=3)
        self.masked(events)
        stars = "*" * len(self.SECRET)
        self.assertEqual(self.output(events, "stdout").decode(), "a %s b\n" % stars)
        self.assertEqual(self.output(events, "stderr").decode(), "c %s d\n" % stars)
        self.assertEqual(self.output(events, "f" + stars).decode(), "1%s2" % stars)
        self.assertEqual(self.verdicts(events), [
            *self.BEGUN, ("with[%s]" % stars, "inprogress"), ("with[%s]" % stars, "success"),
            ("left " + stars, "inprogress"), ("second", "fail"), ("left " + stars, "fail")])
        tags, = [event["test_tags"] for event in events if event["test_tags"]]
        self.assertEqual(sorted(tags), ["tag" + stars, "x"])
        self.assertEqual(self.exit_of(events)["command"][-1], stars)

    def test_in_pieces(self):
        """Written byte by byte, over the end of reads, over packets of one file, of two files in turn."""
        events = self.execute("--mask", "ghp_[0-9a-z]{16}", "--", "/usr/bin/python3", "-c", WORKER + """
secret = sys.argv[1].encode()
stream.status(test_id='second', test_status='success')
for at in range(len(secret)):
    os.write(1, secret[at:at + 1])
    time.sleep(0.04)
os.write(1, b'\\n' + b'.' * 65530 + secret + b'\\n' + b'.' * 1000000 + secret + b'\\n')
for at in range(len(secret)):
    for name in ('one', 'two'):
        stream.status(test_id='t', file_name=name, file_bytes=secret[at:at + 1])
stream.status(test_id='t', file_name='one', file_bytes=b'', eof=True)
stream.status(test_id='t', file_name='two', file_bytes=b'', eof=True)
""", self.SECRET, status=0)
        self.masked(events)
        stars = b"*" * len(self.SECRET)
        self.assertEqual(self.output(events, "stdout"),
                         stars + b"\n" + b"." * 65530 + stars + b"\n" + b"." * 1000000 + stars + b"\n")
        self.assertEqual((self.output(events, "one"), self.output(events, "two")), (stars, stars))

    def test_a_beginning_that_stays_one(self):
        """It goes up when the output ends, as it was."""
        events = self.execute("--allow-empty", "--mask", "secret", "--", "printf", "this is a secre", status=0)
        self.assertEqual(self.output(events, "stdout"), b"this is a secre")

    def test_names_are_masked(self):
        """Ids and tags, those of --tag, too; but not what muxd's own packets are called."""
        events = self.execute("--mask", "ex|hunter", "--as-test", "hunter-test", "--tag", "hunter2", "--", "true",
                              status=0)
        self.assertEqual(self.verdicts(events), [("******-test", "inprogress"), ("******-test", "success")])
        self.assertEqual([event["test_tags"] for event in events], [["******2"]] * len(events))
        self.exit_of(events)

    def test_files_keep_their_names(self):
        """Those of mux exec itself, the reasons too, are found by them; a program's own are masked."""
        events = self.execute("--mask", "muxd|stdout|stderr|output|name", "--as-test", "t", "--", "/usr/bin/python3", "-c",
                              WORKER + "stream.status(test_id='second', file_name='a name', file_bytes=b'text', eof=True)\n"
                              "print('out', flush=True); print('err', file=sys.stderr, flush=True); os._exit(3)", status=3)
        self.assertEqual({event["file_name"] for event in events} - {None},
                         {"stdout", "stderr", "last output", "muxd", "muxd.exit", "a ****"})

    def test_with_limit(self):
        """The end that is kept is masked, too, and so is the last output of a test that fails."""
        events = self.execute("--mask", "s[0-9]+x", "--max-output", "20K", "--as-test", "t", "--", "sh", "-c",
                              "for i in `seq 10000`; do echo a s${i}x; done; exit 1", status=1)
        for name in ("stdout", "last output"):
            self.assertFalse(re.search(rb"s[0-9]", self.output(events, name)))
        self.assertTrue(self.output(events, "stdout").endswith(b"a ******\na *******\n"))
        self.assertIn(b"left out", self.output(events, "stdout"))

    def test_wrong(self):
        self.execute("--mask", "(", "--", "true", status=2)
        self.assertIn("a ( without its )", self.said)


class Additions(ExecCase):
    def test_tags_and_times(self):
        before = time.time()
        events = self.python("""
import datetime
print('text', flush=True)
stream.status(test_id='second', test_status='success', test_tags={'own'}, timestamp=datetime.datetime(
    2001, 1, 1, tzinfo=datetime.timezone.utc))
stream.status(test_id='third', test_status='inprogress'); sys.stdout.flush(); os._exit(0)""",
                             "--tag", "rack 7", "--tag", "nightly", "--timestamp", status=4)
        for event in events:
            tags = ["nightly", "rack 7"] + ["own"] * (event["test_status"] == "success" and event["test_id"] == "second")
            self.assertEqual(sorted(event["test_tags"]), sorted(tags), event)
            self.assertIn("own" in tags or event["timestamp"][0] >= int(before), [True])
            self.assertEqual(event["timestamp"] == [978307200, 0], "own" in tags, event)
        self.execute("--tag", "", "--", "true", status=2)


if __name__ == "__main__":
    unittest.main()
