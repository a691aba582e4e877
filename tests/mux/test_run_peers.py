"""mux run beside stestr and testr: the same project, the same file, the same verdict of each test."""
import shutil

from command import *

PYTHON = '/usr/bin/python3'

# As a project of OpenStack has them: classes with fixtures, scenarios' parentheses, skips, texts, loaders.
BASE = '''
import testtools

class TestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.addDetail('note', testtools.content.text_content('kept'))
'''
API = '''
import unittest
from demo.tests import base

class TestServers(base.TestCase):
    def test_list(self): pass
    def test_create(self): self.assertEqual([1, 2], [1, 3])
    def test_error(self): raise RuntimeError('boom')
    def test_skipped(self): self.skipTest('no hypervisor')
    def test_known_bug(self): self.expectFailure('bug 1', self.assertEqual, 1, 2)
    @unittest.expectedFailure
    def test_mended(self): pass
    def test_noisy(self):
        print('to stdout', flush=True)

class TestBroken(base.TestCase):
    def setUp(self):
        super().setUp()
        raise ValueError('set-up')
    def test_never_begins(self): pass
'''
UNIT = '''
import unittest

class TestPlain(unittest.TestCase):
    def test_one(self): pass
    @unittest.skip('later')
    def test_two(self): pass

class TestMethod(unittest.TestCase):
    def tearDown(self): raise OSError('tear-down')
    def test_tear_down(self): pass

def load_tests(loader, tests, pattern):
    class TestMade(unittest.TestCase):
        def test_it(self): pass
        def id(self): return 'demo.tests.test_unit.TestMade.test_it(a,b)'
    tests.addTest(TestMade('test_it'))
    return tests
'''
STESTR = '[DEFAULT]\ntest_path=${OS_TEST_PATH:-./demo/tests}\ntop_dir=./\ngroup_regex=([^\\.]*\\.)*\n'
TESTR = '''
[DEFAULT]
test_command=%s -m subunit.run discover -t . demo/tests $LISTOPT $IDOPTION
test_id_option=--load-list $IDFILE
test_list_option=--list
test_run_concurrency=echo 2
instance_provision=for i in $(seq $INSTANCE_COUNT); do echo i$i; done
instance_execute=INSTANCE=$INSTANCE_ID; export INSTANCE; $COMMAND
instance_dispose=echo $INSTANCE_IDS >> disposed
''' % PYTHON
WORDS = {'success': 'passed', 'fail': 'failed', 'skip': 'skipped', 'xfail': 'xfailed', 'uxsuccess': 'failed'}


@unittest.skipUnless(shutil.which('stestr', path='/usr/bin') and shutil.which('testr', path='/usr/bin'), 'stestr and testr are not here')
class Peers(Case):
    def setUp(self):
        self.place = self.folder()
        os.makedirs(os.path.join(self.place, 'demo', 'tests'))
        for name, text in (('demo/__init__.py', ''), ('demo/tests/__init__.py', ''), ('demo/tests/base.py', BASE),
                           ('demo/tests/test_api.py', API), ('demo/tests/test_unit.py', UNIT)):
            with open(os.path.join(self.place, name), 'w') as file:
                file.write(text)

    def write(self, name, text):
        with open(os.path.join(self.place, name), 'w') as file:
            file.write(text)

    def call(self, *words, status):
        result = subprocess.run(words, cwd=self.place, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                                env=dict(os.environ, PYTHON=PYTHON))
        self.assertEqual(result.returncode, status, (result.stdout + result.stderr).decode(errors='replace'))
        return result.stdout

    def theirs(self, tool):
        """Verdicts by test, as the tool has kept them."""
        stream = subprocess.run([tool, 'last', '--subunit'], cwd=self.place, capture_output=True, timeout=PATIENCE).stdout
        events = subprocess.run([MUX, 'cat', '--json'], input=stream, capture_output=True, timeout=PATIENCE).stdout
        rows = [json.loads(line) for line in events.splitlines()]
        return {row['test_id']: WORDS[row['test_status']] for row in rows if row.get('test_status') in WORDS}

    def ours(self):
        rows = [json.loads(line) for line in self.call(MUX, 'show', '--tests', '--json', status=0).splitlines()]
        return {row['test_id']: WORDS[row['status']] for row in rows}

    def test_stestr(self):
        self.write('.stestr.conf', STESTR)
        self.call('/usr/bin/stestr', 'run', '--concurrency', '2', status=1)
        self.call(MUX, 'run', '-n', '2', status=1)
        theirs = self.theirs('/usr/bin/stestr')
        self.assertEqual(len(theirs), 12, theirs)
        self.assertEqual(self.ours(), theirs)
        listed = self.call(MUX, 'run', '--list', status=0).decode().split('\n')
        self.assertEqual(sorted(listed), sorted(self.call('/usr/bin/stestr', 'list', status=0).decode().split('\n')))
        failing = self.call('/usr/bin/stestr', 'failing', '--list', status=1).decode().split()
        unexpected = 'demo.tests.test_api.TestServers.test_mended'  # the peer's list leaves it out, though its run failed
        self.assertEqual(set(self.call(MUX, 'failing', '--list', status=0).decode().split()), set(failing) | {unexpected})

    def test_testr(self):
        self.write('.testr.conf', TESTR)
        self.call('/usr/bin/testr', 'init', status=0)
        self.call('/usr/bin/testr', 'run', '--parallel', status=1)
        self.call(MUX, 'run', status=1)
        theirs = self.theirs('/usr/bin/testr')
        self.assertEqual(len(theirs), 12, theirs)
        self.assertEqual(self.ours(), theirs)
        with open(os.path.join(self.place, 'disposed')) as file:
            self.assertEqual(file.read(), 'i1 i2\n' * 2)


if __name__ == '__main__':
    unittest.main()
