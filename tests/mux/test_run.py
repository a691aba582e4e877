"""mux run: a suite from its list to the truth at its end, by real runners."""
import json
import shutil
import signal
import time

from command import *

PYTHON = '/usr/bin/python3'

PLAIN = '''
import unittest
class T(unittest.TestCase):
    def test_a(self): pass
    def test_b(self): self.assertEqual(1, 2)
    def test_c(self): self.skipTest("no")
    @unittest.expectedFailure
    def test_d(self): self.fail()
'''
GOOD = '''
import unittest
class G(unittest.TestCase):
    def test_1(self): pass
    def test_2(self): pass
    def test_3(self): pass
'''


class Runs(Case):
    def setUp(self):
        self.place = self.folder()

    def write(self, name, text):
        with open(os.path.join(self.place, name), 'w') as file:
            file.write(text)

    def read(self, name):
        with open(os.path.join(self.place, name)) as file:
            return file.read()

    def run_mux(self, *options, command=(PYTHON, "-m", "unittest", "discover"), keep=False, **keywords):
        keywords.setdefault('stdin', subprocess.DEVNULL)
        return subprocess.run([MUX, 'run', '-n', '2', *([] if keep else ['--no-store']), *options,
                               *(['--', *command] if command else [])],
                              cwd=self.place, capture_output=True, timeout=PATIENCE, **keywords)

    def ended(self, result, status):
        self.assertEqual(result.returncode, status, result.stdout.decode() + result.stderr.decode())
        return result.stdout.decode()

    def test_passed(self):
        self.write('test_good.py', GOOD)
        for fresh in ([], ['--fresh']):
            output = self.ended(self.run_mux(*fresh), 0)
            self.assertIn('3 tests (unittest), 2 slots', output)
            self.assertRegex(output, r'(?m)^run passed: 3 passed in ')

    def test_failed(self):
        self.write('test_plain.py', PLAIN)
        output = self.ended(self.run_mux(), 1)
        self.assertRegex(output, r'(?m)^FAIL  test_plain.T.test_b  ')
        self.assertIn('AssertionError: 1 != 2', output)
        self.assertRegex(output, r'(?m)^run failed: 1 failed, 2 passed, 1 skipped in ')
        self.assertRegex(output, r'(?m)^FAIL   test_plain.T.test_b$')

    def test_list_and_selection(self):
        self.write('test_good.py', GOOD)
        self.write('test_plain.py', PLAIN)
        self.write('ids', 'test_good.G.test_1\ntest_good.G.test_9\n')
        listed = lambda *options: self.ended(self.run_mux('--list', *options), 0).split()
        everything = ['test_good.G.test_%d' % i for i in (1, 2, 3)] + \
            ['test_plain.T.test_' + c for c in 'abcd']
        self.assertEqual(listed(), everything)
        self.assertEqual(listed('--include', 'good'), everything[:3])
        self.assertEqual(listed('--exclude', 'good', '--exclude', '_d$'), everything[3:6])
        self.assertEqual(listed('--load-list', 'ids'), everything[:1])
        parts = [listed('--nodes', '2', '--node-number', str(i)) for i in (1, 2)]
        self.assertEqual(sorted(parts[0] + parts[1]), everything)
        self.assertEqual(listed('--nodes', '2', '--node-number', '1', '--distributed-disabled'), everything)
        by_class = subprocess.run([MUX, 'run', '--list', '--', PYTHON, '-m', 'unittest', 'discover'], cwd=self.place,
                                  capture_output=True, timeout=PATIENCE,
                                  env=dict(os.environ, NOSE_NODES='2', NOSE_NODE_NUMBER='1', NOSE_HASH_BY_CLASS='1'))
        self.assertEqual(self.ended(by_class, 0), ''.join(
            line + '\n' for line in listed('--nodes', '2', '--node-number', '1', '--hash-by-class')))
        self.assertIn('of 7 tests in the list none was selected',
                      self.run_mux('--list', '--include', 'nothing').stderr.decode())

    def test_lists_of_expressions(self):
        self.write('test_good.py', GOOD)
        self.write('in', '# all\n\n _1 # one\n_3\n')
        self.write('out', '_3\n')
        self.assertEqual(self.ended(self.run_mux('--list', '--include-list', 'in'), 0),
                         'test_good.G.test_1\ntest_good.G.test_3\n')
        self.assertEqual(self.ended(self.run_mux('--list', '--include-list', 'in', '--exclude-list', 'out'), 0),
                         'test_good.G.test_1\n')
        self.write('in', '_1\n(\n')
        result = self.run_mux('--list', '--include-list', 'in')
        self.ended(result, 2)
        self.assertIn("mux run: in:2: '(': ", result.stderr.decode())
        self.assertIn('mux run: none: No such file', self.run_mux('--exclude-list', 'none').stderr.decode())

    def test_groups_of_tags(self):
        """--dist group: what has the same tag mux.group:NAME runs in one slot, one after the other."""
        events = ''.join(json.dumps({'test_id': 'g%d' % i, 'test_status': 'exists', 'test_tags': ['mux.group:%d' % (i % 2)]})
                         + '\n' for i in range(8))
        self.write('list.subunit', '')
        with open(os.path.join(self.place, 'list.subunit'), 'wb') as file:
            file.write(subprocess.run([MUX, 'encode'], input=events.encode(), capture_output=True, check=True).stdout)
        self.write('emit.py', 'import json, os, subprocess, sys\n'
                   'ids = open(sys.argv[1]).read().split()\nopen("jobs", "a").write(" ".join(ids) + "\\n")\n'
                   'lines = [json.dumps({"test_id": i, "test_status": s}) for i in ids for s in ("inprogress", "success")]\n'
                   'subprocess.run([%r, "encode"], input="\\n".join(lines).encode() + b"\\n", check=True)\n' % MUX)
        self.write('own.ini', '[runner]\nlist = /bin/cat list.subunit\nrun = %s emit.py $IDFILE\n' % PYTHON)
        self.assertIn('8 passed', self.ended(self.run_mux('--runner', './own.ini', '--dist', 'group', command=()), 0))
        self.assertEqual(sorted(self.read('jobs').split('\n')), ['', 'g0 g2 g4 g6', 'g1 g3 g5 g7'])

    def test_nothing_ran(self):
        self.write('test_none.py', '')
        self.assertIn('nothing ran: the list of tests is empty', self.ended(self.run_mux(), 4))
        self.ended(self.run_mux('--allow-empty'), 0)

    def test_a_lister_that_fails(self):
        self.write('test_bad.py', 'import no_such_module')
        output = self.ended(self.run_mux(), 75)
        self.assertIn('the tests cannot be listed', output)
        self.assertIn('no_such_module', output)
        self.write('own.ini', "[runner]\nlist = /bin/sh -c 'kill -9 $$'\nrun = /bin/true $IDFILE\n")
        output = self.ended(self.run_mux('--runner', './own.ini', command=()), 75)
        self.assertIn('the list command was ended by signal 9 (SIGKILL); no test', output)

    def test_a_list_command_that_is_empty(self):
        self.write('own.ini', '[runner]\nlist = $AFTER\nrun = /bin/true $IDLIST\n')
        output = self.ended(self.run_mux('--runner', './own.ini', command=()), 75)
        self.assertIn(': ./own.ini: the command "$AFTER" is empty: what it stands for is not in the command behind --', output)

    def test_a_list_that_is_long(self):
        """It may be longer than what other jobs print: none of it is cut without a word."""
        self.write('list.sh', 'tr "\\000" "#" < /proc/$PPID/cmdline\n')
        self.write('own.ini', '[runner]\nlist = /bin/sh list.sh\nlists = lines\nrun = /bin/true $IDFILE\n')
        output = self.ended(self.run_mux('--runner', './own.ini', '--list', command=()), 0)
        self.assertIn('#--max-output#%d#' % (512 << 20), output)

    def test_a_list_that_repeats_itself(self):
        self.write('own.ini', '[runner]\nlist = /usr/bin/printf a\\nb\\na\nlists = lines\nrun = /bin/true $IDFILE\n')
        output = self.ended(self.run_mux('--runner', './own.ini', command=()), 4)
        self.assertIn('the list repeats ids (1 in all): each is one test here', output)
        self.assertIn(' 2 never ran in ', output)

    def test_a_runner_that_runs_others(self):
        """What it was not given counts when it failed; and what has no times gets them."""
        self.write('run.py', 'import sys, time\nfrom subunit.v2 import StreamResultToBytes\n'
                   'out = StreamResultToBytes(sys.stdout.buffer)\n'
                   'for name, how in (("a", "success"), ("b", "success"), ("c", "success"), ("d", sys.argv[1])):\n'
                   '    out.status(test_id=name, test_status="inprogress")\n    sys.stdout.flush()\n'
                   '    time.sleep(0.2 if name == "a" else 0)\n'
                   '    out.status(test_id=name, test_status=how)\n    sys.stdout.flush()\n')
        own = '[runner]\nlist = /usr/bin/printf a\\nb\nlists = lines\nrun = %s run.py %s $IDFILE\n'
        for how, status in (('success', 0), ('fail', 1)):
            self.write('own.ini', own % (PYTHON, how))
            output = self.ended(self.run_mux('-n', '1', '--runner', './own.ini', command=(), keep=True), status)
            self.assertRegex(output, r'(?m)^note   \d results? of tests that the runner was not given: not counted$')
            self.assertEqual('\nFAIL   d  not in the list\n' in output, status == 1, output)
        shown = subprocess.run([MUX, 'slowest'], cwd=self.place, capture_output=True, timeout=PATIENCE).stdout.decode()
        self.assertRegex(shown, r'(?m)^ok      a  0\.\d+ s  0/0$')

    def test_a_test_that_kills_its_runner(self):
        """The rest runs all the same, and it is named."""
        self.write('test_good.py', GOOD)
        self.write('test_kill.py', 'import os, unittest\nclass K(unittest.TestCase):\n'
                   '    def test_k(self): os._exit(7)\n')
        for fresh in ([], ['--fresh']):
            output = self.ended(self.run_mux(*fresh), 1)
            self.assertIn('test_kill.K.test_k: its runner died under it', output)
            self.assertRegex(output, r'(?m)^run failed: 1 failed, 3 passed in ')
            self.assertRegex(output, r'(?m)^KILLER test_kill.K.test_k  its runner died under it, twice')

    def test_flaky(self):
        self.write('test_flaky.py', 'import os, unittest\nclass F(unittest.TestCase):\n'
                   '    def test_f(self):\n'
                   '        if not os.path.exists("been"):\n'
                   '            open("been", "w").close()\n'
                   '            self.fail("first")\n')
        output = self.ended(self.run_mux('--retry', '1'), 0)
        self.assertRegex(output, r'(?m)^run passed: 1 flaky in ')
        self.assertRegex(output, r'(?m)^flaky  test_flaky.F.test_f  failed, then passed')

    def test_tokens(self):
        """Tests of a token never run beside more of them than there are, and exclusive ones alone."""
        self.write('test_many.py', 'import os, time, unittest\n'
                   'def note(mark, name): open("log", "a").write("%s%s\\n" % (mark, name))\n'
                   'class M(unittest.TestCase): pass\n'
                   'def make(name):\n'
                   '    def test(self):\n        note("+", name)\n        time.sleep(0.02)\n        note("-", name)\n'
                   '    setattr(M, "test_" + name, test)\n'
                   'for i in range(6): make("db_%d" % i); make("alone_%d" % i); make("free_%d" % i)\n')
        self.write('.mux.ini', '[tokens]\ndb = 2\nport = 1\n[needs]\ndb = _db_\nexclusive = _alone_\nport = nothing\n')
        output = self.run_mux('-n', '5')
        self.assertIn('.mux.ini: no test here needs port', self.ended(output, 0) + output.stderr.decode())
        running = set()
        for line in self.read('log').split():
            (running.add if line[0] == '+' else running.remove)(line[1:])
            self.assertLessEqual(sum(name[:2] == 'db' for name in running), 2)
            self.assertTrue(len(running) < 2 or not any('alone' in name for name in running), running)
        self.write('.mux.ini', '[tokens]\ndb = 0\n')
        result = self.run_mux()
        self.ended(result, 2)
        self.assertIn('.mux.ini, line 2: db = 0: tests that need one could never run', result.stderr.decode())

    def test_ids_with_a_line_end(self):
        """A runner that stays alive takes them; one that takes an id a line would run other tests."""
        commands = ('exit 0', 'echo a\nexit 0', 'exit 0 # "$IDLIST" \\ \u2603 ' + 4096 * 'x')
        self.assertIn('3 passed', self.ended(self.run_mux('--runner', 'exec', command=commands), 0))
        result = self.run_mux('--runner', 'exec', '--fresh', command=commands)
        self.assertIn('2 passed', self.ended(result, 3))
        self.assertIn("1 test is left out: a line's end is in its id, and the runner exec takes an id a line", result.stdout.decode() + result.stderr.decode())

    def jobs_of(self, run):
        """{slot: [(a new runner, tests of the job)...]}"""
        name = run[4:12]
        stream, = (file for file in os.listdir(os.path.join(self.place, '.mux/runs')) if '-' + name in file)
        slots, ends = {}, ('runner.batch', 'muxd.job')
        shown = subprocess.run([MUX, 'cat', '--json', os.path.join(self.place, '.mux/runs', stream)], capture_output=True, timeout=PATIENCE)
        for event in map(json.loads, shown.stdout.splitlines()):
            jobs = slots.setdefault(event['route_code'], [[]])
            if event['test_status'] == 'inprogress':
                jobs[-1].append(event['test_id'])
            elif event['file_name'] in ends and jobs[-1]:
                jobs.append([])
        return {slot: jobs for slot, jobs in slots.items() if jobs != [[]]}

    def test_replay(self):
        """The same jobs in the same slots; what is gone, and what is new, is said."""
        self.write('test_many.py', 'import unittest\nclass M(unittest.TestCase): pass\n'
                   'for i in range(40): setattr(M, "test_%d" % i, lambda self: self.assertTrue(True))\n')
        for fresh in ([], ['--fresh']):
            first = self.ended(self.run_mux(*fresh, keep=True), 0)
            again = self.ended(self.run_mux('--replay', 'last', *fresh, keep=True), 0)
            self.assertEqual(self.jobs_of(again), self.jobs_of(first))
        self.assertRegex(self.ended(self.run_mux('-n', '1', '--replay', again[4:12], keep=True), 0), r'(?m)^run \w+ passed: 40 passed')
        self.write('test_many.py', self.read('test_many.py').replace('range(40)', 'range(10, 45)'))
        output = self.ended(self.run_mux('--replay', 'last', '--exclude', '_11$', keep=True), 0)
        for line in ("10 of the run's 40 tests are not in the list any more", '5 tests of the list did not run then', 'passed: 29 passed'):
            self.assertIn(line, output)
        self.write('test_many.py', GOOD)
        self.assertIn('of 3 tests in the list none is among the 29 of the run', self.ended(self.run_mux('--replay', 'last', keep=True), 4))
        for options, words in ((['--replay', 'none'], 'there is none of this name'), (['--replay', 'last', '--dist', 'each'], 'does not go with --dist'),
                               (['--replay', 'last', '--repeat', '2'], 'does not go with --repeat')):
            result = self.run_mux(*options, keep=True)
            self.ended(result, 2)
            self.assertIn(words, result.stderr.decode())

    def test_isolation(self):
        """Of tests that failed: which others make them fail, one or two together; which fail by themselves."""
        self.write('test_i.py', 'import unittest\nseen = set()\nclass I(unittest.TestCase):\n'
                   '    def test_a(self): seen.add("a")\n    def test_b(self): seen.add("b")\n    def test_c(self): pass\n'
                   '    def test_d(self): pass\n    def test_e(self): self.assertFalse({"a", "b"} <= seen)\n'
                   '    def test_f(self): self.assertNotIn("a", seen)\n    def test_g(self): self.fail("always")\n')
        analyze = lambda *options: self.run_mux('--analyze-isolation', *options, keep=True)
        self.ended(self.run_mux('-n', '1', keep=True), 1)
        first = self.jobs_of('run ' + os.listdir(os.path.join(self.place, '.mux/runs'))[0].partition('-')[2])
        order = ''.join(test[-1] for job in first['0/0'] for test in job)
        e_fails, f_fails = order.index('e') > max(order.index('a'), order.index('b')), order.index('f') > order.index('a')
        self.assertTrue(e_fails and f_fails, order)
        result = analyze()
        self.assertEqual(sorted(self.ended(result, 1).splitlines()), [
            'test_i.I.test_e fails after test_i.I.test_%s and test_i.I.test_%s together, passes alone' % tuple(sorted('ab', key=order.index)),
            'test_i.I.test_f fails after test_i.I.test_a, passes alone',
            'test_i.I.test_g fails alone, too: no other test is to blame'])
        self.assertIn('passes alone: it is searched among', result.stderr.decode())
        self.write('test_i.py', self.read('test_i.py').replace('seen.add("a")', 'pass').replace('self.fail("always")', 'pass'))
        self.assertRegex(self.ended(analyze('--exclude', '_e$'), 0), r'(?s)test_f passes alone, and behind all \d tests.*test_g passes alone, and behind')
        self.assertIn('none of the 7 tests in the list failed', analyze('--include', '_a$').stderr.decode())
        self.assertIn('does not go with --retry', analyze('--retry', '1').stderr.decode())

    def test_tries_in_the_store(self):
        """What failed in one slot and passed in another is not flaky; what passed when it was tried again is."""
        self.write('test_t.py', 'import os, unittest\n'
                   'def first(name):\n    try: return not os.close(os.open(name + os.environ["MUX_SLOT"], os.O_CREAT | os.O_EXCL))\n'
                   '    except FileExistsError: return False\n'
                   'class T(unittest.TestCase):\n'
                   '    def test_slot(self): self.assertNotEqual(os.environ["MUX_SLOT"], "0")\n'
                   '    def test_flaky(self): self.assertFalse(os.environ["MUX_SLOT"] == "1" and first("f"))\n'
                   '    def test_twice(self): self.assertFalse(first("t"))\n')
        def counts():
            shown = subprocess.run([MUX, 'runs', '--json'], cwd=self.place, capture_output=True, timeout=PATIENCE).stdout
            return {status: n for status, n in json.loads(shown.splitlines()[0])['counts'].items() if n}
        output = self.ended(self.run_mux('--dist', 'each', '--retry', '1', '--exclude', 'twice', keep=True), 1)
        self.assertIn('failed: 1 failed, 1 flaky', output)
        self.assertEqual(counts(), {'fail': 1, 'retried': 2, 'success': 2, 'flaky': 1})
        output = self.ended(self.run_mux('-n', '1', '--repeat', '2', '--include', 'twice', keep=True), 1)
        self.assertEqual(counts(), {'fail': 1, 'success': 1})
        self.assertRegex(self.ended(self.run_mux('--list', '--failing', keep=True), 0), 'test_twice')

    def test_perf(self):
        """Times as the runner's clock says them: alone, several times, and judged by earlier runs."""
        self.write('emit.py', 'import json, subprocess, sys\n'
                   'took = json.load(open("took"))\nlines = []\n'
                   'for name in open(sys.argv[1]).read().split():\n'
                   '    ms = took[name].pop(0)\n'
                   '    for status, at in (("inprogress", 0), ("success" if ms else "fail", ms)):\n'
                   '        lines.append(json.dumps({"test_id": name, "test_status": status, "timestamp": [1000, at * 1000000]}))\n'
                   'json.dump(took, open("took", "w"))\n'
                   'subprocess.run([%r, "encode"], input="\\n".join(lines).encode() + b"\\n", check=True)\n' % MUX)
        self.write('own.ini', '[runner]\nlist = /usr/bin/printf a\\nb\\nc\n\nlists = lines\nrun = %s -W ignore emit.py $IDFILE\n' % PYTHON)

        def perf(a, b, *options):
            self.write('took', json.dumps({'a': a, 'b': b, 'c': [1]}))
            return self.run_mux('--runner', './own.ini', '--perf', '^[ab]$', '--perf-runs', '3', *options, command=(), keep=True)
        output = self.ended(perf([30, 10, 20], [7, 7, 7], '--perf-drift', '10'), 0)
        self.assertRegex(output, r'(?m)^perf    a  median 20\.0 ms of 3 \(10\.0 ms to 30\.0 ms\); no earlier run to compare with$')
        output = self.ended(perf([22, 21, 22], [7, 1, 8], '--perf-drift', '10'), 0)
        self.assertRegex(output, r'(?m)^perf    a  median 22\.0 ms of 3 .*; 20\.0 ms in 1 run before: \+10\.0 %$')
        output = self.ended(perf([24, 24, 24], [0, 0, 9], '--perf-drift', '10', '--retry', '0'), 1)
        self.assertRegex(output, r'(?m)^SLOWER  a  median 24\.0 ms .*; 21\.0 ms in 2 runs before: \+14\.3 %, more than --perf-drift 10 allows$')
        self.assertRegex(output, r'(?m)^perf    b  no median: it passed 1 time of 3$')
        def shown(*words):
            return self.ended(subprocess.run([MUX, *words], cwd=self.place, capture_output=True, timeout=PATIENCE), 0)
        self.assertEqual(shown('show', '--perf'), 'a  median 24.0 ms of 3 (24.0 ms to 24.0 ms); 21.0 ms in 2 runs before: +14.3 %\n'
                         'b  no median: it passed 1 time of 3\n')
        self.assertRegex(shown('show', '--perf', 'last~2'), r'\Aa  median 20\.0 ms of 3 \(10\.0 ms to 30\.0 ms\); no earlier run to compare with\nb  ')
        row, failed = [json.loads(line) for line in shown('show', '--perf', '--json').splitlines()]
        self.assertEqual([failed[key] for key in ('passed', 'failed', 'median_s', 'most_s')], [1, 2, None, 0.009])
        self.assertEqual([row[key] for key in ('test_id', 'passed', 'median_s', 'least_s', 'before_s', 'runs_before')],
                         ['a', 3, 0.024, 0.024, 0.021, 2])
        lines = shown('history', 'a').splitlines()
        self.assertRegex(lines[2], r'  ok  +20 ms  #+  +median of 3, 10 ms to 30 ms$')
        self.assertRegex(lines[3], r'^9 results: 9 passed; median 22 ms, .*; 21 ms in 2 runs before: \+14\.3 %$')
        output = self.ended(perf([99, 99, 99], [7, 7, 7]), 0)
        self.assertRegex(output, r'(?m)^perf    a  median 99\.0 ms .* in 3 runs before: \+\d+\.\d %$')
        self.assertIn('in 3 runs', output)
        output = self.ended(perf([999, 999, 999], [7, 7, 7], '--perf-drift', '10'), 1)
        self.assertRegex(output, r'(?m)^run \w+ .*passed')
        shown = subprocess.run([MUX, 'runs'], cwd=self.place, capture_output=True, timeout=PATIENCE).stdout.decode()
        self.assertEqual(len(shown.splitlines()), 6, shown)
        for options, words in ((['--perf', '('], '--perf (: at character'), (['--perf', 'a', '--perf-runs', '1'], 'expected a whole number, 2 to'),
                               (['--perf-drift', '5'], 'for tests that --perf names'), (['--perf', 'a', '--replay', 'last'], 'does not go with')):
            result = self.run_mux(*options)
            self.ended(result, 2)
            self.assertIn(words, result.stderr.decode())

    def test_a_fixture_that_fails(self):
        """It fails the run, though every test passed."""
        self.write('test_good.py', GOOD + '    @classmethod\n    def tearDownClass(cls): raise ValueError("no end")\n')
        output = self.ended(self.run_mux(), 1)
        self.assertRegex(output, r'(?m)^FAIL  tearDownClass \(test_good.G\)')
        self.assertRegex(output, r'(?m)^run failed: \d failed, 3 passed in ')

    def test_a_runner_that_runs_nothing(self):
        """It is said of each test that its runner was given it; or how that ended."""
        own = '[runner]\nlist = /usr/bin/printf a\\nb\\n\nlists = lines\nrun = %s $IDFILE\n'
        self.write('own.ini', own % '/bin/true')
        output = self.ended(self.run_mux('--runner', './own.ini', command=()), 4)
        self.assertRegex(output, r'(?m)^never  b  its runner was given it and said nothing of it$')
        self.write('own.ini', own % '/bin/false')
        output = self.ended(self.run_mux('--runner', './own.ini', command=()), 1)
        self.assertIn('its runner ended with exit status 1 and said nothing of it', output)
        self.write('own.ini', own.replace('printf a\\nb\\n', 'seq 90') % "/bin/sh -c 'echo boom >&2; kill -9 $$'")
        output = self.ended(self.run_mux('--runner', './own.ini', command=()), 75)
        self.assertRegex(output, r'(?m)^slot .: the runner was ended by signal 9 \(SIGKILL\), between tests; it said:\n  boom$')
        self.assertIn(': runner after runner ended and no test did; ', output)

    def test_a_timeout(self):
        self.write('test_good.py', GOOD)
        self.write('test_slow.py', 'import time, unittest\nclass S(unittest.TestCase):\n'
                   '    def test_s(self): time.sleep(1000)\n')
        output = self.ended(self.run_mux('--test-timeout', '1'), 1)
        self.assertRegex(output, r'(?m)^run failed: 1 failed, 3 passed in ')

    def test_programs(self):
        """Commands, writers of TAP and ctest's tests, in one process a slot."""
        output = self.ended(self.run_mux('--runner', 'exec', command=('exit 0', 'exit 77', 'echo why; exit 1', 'kill $$')), 1)
        self.assertIn('failed: 2 failed, 1 passed, 1 skipped', output)
        self.assertRegex(output, r'(?m)^FAIL  echo why; exit 1 .*\n      why\n      exit status 1$')
        self.assertIn('signal 15', output)
        for name, text in (('good.t', '1..3\nok 1 - a\nnot ok 2 # TODO x\nok 3 # SKIP y'), ('bad.t', '1..1\nnot ok 1 - b'),
                           ('short.t', '1..2\nok 1'), ('none.t', '1..0 # SKIP not here')):
            self.write(name, "#!/bin/sh\ncat <<'E'\n%s\nE\n" % text)
            os.chmod(os.path.join(self.place, name), 0o755)
        output = self.ended(self.run_mux('--runner', 'tap', command=('good.t', './bad.t', 'short.t', 'none.t')), 1)
        self.assertIn('failed: 2 failed, 1 passed, 1 skipped', output)
        self.assertIn('not ok 1 b', output)
        self.assertIn('it planned 2 and ran 1', output)
        os.chmod(os.path.join(self.place, 'good.t'), 0o644)
        self.assertIn('good.t is not executable: chmod +x good.t', self.ended(self.run_mux('--runner', 'tap', command=('good.t',)), 75))

    @unittest.skipUnless(shutil.which('ctest'), 'cmake is not installed')
    def test_ctest(self):
        self.write('CTestTestfile.cmake', 'add_test(good "true")\nadd_test(bad "false")\nadd_test(fails "false")\n'
                   'set_tests_properties(fails PROPERTIES WILL_FAIL "TRUE")\nadd_test(slow "sleep" "1000")\n'
                   'set_tests_properties(slow PROPERTIES TIMEOUT "0.1")\nadd_test(skips "sh" "-c" "exit 4")\n'
                   'set_tests_properties(skips PROPERTIES SKIP_RETURN_CODE "4")\n' +
                   ''.join('add_test(%s "sh" "-c" "mkdir %s && sleep 0.1 && rmdir %s")\n'
                           'set_tests_properties(%s PROPERTIES %s)\n' % (name, kind, kind, name, properties)
                           for name, kind, properties in (
                               ('serial1', 'serial', 'RUN_SERIAL "TRUE"'), ('serial2', 'serial', 'RUN_SERIAL "TRUE"'),
                               ('locked1', 'locked', 'RESOURCE_LOCK "db"'), ('locked2', 'locked', 'RESOURCE_LOCK "db"'))))
        output = self.ended(self.run_mux(command=('ctest',)), 1)
        self.assertIn('failed: 2 failed, 6 passed, 1 skipped', output)
        self.assertIn('Timeout', output)

    def test_history(self):
        """The store says what is new, and --failing runs what failed."""
        self.write('test_plain.py', PLAIN)
        self.assertIn('1 failed, ', self.ended(self.run_mux(keep=True), 1))
        output = self.ended(self.run_mux('--failing', keep=True), 1)
        self.assertRegex(output, r'1 tests? \(unittest\)')
        self.assertRegex(output, r'(?m)^FAIL   test_plain.T.test_b  since run [0-9a-f]{8}, \d+ (s|min) ago')
        self.write('test_plain.py', PLAIN.replace('(1, 2)', '(1, 1)'))
        output = self.ended(self.run_mux('--failing', '--random=7', keep=True, command=()), 0)
        self.assertRegex(output, r'(?m)^run .*, --random=7\b')
        self.assertRegex(output, r'passed: 1 passed \(1 fixed\)')
        self.assertRegex(output, r'(?m)^fixed  test_plain.T.test_b  it failed in the last run$')
        runs = subprocess.run([MUX, 'runs'], cwd=self.place, capture_output=True, timeout=PATIENCE)
        self.assertEqual(len(runs.stdout.splitlines()), 4, runs.stdout.decode())

    def test_alone(self):
        """mux alone says how the last run went and what can be done next, and that works."""
        def alone(folder=self.place):
            return subprocess.run([MUX], cwd=folder, capture_output=True, timeout=PATIENCE)
        result = alone()
        self.assertEqual(result.returncode, 2)
        self.assertIn(b'To begin:', result.stderr)
        self.write('test_plain.py', PLAIN)
        self.ended(self.run_mux(keep=True), 1)
        output = self.ended(alone(), 0)
        self.assertRegex(output, r'(?m)^FAIL    test_plain.T.test_b  ')
        self.assertNotIn('Traceback', output)
        self.assertRegex(output, r'(?m)^again: mux run --failing        texts: mux show [0-9a-f]{8} --failures$')
        os.mkdir(os.path.join(self.place, 'below'))
        self.assertIn('again, in %s: mux run --failing' % os.path.realpath(self.place),
                      self.ended(alone(os.path.join(self.place, 'below')), 0))
        self.write('test_plain.py', PLAIN.replace('(1, 2)', '(1, 1)'))
        self.ended(self.run_mux('--failing', command=(), keep=True), 0)
        self.assertIn('\nagain: mux run  ', self.ended(alone(), 0))
        result = self.run_mux(command=(), keep=True)
        self.ended(result, 0)
        self.assertIn('the command of the last run: %s -m unittest discover' % PYTHON, result.stderr.decode())

    def test_a_debugger_waits(self):
        """The view says how to reach it, and what is typed there reaches it."""
        self.write('test_pdb.py', 'import unittest\nclass P(unittest.TestCase):\n'
                   '    def test_p(self):\n        x = 1\n        import pdb; pdb.set_trace()\n        self.assertEqual(x, 7)\n')
        self.write('.testr.conf', '[DEFAULT]\ntest_command=%s -m subunit.run discover . $LISTOPT $IDOPTION\n'
                   'test_id_option=--load-list $IDFILE\ntest_list_option=--list\n' % PYTHON)
        process = subprocess.Popen([MUX, 'run', '--no-store', '--test-timeout', '%ds' % (PATIENCE // 2)], cwd=self.place,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        while not (line := process.stdout.readline().decode()).startswith('      mux attach'):
            self.assertTrue(line, 'it ended')
        attach = subprocess.run([MUX, *line.split()[1:]], input=b'x = 7\nc\n', capture_output=True, timeout=PATIENCE)
        output = process.stdout.read().decode()
        self.assertEqual(process.wait(PATIENCE), 0, (output, attach.stdout, attach.stderr))

    def test_interrupted(self):
        """Running tests have their grace; nothing is left."""
        self.write('test_slow.py', 'import time, unittest\nclass S(unittest.TestCase):\n'
                   '    def test_s(self):\n        open("begun", "w").close()\n        time.sleep(1000)\n')
        process = subprocess.Popen([MUX, 'run', '--no-store', '--grace', '100ms', '--',
                                    PYTHON, '-m', 'unittest', 'discover'], cwd=self.place,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(os.path.join(self.place, 'begun')):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=PATIENCE)[0].decode()
        self.assertEqual(process.returncode, 130, output)
        self.assertRegex(output, r'(?m)^FAIL  test_slow.S.test_s  .*\n      .*SIGTERM')
        self.assertRegex(output, r'(?m)^run interrupted: 1 failed in ')

    def test_interrupted_twice(self):
        """At once: what does not heed TERM has no grace, however long that is."""
        self.write('test_deaf.py', 'import signal, time, unittest\nclass S(unittest.TestCase):\n'
                   '    def test_s(self):\n        for one in (signal.SIGTERM, signal.SIGINT): signal.signal(one, signal.SIG_IGN)\n'
                   '        open("begun", "w").close()\n        time.sleep(1000)\n')
        process = subprocess.Popen([MUX, 'run', '--no-store', '--grace', '1h', '--', PYTHON, '-m', 'unittest', 'discover'],
                                   cwd=self.place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.until(lambda: os.path.exists(os.path.join(self.place, 'begun')), 'the test')
        process.send_signal(signal.SIGINT)
        first = b''
        while b'(again: at once)' not in first:
            first += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=PATIENCE)[0].decode()
        self.assertEqual(process.returncode, 130, output)
        self.assertRegex(output, r'(?m)^FAIL  test_deaf.S.test_s  .*\n      .*SIGKILL')

    def test_wrong_usage(self):
        for options, words in ((['--slots', '0'], 'expected 1 to 512, or auto'),
                               (['--dist', 'x'], 'expected load, worksteal'),
                               (['--include', '('], 'missing closing parenthesis'),
                               (['--node-number', '1'], 'needed together'),
                               (['--nodes', '2', '--node-number', '3'], 'there are 2 nodes'),
                               (['--runner', 'nobody'], 'nobody')):
            result = self.run_mux(*options)
            self.ended(result, 2)
            self.assertIn(words, result.stderr.decode())
        result = self.run_mux(command=('./what',))
        self.ended(result, 2)
        self.assertIn('--runner', result.stderr.decode())


if __name__ == '__main__':
    unittest.main()
