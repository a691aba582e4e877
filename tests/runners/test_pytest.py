"""tools/runners/mux_pytest.py: lists, runs and serves tests of pytest."""
import os
import signal
import subprocess
import sys

import rig


class Case(rig.Case):
    adaptor = 'mux_pytest.py'


class Lists(Case):
    def test_ids_are_those_of_pytest(self):
        self.write('pkg/__init__.py', '')
        self.write('pkg/test_a.py', '''
            import pytest, unittest
            class TestA:
                @pytest.mark.parametrize('x', ['with blanks', 'quo"te', "'", 'new\\nline', '\\u2713', '$(x);', '[', 'a::b', 'l' * 4096])
                def test_ids(self, x): pass
            class Old(unittest.TestCase):
                def test_old(self): pass
            def test_\u00fc(): pass
            ''')
        self.write('test_b.py', 'print("chatter \\xb3")\ndef test_b(): pass\ndef test_other(): pass')
        for arguments in [], ['-k', 'not other', 'pkg', 'test_b.py']:
            theirs = subprocess.run([sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', '--collect-only', '-q', *arguments],
                                    capture_output=True, cwd=self.folder)
            wanted = theirs.stdout.decode().split('\n\n')[0].split('\n')
            done = self.list('-p', 'no:cacheprovider', *arguments)
            self.assertEqual(done.listed(), wanted)
        ran = self.serve(wanted)
        self.assertEqual(ran.verdicts(), [(one, 'success') for one in wanted])
        self.assertEqual(self.run_ids(wanted).verdicts(), ran.verdicts())

    def test_markers_are_tags_of_the_list(self):
        self.write('test_a.py', '''
            import pytest
            pytestmark = pytest.mark.slow
            @pytest.mark.db(3)
            def test_one(): pass
            def test_two(): pass
        ''')
        tags = [(event.id, event.tags) for event in self.list('-W', 'ignore').events if event.status == 'exists']
        self.assertEqual(tags, [('test_a.py::test_one', ['db', 'slow']), ('test_a.py::test_two', ['slow'])])

    def test_groups_of_xdist(self):
        self.write('test_a.py', '''
            import pytest
            @pytest.mark.xdist_group("b")
            @pytest.mark.xdist_group(name="a")
            def test_one(): pass
            @pytest.mark.xdist_group
            def test_two(): pass
        ''')
        tags = [event.tags for event in self.list('-W', 'ignore').events if event.status == 'exists']
        self.assertEqual(tags, [['mux.group:a_b', 'xdist_group'], ['mux.group:default', 'xdist_group']])

    def test_what_cannot_be_collected(self):
        self.write('t/test_bad.py', 'import not_there')
        self.write('t/test_skipped.py', 'import pytest\npytest.importorskip("neither")')
        self.write('t/test_good.py', 'def test_good(): pass')
        done = self.list('t', status=2)
        self.assertEqual(sorted(done.listed()), ['t/test_bad.py', 't/test_good.py::test_good', 't/test_skipped.py'])
        self.assertIn(b"No module named 'not_there'", done.file(None, 'import errors'))
        for ran in self.run_ids(done.listed(), 't'), self.serve(done.listed(), arguments=['t']):
            self.assertEqual(sorted(ran.verdicts()), [('t/test_bad.py', 'fail'), ('t/test_good.py::test_good', 'success'),
                                                      ('t/test_skipped.py', 'skip')])
            self.assertIn(b"No module named 'not_there'", ran.file('t/test_bad.py', 'traceback'))
            self.assertIn(b"could not import 'neither'", ran.file('t/test_skipped.py', 'reason'))

    def test_wrong_usage(self):
        for words in ['--list', '--', '--no-such-option'], ['--list', '--', 'not_there.py']:
            done = self.run_adaptor(*words)
            self.assertNotEqual(done.status, 0, words)
            self.assertTrue(done.stderr)
            self.assertFalse(done.listed())
        self.write('conftest.py', 'def pytest_collection_modifyitems(items): raise ValueError("a broken plugin")')
        self.write('test_a.py', 'def test_a(): pass')
        self.assertIn('a broken plugin', self.list(status=3).stderr)
        self.write('conftest.py', '')
        self.assertEqual(self.list('-k', 'nothing').listed(), [])


class Runs(Case):
    def test_verdicts(self):
        self.write('test_v.py', '''
            import logging, os, pytest, sys, unittest
            def test_ok():
                print('printed')
                os.write(1, b'raw')
                print('to stderr', file=sys.stderr)
            def test_fail():
                logging.warning('logged')
                assert 'a' == '\\u2713', '\\udc80'
            def test_skip(): pytest.skip('a reason')
            @pytest.mark.skipif(True, reason='marked')
            def test_marked(): pass
            @pytest.mark.xfail(reason='known')
            def test_xfail(): assert 0
            @pytest.mark.xfail(reason='known')
            def test_xpass(): pass
            @pytest.mark.xfail(reason='known', strict=True)
            def test_strict(): pass
            def test_exit(): sys.exit(0)
            def test_interrupt():
                print('before')
                raise KeyboardInterrupt('by itself')
            def test_pytest_exit(): pytest.exit('enough')
            @pytest.fixture
            def broken(): raise OSError('no fixture')
            def test_broken(broken): pass
            @pytest.fixture
            def torn():
                yield
                raise OSError('torn')
            def test_torn(torn): pass
            def test_deep(): test_deep()
            def test_binary(): sys.stdout.buffer.write(b'\\xb3\\x29\\x01\\x0c\\xe2')
            class U(unittest.TestCase):
                def test_old(self): self.assertEqual(1, 2)
                @unittest.expectedFailure
                def test_unexpected(self): pass
            ''')
        done = self.run_all()
        for status, names in {'success': ['test_ok', 'test_xpass', 'test_binary'], 'xfail': ['test_xfail'],
                              'skip': ['test_skip', 'test_marked'], 'uxsuccess': ['test_strict', 'test_unexpected'],
                              'fail': ['test_fail', 'test_exit', 'test_interrupt', 'test_pytest_exit', 'test_broken', 'test_torn',
                                       'test_deep', 'test_old']}.items():
            for name in names:
                self.assertEqual(done.status_of(name), status, name)
        for name, text in {'test_fail': "\\udc80", 'test_exit': 'SystemExit: 0', 'test_interrupt': 'by itself',
                           'test_pytest_exit': 'enough', 'test_broken': 'no fixture', 'test_torn': 'torn', 'test_deep': 'Recursion',
                           'test_old': '1 != 2'}.items():
            self.assertIn(text, done.file('::' + name, 'traceback').decode())
        for name, text in {'test_skip': 'a reason', 'test_marked': 'marked', 'test_xfail': 'known'}.items():
            self.assertEqual(done.file('::' + name, 'reason').decode(), text)
        self.assertEqual(done.file('test_ok', 'stdout'), b'printed\nraw')
        self.assertEqual(done.file('test_ok', 'stderr'), b'to stderr\n')
        self.assertIn(b'logged', done.file('test_fail', 'log'))
        self.assertEqual(done.file('test_interrupt', 'stdout'), b'before\n')

    def test_live_output(self):
        self.write('test_l.py', 'def test_l(): print("live")')
        for option in '-s', '--capture=tee-sys':
            done = self.run_ids(['test_l.py::test_l'], option)
            self.assertEqual(done.file('test_l', 'stdout'), b'live\n')

    def test_only_the_files_of_the_ids_are_imported(self):
        self.write('sub/test_a.py', 'def test_a(): pass')
        self.write('sub/test_b.py', 'raise SystemExit("imported")')
        done = self.run_ids(['sub/test_a.py::test_a', 'sub/test_a.py::no'], 'sub')
        self.assertEqual(done.verdicts(), [('sub/test_a.py::test_a', 'success')])
        self.assertEqual(done.file(None, 'unknown'), b'sub/test_a.py::no\n')
        self.assertEqual(self.run_ids(['no/test.py::test'], 'sub').verdicts(), [])

    def test_options_of_a_whole_run(self):
        self.write('pytest.ini', '[pytest]\naddopts = -x --junitxml=report.xml --lf')
        self.write('test_x.py', 'def test_1(): assert 0\ndef test_2(): pass')
        done = self.run_ids(['test_x.py::test_1', 'test_x.py::test_2'])
        self.assertEqual([status for _, status in done.verdicts()], ['fail', 'success'])
        self.assertIn('--junitxml is ignored', done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.folder, 'report.xml')))

    def test_a_debugger(self):
        self.write('test_p.py', 'def test_p():\n    secret = 6 * 7\n    assert not secret\ndef test_q(): pass')
        done = self.run_ids(['test_p.py::test_p', 'test_p.py::test_q'], '--pdb', stdin=b'p secret\nc\n')
        self.assertEqual([status for _, status in done.verdicts()], ['fail', 'success'])
        self.assertIn(b"(Pdb) 42\n(Pdb) ", done.file(None, "stdout"))

    def test_sub_tests(self):
        # as pytest-subtests reports them
        self.write('conftest.py', '''
            import copy, pytest
            class SubTestReport(pytest.TestReport):
                def sub_test_description(self): return '[%s]' % self.message
            @pytest.fixture
            def part(request):
                def report(message, check):
                    call = pytest.CallInfo.from_call(check, 'call')
                    done = request.node.ihook.pytest_runtest_makereport(item=request.node, call=call)
                    done = SubTestReport._from_json(done._to_json())
                    done.message = message
                    request.node.ihook.pytest_runtest_logreport(report=done)
                return report
            ''')
        self.write('test_s.py', '''
            import pytest
            def test_s(part):
                part('fine', lambda: 1)
                part('skipped', lambda: pytest.skip('not this'))
                part('bad', lambda: 1 / 0)
            ''')
        done = self.run_all()
        self.assertEqual(done.verdicts(), [('test_s.py::test_s', 'fail')])
        self.assertEqual(done.verdicts(runnable=False), [('test_s.py::test_s [skipped]', 'skip'), ('test_s.py::test_s [bad]', 'fail')])
        self.assertEqual(done.file('::test_s', 'traceback'),
                         b'These sub-tests failed:\n[bad]: ZeroDivisionError: division by zero\n')

    def test_ends_of_the_process(self):
        self.write('test_e.py', '''
            import os, pytest, signal
            @pytest.fixture(scope='module', autouse=True)
            def torn():
                yield
                print('torn down')
            def test_exit(): os._exit(5)
            def test_interrupt():
                print('before')
                os.kill(os.getpid(), signal.SIGINT)
            def test_forks():
                pid = os.fork()
                if not pid: assert not 'in the child'
                os.waitpid(pid, 0)
            def test_z(): pass
            ''')
        for name, status in {'exit': 5, 'interrupt': -signal.SIGINT, 'forks': 0}.items():
            one = 'test_e.py::test_' + name
            done = self.run_ids([one, 'test_e.py::test_z'], status=status, preexec_fn=rig.allow_interrupts)
            begun = [event.id for event in done.events if event.status == 'inprogress']
            self.assertEqual(begun, [one] + ['test_e.py::test_z'] * (name == 'forks'))
            if name == 'interrupt':
                self.assertEqual(done.verdicts(), [(one, 'fail')])
                self.assertIn(b'KeyboardInterrupt', done.file(one, 'traceback'))
                self.assertEqual(done.file(None, 'stdout'), b'torn down\n')
            elif name == 'forks':
                self.assertEqual(done.verdicts(), [(one, 'success'), ('test_e.py::test_z', 'success')])


class Serves(Case):
    def test_fixtures_live_across_batches(self):
        self.write('conftest.py', '''
            import pytest
            @pytest.fixture(scope='session', autouse=True)
            def whole():
                print('session up')
                yield
                print('session down')
            ''')
        module = '''
            import pytest
            @pytest.fixture(scope='module', autouse=True)
            def of_module():
                print('up', __name__)
                yield
                print('down', __name__)
            class TestC:
                @pytest.fixture(scope='class', autouse=True)
                def of_class(self):
                    print('class up')
                    yield
                    print('class down')
                @pytest.fixture(autouse=True)
                def own(self):
                    print('own up')
                    yield
                    print('own down')
                def test_1(self): print('1')
                def test_2(self): print('2')
            '''
        self.write('test_a.py', module)
        self.write('test_b.py', module)
        ids = ['test_%s.py::TestC::test_%d' % (name, number) for name in 'ab' for number in (1, 2)]
        done = self.serve(ids[:1] * 2, ids[:2], [], ids[3:] + ids[2:3], ids[:1])
        printed = b''.join(event.content for event in done.events if event.name == 'stdout').decode()
        own = 'own up\n%d\nown down\n'
        around = 'up test_%s\nclass up\n', 'class down\ndown test_%s\n'
        self.assertEqual(printed, 'session up\n' + around[0] % 'a' + own % 1 + own % 1 + own % 1 + own % 2 + around[1] % 'a' +
                         around[0] % 'b' + own % 2 + own % 1 + around[1] % 'b' + around[0] % 'a' + own % 1 +
                         around[1] % 'a' + 'session down\n')
        self.assertEqual(done.batches(), [0, 1, 2, 3, 4])
        self.assertEqual([one for one, _ in done.verdicts()], ids[:1] * 2 + ids[:2] + ids[3:] + ids[2:3] + ids[:1])
        self.assertEqual({status for _, status in done.verdicts()}, {'success'})

    def test_trouble_between_batches(self):
        self.write('test_a.py', '''
            import pytest
            @pytest.fixture(scope='module')
            def broken():
                yield
                raise OSError('comes late')
            def test_a(broken): pass
            def test_aa(): pass
            ''')
        self.write('test_b.py', '''
            def test_b(): print('seen once')
            def test_c(): raise KeyboardInterrupt
            ''')
        self.write('test_c.py', 'def test_d(): pass')
        a, _, b, c, d = self.list().listed()
        done = self.serve([a, a], [c, b], [c], ['no', b, d], [b])
        self.assertEqual(done.verdicts(), [
            (a, 'success'), (a, 'success'), (c, 'fail'), (b, 'success'), (c, 'fail'), (b, 'success'), (d, 'success'), (b, 'success')])
        self.assertEqual(done.file(b, 'stdout'), b'seen once\n' * 3)
        self.assertEqual(done.file(None, 'unknown'), b'no\n')
        self.assertEqual(done.verdicts(runnable=False), [('teardown after ' + a, 'fail')])
        self.assertIn(b'comes late', done.file('teardown after ' + a, 'traceback'))


if __name__ == '__main__':
    rig.unittest.main()
