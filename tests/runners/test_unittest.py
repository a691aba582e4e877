"""tools/runners/mux_unittest.py: lists, runs and serves tests of unittest and testtools."""
import os
import signal
import subprocess
import sys

import rig


class Case(rig.Case):
    adaptor = 'mux_unittest.py'


class Lists(Case):
    def test_ids_are_those_of_subunit_run(self):
        self.write('pkg/__init__.py', '')
        self.write('pkg/test_a.py', '''
            import unittest, testtools
            class A(unittest.TestCase):
                def test_1(self): pass
                def test_2(self): pass
            class T(testtools.TestCase):
                def test_t(self): pass
            def load_tests(loader, tests, pattern):
                tests.addTest(unittest.FunctionTestCase(print))
                return tests
            ''')
        self.write('pkg/test_broken.py', 'import not_there')
        for arguments in (['discover', '-s', 'pkg', '-t', '.'], ['discover', '-v', '-p', 'test_a*'],
                          ['pkg.test_a.A', 'pkg.test_a.T.test_t']):
            theirs = subprocess.run([sys.executable, '-m', 'subunit.run', *arguments, '--list'],
                                    capture_output=True, cwd=self.folder)
            self.assertIn(theirs.returncode, (0, 2), theirs.stderr)
            ours = self.list(*arguments, status=theirs.returncode)
            wanted = [event.id for event in rig.Done(0, theirs.stdout, b'').events
                      if event.status == 'exists']
            self.assertEqual(sorted(ours.listed()), sorted(wanted))
            self.assertTrue(wanted)

    def test_what_cannot_be_imported(self):
        self.write('test_bad.py', 'import not_there')
        self.write('test_good.py', 'import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass')
        done = self.list(status=2)
        self.assertEqual(done.listed(), ['unittest.loader._FailedTest.test_bad', 'test_good.A.test_a'])
        self.assertIn(b"No module named 'not_there'", done.file(None, 'import errors'))
        ran = self.run_ids(done.listed())
        self.assertEqual([status for _, status in ran.verdicts()], ['fail', 'success'])
        self.assertIn(b'not_there', ran.file('test_bad', 'traceback'))
        for text, arguments in ('1 +', []), ('raise SystemExit(0)', ['test_bad']), ('boom', ['test_bad']):
            self.write('test_bad.py', text)
            self.list(*arguments, status=2)

    def test_chatter_of_imports(self):
        self.write('test_a.py', '''
            import unittest, os, sys, subprocess
            print('printed \\u2713')
            sys.stdout.buffer.write(b'\\xb3\\x29\\xe2')
            os.write(1, b'\\xb3\\x29 raw \\xe2')
            subprocess.run(['echo', 'from a child'])
            class A(unittest.TestCase):
                def test_a(self): pass
            ''')
        done = self.list()
        self.assertEqual(done.listed(), ['test_a.A.test_a'])
        self.assertEqual(done.file(None, 'stdout'), 'printed \u2713\n'.encode() + b'\xb3\x29\xe2')
        self.assertIn('raw', done.stderr)
        self.assertIn('from a child', done.stderr)

    def test_wrong_usage(self):
        for words in ([], ['--load-list', '--'], ['--serve', 'a', '--'], ['--list', '--', '--no-such-option'],
                      ['--load-list', '/no/such/file', '--']):
            done = self.run_adaptor(*words)
            self.assertNotEqual(done.status, 0, words)
            self.assertTrue(done.stderr)
            self.assertFalse(done.listed())


class Verdicts(Case):
    def test_of_unittest(self):
        self.write('test_v.py', '''
            import unittest, os, sys
            class V(unittest.TestCase):
                def test_ok(self): print('printed')
                def test_fail(self): self.assertEqual('\u2713', 'b')
                def test_error(self): raise ValueError('\\udc80 \\0 half')
                @unittest.skip('a reason')
                def test_skip(self): pass
                @unittest.expectedFailure
                def test_xfail(self): self.fail('as expected')
                @unittest.expectedFailure
                def test_uxsuccess(self): pass
                def test_exit(self): sys.exit(0)
                def test_interrupt(self): raise KeyboardInterrupt('by itself')
                def test_deep(self): self.test_deep()
                def test_twice(self):
                    self.addCleanup(self.fail, 'in a cleanup')
                    self.fail('in the test')
                def test_large(self): self.fail('x' * 5000000)
                def test_unprintable(self):
                    class Odd(Exception):
                        def __str__(self): raise SystemExit
                    raise Odd
            class Down(unittest.TestCase):
                def tearDown(self): raise OSError('torn')
                def test_down(self): pass
            class Up(unittest.TestCase):
                def setUp(self): self.skipTest('not here')
                def test_up(self): pass
            class Async(unittest.IsolatedAsyncioTestCase):
                async def test_async(self): print('async')
            ''')
        done = self.run_all()
        for status, names in {'success': ['test_ok', 'test_async'], 'xfail': ['test_xfail'],
                              'skip': ['test_skip', 'test_up'], 'uxsuccess': ['test_uxsuccess'],
                              'fail': ['test_fail', 'test_error', 'test_exit', 'test_interrupt', 'test_deep',
                                       'test_twice', 'test_large', 'test_unprintable', 'test_down']}.items():
            for name in names:
                self.assertEqual(done.status_of(name), status, name)
        for name, text in {'test_fail': "'\u2713' != 'b'", 'test_error': 'ValueError: \\udc80 \\x00 half',
                           'test_xfail': 'as expected', 'test_exit': 'SystemExit: 0', 'test_deep': 'RecursionError',
                           'test_interrupt': 'KeyboardInterrupt: by itself', 'test_twice': 'in the test',
                           'test_down': 'torn', 'test_unprintable': 'Odd'}.items():
            self.assertIn(text, done.file('.' + name, 'traceback').decode())
        self.assertIn(b'in a cleanup', done.file('test_twice', 'traceback-1'))
        self.assertGreater(len(done.file('test_large', 'traceback')), 5000000)
        self.assertEqual(done.file('test_skip', 'reason'), b'a reason')
        self.assertEqual(done.file('test_up', 'reason'), b'not here')
        self.assertEqual(done.file('test_ok', 'stdout'), b'printed\n')
        self.assertEqual(done.file('test_async', 'stdout'), b'async\n')
        self.assertFalse([event for event in done.events if event.mime not in (None, 'text/plain;charset=utf8')])
        self.in_order(done)

    def in_order(self, done):
        """Each test begins, has its files and ends, at times that do not run backwards."""
        running = None
        for event in done.events:
            if event.status == 'inprogress':
                self.assertIsNone(running)
                running = event.id
                since = event.time
            elif event.id is not None and event.runnable:
                self.assertEqual(event.id, running)
                self.assertGreaterEqual(event.time, since)
                running = None if event.status else running
        self.assertIsNone(running)

    def test_of_testtools(self):
        self.write('test_t.py', '''
            import testtools
            from testtools.content import text_content, Content, ContentType
            class T(testtools.TestCase):
                def test_ok(self): self.addDetail('notes', text_content('of a pass'))
                def test_fail(self):
                    self.addDetail('raw', Content(ContentType('application', 'x-y', {'v': '1'}), lambda: [b'a', b'\\0']))
                    self.addCleanup(self.fail, 'cleanup')
                    self.fail('itself')
                def test_skip(self): self.skipTest('tt')
                def test_xfail(self): self.expectFailure('known', self.fail, 'x')
                def test_interrupt(self): raise KeyboardInterrupt
                def test_match(self): self.assertThat(1, testtools.matchers.Equals(2))
            ''')
        done = self.run_all('test_t')
        self.assertEqual([status for _, status in done.verdicts()],
                         ['fail', 'fail', 'fail', 'success', 'skip', 'xfail'])
        self.assertEqual(done.file('test_ok', 'notes'), b'of a pass')
        self.assertEqual(done.file('test_fail', 'raw'), b'a\0')
        self.assertEqual([event.mime for event in done.events if event.name == 'raw'], ['application/x-y;v=1'])
        self.assertIn(b'itself', done.file('test_fail', 'traceback'))
        self.assertIn(b'cleanup', done.file('test_fail', 'traceback-1'))
        self.assertIn(b'1 != 2', done.file('test_match', 'traceback'))
        self.assertEqual(done.file('test_skip', 'reason'), b'tt')
        self.in_order(done)

    def test_of_sub_tests(self):
        self.write('test_s.py', '''
            import unittest
            class S(unittest.TestCase):
                def test_some(self):
                    for i in range(4):
                        with self.subTest('part', i=i): self.assertNotIn(i, (1, 3))
                def test_skipped(self):
                    with self.subTest('only'): self.skipTest('part of it')
                def test_mixed(self):
                    with self.subTest('a'): self.skipTest('part of it')
                    with self.subTest('b'): pass
                def test_fine(self):
                    with self.subTest(): pass
            ''')
        done = self.run_all()
        self.assertEqual([status for _, status in done.verdicts()],
                         ['success', 'success' if sys.version_info > (3, 11) else 'skip', 'skip', 'fail'])
        self.assertEqual(done.verdicts(runnable=False), [
            ('test_s.S.test_mixed [a]', 'skip'), ('test_s.S.test_skipped [only]', 'skip'),
            ('test_s.S.test_some [part] (i=1)', 'fail'), ('test_s.S.test_some [part] (i=3)', 'fail')])
        self.assertIn(b'[part] (i=3): AssertionError: 3 ', done.file('test_some', 'traceback'))
        self.assertIn(b'1 unexpectedly found', done.file('(i=1)', 'traceback'))


class Fixtures(Case):
    def test_those_that_fail(self):
        self.write('test_f.py', '''
            import unittest, sys
            class Up(unittest.TestCase):
                @classmethod
                def setUpClass(cls): raise RuntimeError('no database')
                def test_1(self): pass
                def test_2(self): pass
            class Exits(unittest.TestCase):
                @classmethod
                def setUpClass(cls): sys.exit(1)
                def test_3(self): pass
            class Skips(unittest.TestCase):
                @classmethod
                def setUpClass(cls): raise unittest.SkipTest('not on mondays')
                def test_4(self): pass
            class Down(unittest.TestCase):
                @classmethod
                def tearDownClass(cls): raise KeyboardInterrupt('late')
                def test_5(self): pass
            class Fine(unittest.TestCase):
                def test_6(self): pass
            ''')
        self.write('test_m.py', '''
            import unittest
            def setUpModule(): raise OSError('no module today')
            class A(unittest.TestCase):
                def test_7(self): pass
            class B(unittest.TestCase):
                def test_8(self): pass
            ''')
        ids = self.list().listed()
        done = self.serve(sorted(ids, key=lambda one: one[-1]), [ids[0]])
        self.assertEqual([(name[-1], status) for name, status in done.verdicts()],
                         list(zip('12345678', ['fail', 'fail', 'fail', 'skip', 'success', 'success', 'fail', 'fail']))
                         + [(ids[0][-1], dict(done.verdicts())[ids[0]])])
        self.assertEqual([one for one in done.verdicts(runnable=False)][:4], [
            ('setUpClass (test_f.Up)', 'fail'), ('setUpClass (test_f.Exits)', 'fail'),
            ('tearDownClass (test_f.Down)', 'fail'), ('setUpModule (test_m)', 'fail')])
        self.assertEqual(done.file('test_2', 'reason'),
                         b'This test did not run: setUpClass (test_f.Up) failed: RuntimeError: no database\n')
        self.assertIn(b'setUpModule (test_m) failed: OSError: no module today', done.file('test_8', 'reason'))
        self.assertEqual(done.file('test_4', 'reason'), b'not on mondays')
        self.assertIn(b'late', done.file('tearDownClass (test_f.Down)', 'traceback'))

    COUNTS = '''
        import unittest
        def setUpModule(): print('module up')
        def tearDownModule(): print('module down')
        class A(unittest.TestCase):
            @classmethod
            def setUpClass(cls): print('A up')
            @classmethod
            def tearDownClass(cls): print('A down')
            def test_1(self): print('1')
            def test_2(self): print('2')
        class B(unittest.TestCase):
            def test_3(self): print('3')
        '''

    def test_are_kept_across_a_batch(self):
        self.write('test_c.py', self.COUNTS)
        one, two, three = self.list().listed()
        done = self.serve([two, one, three], [one], [one, three, two])
        printed = b''.join(event.content for event in done.events if event.name == 'stdout').decode().split('\n')
        self.assertEqual(printed, [
            'module up', 'A up', '2', '1', 'A down', '3', 'module down', 'module up', 'A up', '1', 'A down', 'module down',
            'module up', 'A up', '1', 'A down', '3', 'A up', '2', 'A down', 'module down', ''])

    def test_suites_with_a_run_of_their_own(self):
        self.write('test_o.py', '''
            import unittest
            class Own(unittest.TestSuite):
                def run(self, result, debug=False):
                    print('begin', self.countTestCases())
                    super().run(result, debug)
                    print('end')
            class Refuses(unittest.TestSuite):
                def run(self, result, debug=False): raise ValueError('refused')
            class A(unittest.TestCase):
                def test_1(self): pass
                def test_2(self): pass
                def test_3(self): pass
                def test_4(self): pass
            def load_tests(loader, tests, pattern):
                return unittest.TestSuite([Own([A('test_1'), Own([A('test_2')])]), A('test_3'), Refuses([A('test_4')])])
            ''')
        ids = self.list().listed()
        self.assertEqual([one[-1] for one in ids], ['1', '2', '3', '4'])
        done = self.serve(ids[:3], [ids[1]], [ids[3]])
        self.assertEqual([(one[-1], status) for one, status in done.verdicts()],
                         [('1', 'success'), ('2', 'success'), ('3', 'success'), ('2', 'success'), ('4', 'fail')])
        self.assertEqual(done.file(None, 'stdout'), b'begin 2\nbegin 1\nend\nend\nbegin 1\nbegin 1\nend\nend\n')
        self.assertEqual(done.verdicts(runnable=False), [('suite (Refuses)', 'fail')])


class Serves(Case):
    def test_batches(self):
        self.write('test_b.py', '''
            import unittest, sys
            print('imported')
            class B(unittest.TestCase):
                kept = []
                def setUp(self): self.seen = getattr(self, 'seen', 0) + 1
                def test_a(self): self.assertEqual(self.seen, 1)
                def test_b(self): self.assertEqual(sys.stdin.read(), '')
                def test_c(self): self.fail()
            ''')
        a, b, c = self.list().listed()
        done = self.serve((7, [c, a, a, 'no.such', 'nor this']), (0, []), (10 ** 12, [b, a]))
        self.assertEqual(done.batches(), [7, 0, 10 ** 12])
        self.assertEqual(done.verdicts(), [(c, 'fail'), (a, 'success'), (a, 'success'), (b, 'success'), (a, 'success')])
        self.assertEqual(done.file(None, 'unknown'), b'no.such\nnor this\n')
        self.assertEqual(done.file(None, 'stdout'), b'imported\n')
        ends = [event.id or event.name for event in done.events if event.status not in ('inprogress', None)
                or event.name == 'runner.batch']
        self.assertEqual(ends, [c, a, a, 'runner.batch', 'runner.batch', b, a, 'runner.batch'])
        self.assertEqual(self.serve().status, 0)

    def test_lines_that_are_no_batch(self):
        for line in b'c\n', b'{"batches"}\n', b'\xff\n':
            done = self.run_adaptor('--serve', '--', 'discover', stdin=line)
            self.assertEqual(done.status, 0, line)
            self.assertIn('what was typed is dropped', done.stderr)
        for line in b'{"batch": "1", "ids": []}\n', b'{"batch": 1, "ids": [1]}\n', b'c {"batch"\n':
            done = self.run_adaptor('--serve', '--', 'discover', stdin=line)
            self.assertEqual(done.status, 2, line)
            self.assertIn('is no batch', done.stderr)

    def test_ids_of_every_kind(self):
        self.write('test_i.py', '''
            import unittest
            NAMES = ['with blanks', 'quo"te', "'", 'new\\nline', 'tab\\t', '\u2713\U0001f600', 'l' * 4096, '$(x);', 'nul\\0',
                     'half\\udc80']
            class I(unittest.TestCase):
                def __init__(self, name):
                    super().__init__('runTest')
                    self.name = name
                def id(self): return 'test_i.' + self.name
                def runTest(self): print(ascii(self.name))
            def load_tests(loader, tests, pattern): return unittest.TestSuite(map(I, NAMES))
            ''')
        ids = self.list().listed()
        self.assertEqual(len(set(ids)), 10)
        self.assertIn('test_i.new\nline', ids)
        self.assertEqual(self.serve(ids).verdicts(), [(one, 'success') for one in ids])
        of_file = [one for one in ids if '\n' not in one]
        done = self.run_ids(of_file)
        self.assertEqual(done.verdicts(), [(one, 'success') for one in of_file])
        self.assertIn(b"'half\\udc80'", done.file(of_file[-1], 'stdout'))


class Hard(Case):
    """What tests do to the process that runs them."""

    def test_output(self):
        self.write('test_o.py', '''
            import os, subprocess, sys, unittest
            class O(unittest.TestCase):
                def test_1_binary(self):
                    sys.stdout.buffer.write(bytes(range(256)) + b'\\xb3\\x29\\x01\\x0c')
                def test_2_half(self): sys.stdout.buffer.write(b'\\xe2\\x9c')
                def test_3_fd(self):
                    os.write(1, b'raw \\xe2\\xb3')
                    subprocess.run(['printf', 'child \\\\263'])
                def test_4_no_newline(self): print('prompt> ', end='')
                def test_5_much(self): print('y' * 1000000)
                def test_6_closes(self):
                    os.close(1)
                    os.close(2)
                    sys.stdout.close()
                def test_7_goes_on(self):
                    print('again')
                    self.assertEqual(open('/dev/null').fileno() > 2, True)
                    subprocess.run(['echo', 'another child'])
                def test_8_all(self): os.closerange(3, 500)
                def test_9_replaces(self): sys.stdout = None
            ''')
        done = self.run_all()
        self.assertEqual([status for _, status in done.verdicts()], ['success'] * 9)
        self.assertEqual(done.file('binary', 'stdout'), bytes(range(256)) + b'\xb3\x29\x01\x0c')
        self.assertEqual(done.file('half', 'stdout'), b'\xe2\x9c')
        self.assertEqual(done.file('no_newline', 'stdout'), b'prompt> ')
        self.assertEqual(len(done.file('much', 'stdout')), 1000001)
        self.assertEqual(done.file('goes_on', 'stdout'), b'again\n')
        for text in ('raw', 'child', 'another child'):
            self.assertIn(text, done.stderr)

    def test_forks(self):
        self.write('test_f.py', '''
            import multiprocessing, os, sys, unittest
            def work(n):
                print('spawned')
                return n + 1
            class F(unittest.TestCase):
                def test_1_returns(self):
                    pid = os.fork()
                    if pid == 0: self.fail('in the child')
                    os.waitpid(pid, 0)
                def test_2_child_prints(self):
                    print('half a line', end='')
                    pid = os.fork()
                    if pid == 0:
                        print('by a child', flush=True)
                        os._exit(0)
                    os.waitpid(pid, 0)
                def test_3_pool(self):
                    for kind in 'spawn', 'fork':
                        with multiprocessing.get_context(kind).Pool(1) as pool:
                            self.assertEqual(pool.map(work, [1]), [2])
            ''')
        ids = self.list().listed()
        done = self.serve(ids, ids[:1])
        self.assertEqual(done.verdicts(), [(one, 'success') for one in ids + ids[:1]])
        self.assertEqual(done.file('child_prints', 'stdout'), b'half a line')
        self.assertEqual(done.stderr.count('by a child'), 1)

    def test_threads(self):
        self.write('test_t.py', '''
            import threading, time, unittest
            class T(unittest.TestCase):
                def test_1_leaves(self):
                    threading.Thread(target=time.sleep, args=(1000,), name='the left one').start()
                def test_2_prints(self):
                    threads = [threading.Thread(target=lambda: [print('line of a thread') for _ in range(300)])
                               for _ in range(4)]
                    for one in threads: one.start()
                    for one in threads: one.join()
            ''')
        done = self.run_all()
        self.assertEqual([status for _, status in done.verdicts()], ['success', 'success'])
        self.assertEqual(len(done.file('prints', 'stdout')), 4 * 300 * len('line of a thread\n'))
        self.assertIn('the left one', done.stderr)

    def test_ends_of_the_process(self):
        self.write('test_e.py', '''
            import os, signal, unittest
            class E(unittest.TestCase):
                @classmethod
                def tearDownClass(cls): print('class torn down')
                def test_exit(self):
                    print('before')
                    os._exit(5)
                def test_kill(self): os.kill(os.getpid(), signal.SIGKILL)
                def test_interrupt(self): os.kill(os.getpid(), signal.SIGINT)
                def test_z(self): pass
            ''')
        for name, status in {'exit': 5, 'kill': -signal.SIGKILL, 'interrupt': -signal.SIGINT}.items():
            one = 'test_e.E.test_' + name
            done = self.run_ids([one, 'test_e.E.test_z'], status=status, preexec_fn=rig.allow_interrupts)
            self.assertEqual([event.id for event in done.events if event.status == 'inprogress'], [one])
            self.assertEqual(done.verdicts(), [(one, 'fail')] if name == 'interrupt' else [])
            if name == 'interrupt':
                self.assertIn(b'KeyboardInterrupt', done.file(one, 'traceback'))
                self.assertEqual(done.file(None, 'stdout'), b'class torn down\n')
            if name == 'exit':
                self.assertEqual(done.file(one, 'stdout'), b'before\n')

    def test_nobody_reads(self):
        self.write('test_a.py', 'import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass')
        out, into = os.pipe()
        os.close(out)
        done = subprocess.run([sys.executable, os.path.join(rig.ADAPTORS, self.adaptor), '--list', '--'], stdout=into,
                              stderr=subprocess.PIPE, cwd=self.folder)
        os.close(into)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b'the results cannot be written', done.stderr)


class Parts(Case):
    """A batch imports the modules of its ids, where that cannot make a difference."""
    MODULE = """
        import unittest
        open('imported', 'a').write(__name__ + ' ')
        class T(unittest.TestCase):
            def test_a(self): pass
            class Inner(unittest.TestCase):
                def test_i(self): pass
        """

    def setUp(self):
        super().setUp()
        for name in 'test_one', 'test_two', 'pkg/__init__', 'pkg/test_three':
            self.write(name + '.py', self.MODULE)

    def imported(self, ids, *arguments):
        path = self.write('imported', '')
        done = self.serve(*ids, arguments=arguments)
        with open(path) as file:
            return sorted(file.read().split()), done

    def test_only_its_own(self):
        ids = [['test_two.T.test_a', 'test_two.T.Inner.test_i'], ['pkg.test_three.T.test_a']]
        for arguments in ['discover'], ['discover', '-s', '.', '-p', 't*.py'], ['test_two', 'pkg.test_three', 'test_one']:
            names, done = self.imported(ids, *arguments)
            self.assertEqual(names, ['pkg', 'pkg.test_three', 'test_two'])
            self.assertEqual([status for _, status in done.verdicts()], ['success'] * 3)

    def test_another_top(self):
        names, done = self.imported([['test_three.T.test_a']], 'discover', '-s', 'pkg', '-t', 'pkg')
        self.assertEqual((names, done.verdicts()), (['test_three'], [('test_three.T.test_a', 'success')]))

    def test_one_that_is_gone(self):
        names, done = self.imported([['test_one.T.test_a', 'test_two.T.test_gone', 'gone.T.test_x', 'odd']], 'discover')
        self.assertEqual(done.verdicts(), [('test_one.T.test_a', 'success')])
        self.assertEqual(done.file(None, 'unknown'), b'test_two.T.test_gone\ngone.T.test_x\nodd\n')
        self.assertIn('pkg.test_three', names)

    def test_where_it_may_make_a_difference(self):
        self.write('test_two.py', self.MODULE + """
        def load_tests(loader, tests, pattern):
            tests.addTest(unittest.FunctionTestCase(lambda: None, description='x'))
            return tests
        """)
        names, done = self.imported([['test_two.T.test_a']], 'discover')
        self.assertEqual((done.verdicts(), 'test_one' in names), ([('test_two.T.test_a', 'success')], True))
        self.write('pkg/__init__.py', 'def load_tests(loader, tests, pattern):\n    return tests\n')
        names, done = self.imported([['pkg.test_three.T.test_a']], 'discover')
        self.assertEqual((done.file(None, 'unknown'), 'test_one' in names), (b'pkg.test_three.T.test_a\n', True))

    def test_a_module_that_cannot_be_imported(self):
        self.write('test_bad.py', 'import not_there')
        names, done = self.imported([['test_one.T.test_a'], ['unittest.loader._FailedTest.test_bad', 'test_bad.T.test_x']], 'discover')
        self.assertEqual(done.verdicts(), [('test_one.T.test_a', 'success'), ('unittest.loader._FailedTest.test_bad', 'fail')])
        self.assertEqual(done.file(None, 'unknown'), b'test_bad.T.test_x\n')
        self.assertIn(b'not_there', done.file(None, 'import errors'))


if __name__ == '__main__':
    rig.unittest.main()
