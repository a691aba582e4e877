"""tools/runners/mux_unittest.py: lists, runs and serves tests of unittest and testtools."""
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
        for arguments in (['discover'], ['discover', '-s', 'pkg', '-t', '.'], ['pkg.test_a'],
                          ['discover', '-v', '-p', 'test_a*'], ['pkg.test_a.A', 'pkg.test_a.T.test_t']):
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
        for text, words in (('1 +', 'SyntaxError'), ('raise SystemExit(0)', 'SystemExit'), ('boom', 'NameError')):
            self.write('test_bad.py', text)
            for arguments in ([], ['test_bad']):
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
        for words in ([], ['--list', 'x'], ['--load-list', '--'], ['--serve', 'a', '--'], ['list', '--'],
                      ['--list', '--', '--no-such-option'], ['--load-list', '/no/such/file', '--']):
            done = self.run_adaptor(*words)
            self.assertNotEqual(done.status, 0, words)
            self.assertTrue(done.stderr)
            self.assertFalse(done.listed())


if __name__ == '__main__':
    rig.unittest.main()
