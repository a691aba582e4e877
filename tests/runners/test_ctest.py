"""mux_ctest.py over the tests of a CMake build: ctest itself judges, with all properties and fixtures."""
import os
import shutil
import unittest

import rig


@unittest.skipUnless(shutil.which('ctest') or os.environ.get('MUXD_CI'), 'ctest (Debian: cmake) is not here')
class Ctest(rig.Case):
    adaptor = 'mux_ctest.py'

    TESTS = (
        ('good', 'echo "hello"', '', 'success'), ('bad', 'sh "-c" "echo oops; exit 3"', '', 'fail'),
        ('skipped', 'sh "-c" "exit 77"', 'SKIP_RETURN_CODE 77', 'skip'), ('wrong', 'false', 'WILL_FAIL TRUE', 'success'),
        ('crash', 'sh "-c" "kill -SEGV $$"', '', 'fail'), ('gone', '/nonexistent/x', '', 'fail'),
        ('off', 'true', 'DISABLED TRUE', 'skip'), ('with blank+(x)', 'true', '', 'success'),
        ('found', 'echo "BAD"', 'FAIL_REGULAR_EXPRESSION BAD', 'fail'), ('n' * 150, 'true', '', 'success'),
        ('needs', 'true', 'FIXTURES_REQUIRED f', 'success'))

    def setUp(self):
        super().setUp()
        lines = ['add_test([=[setup]=] "echo" "set up")', 'set_tests_properties([=[setup]=] PROPERTIES FIXTURES_SETUP f)']
        for name, command, properties, _ in self.TESTS:
            lines.append('add_test([=[%s]=] %s)' % (name, command.replace('$$', '$$')))
            if properties:
                lines.append('set_tests_properties([=[%s]=] PROPERTIES %s)' % (name, properties))
        self.write('CTestTestfile.cmake', '\n'.join(lines) + '\n')

    def test_verdicts(self):
        done = self.run_ids([name for name, *_ in self.TESTS] + ['unknown'], 'ctest')
        self.assertEqual(dict(done.verdicts()), {name: status for name, _, _, status in self.TESTS})
        self.assertEqual(done.file('good', 'stdout'), b'hello\n')
        self.assertEqual(done.file('bad', 'traceback'), b'Failed\n')
        self.assertIn(b'SegFault', done.file('crash', 'traceback'))
        self.assertIn(b'Could not find executable', done.file('gone', 'traceback'))
        self.assertEqual(done.file(None, 'unknown'), b'unknown\n')

    def test_a_fixture_is_no_test_of_the_batch(self):
        done = self.serve(['needs'], ['needs', 'setup'], arguments=['ctest'])
        self.assertEqual(done.verdicts(), [('needs', 'success'), ('setup', 'success'), ('needs', 'success')])
        self.assertEqual(done.verdicts(runnable=False), [('setup', 'success')])
        self.assertEqual(done.batches(), [0, 1])

    def test_list(self):
        self.assertEqual(self.list('ctest').listed(), ['setup'] + [name for name, *_ in self.TESTS])
        self.list('false', status=2)

    def test_what_they_need(self):
        """RUN_SERIAL and RESOURCE_LOCK hold between slots, and LABELS are tags."""
        self.write('CTestTestfile.cmake', ''.join(
            'add_test(%s true)\nset_tests_properties(%s PROPERTIES %s)\n' % (name, name, properties)
            for name, properties in (('alone', 'RUN_SERIAL TRUE'), ('not', 'RUN_SERIAL FALSE'),
                                     ('locks', 'RESOURCE_LOCK "db;port"'), ('labelled', 'LABELS "slow;net"'))))
        self.assertEqual({event.id: set(event.tags or ()) for event in self.list('ctest').events if event.status == 'exists'},
                         {'alone': {'mux.exclusive'}, 'not': set(), 'locks': {'mux.lock:db', 'mux.lock:port'},
                          'labelled': {'slow', 'net'}})

    def test_usage(self):
        self.run_ids(['x'], status=2)


if __name__ == '__main__':
    unittest.main()
