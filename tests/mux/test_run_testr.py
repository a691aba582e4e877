"""mux run with .testr.conf and its hooks: instances are made, used by a slot each, and disposed of in every ending."""
import signal

from command import *

PYTHON = '/usr/bin/python3'
ADAPTORS = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'runners'))

# Six tests, and a layer that passes with a tag.
SUITE = '''
import os, sys, time
sys.path.insert(0, %r)
import mux_subunit
stream, ids = mux_subunit.Stream(os.dup(1), print), ['t.%%d' %% i for i in range(6)]
if '--list' in sys.argv:
    for one in ids: stream.event(one, 'exists')
    sys.exit(0)
if '--load-list' in sys.argv:
    wanted = open(sys.argv[sys.argv.index('--load-list') + 1]).read().split()
    ids = [one for one in ids if one in wanted]
stream.event('layer', 'inprogress', tags=['zope:layer'])
stream.event('layer', os.environ.get('LAYER', 'success'), tags=['zope:layer'])
for one in ids:
    stream.event(one, 'inprogress')
    with open('ran', 'a') as out: out.write('%%s %%s\\n' %% (os.environ.get('INSTANCE'), one))
    if os.path.exists('slow'): time.sleep(1000)
    stream.event(one, 'success')
''' % ADAPTORS

FILE = '''
[DEFAULT]
test_command=%s suite.py $LISTOPT $IDOPTION
test_id_option=--load-list $IDFILE
test_list_option=--list
filter_tags=zope:layer other
test_run_concurrency=echo 3
instance_provision=echo provision $INSTANCE_COUNT >> log; echo one two; test $INSTANCE_COUNT != 1 || echo three
instance_execute=INSTANCE=$INSTANCE_ID; export INSTANCE; test -z "$FILES" || cat $FILES >> files; $COMMAND
instance_dispose=echo dispose $INSTANCE_IDS >> log
''' % PYTHON

LOG = 'provision 3\nprovision 1\ndispose one three two\n'


class Hooks(Case):
    def setUp(self):
        self.place = self.folder()
        self.write('suite.py', SUITE)
        self.write('.testr.conf', FILE)

    def write(self, name, text):
        with open(os.path.join(self.place, name), 'w') as file:
            file.write(text)

    def read(self, name):
        with open(os.path.join(self.place, name)) as file:
            return file.read()

    def run_mux(self, *options, status=0, **environment):
        result = subprocess.run([MUX, 'run', '--no-store', *options], cwd=self.place, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, env={**os.environ, **environment})
        self.assertEqual(result.returncode, status, result.stdout.decode())
        return result.stdout.decode()

    def test_passed(self):
        output = self.run_mux()
        self.assertIn('6 tests (testr), 3 slots', output)
        self.assertIn('run passed: 6 passed in ', output)
        self.assertEqual(self.read('log'), LOG)
        ran = [line.split() for line in self.read('ran').splitlines()]
        self.assertEqual(sorted(test for _, test in ran), ['t.%d' % i for i in range(6)])
        self.assertLessEqual({instance for instance, _ in ran}, {'one', 'two', 'three'})
        self.assertEqual(sorted(self.read('files').split()), ['t.%d' % i for i in range(6)])

    def test_a_tag_hides_no_failure(self):
        self.assertRegex(self.run_mux(status=1, LAYER='fail'), r'(?m)^FAIL  layer')

    def test_slots_that_are_given(self):
        self.assertIn('2 slots', self.run_mux('-n', '2'))
        self.assertEqual(self.read('log'), 'provision 2\ndispose one two\n')

    def test_interrupted(self):
        """Also in the middle of a test nothing is left."""
        self.write('slow', '')
        process = subprocess.Popen([MUX, 'run', '--no-store', '--grace', '100ms'], cwd=self.place, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.until(lambda: os.path.exists(os.path.join(self.place, 'ran')), 'the first test')
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), 130)
        self.assertEqual(self.read('log'), LOG)

    def test_interrupted_while_they_are_made(self):
        self.write('.testr.conf', FILE.replace('echo one two;', 'echo one; touch begun; sleep 1000;'))
        process = subprocess.Popen([MUX, 'run', '--no-store'], cwd=self.place, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.until(lambda: os.path.exists(os.path.join(self.place, 'begun')), 'the first instance')
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 130)
        self.assertEqual(self.read('log'), 'provision 3\ndispose one\n')

    def test_a_suite_that_lists_nothing(self):
        """Whoever runs it says which tests: else the sentence says what to do."""
        self.write('.testr.conf', FILE.replace(' $LISTOPT', '').replace('instance_', 'x_'))
        self.write('ids', 't.4\nt.1\n')
        self.assertIn('give test_command $LISTOPT', self.run_mux(status=75))
        self.assertIn('passed: 2 passed in ', self.run_mux('--load-list', 'ids'))
        self.write('.testr.conf', FILE.replace(' $LISTOPT $IDOPTION', '').replace('instance_', 'x_'))
        self.assertIn('has no command that lists its tests', self.run_mux('--load-list', 'ids', status=75))

    def test_hooks_that_fail(self):
        for old, new, words in (
                ('echo one two;', 'echo one; exit 1;', 'instance_provision ended with exit status 1'),
                ('echo one two;', 'echo one; false;', 'instance_provision printed no new instance, and 2 more are wanted'),
                ('echo 3', 'exit 3', 'test_run_concurrency ended with exit status 3'),
                ('echo 3', 'echo many', 'printed "many"'),
                ('>> log\n', '>> log; exit 5\n', 'these instances may still be there: one three two')):
            self.write('log', '')
            self.write('.testr.conf', FILE.replace(old, new))
            self.assertIn(words, self.run_mux(status=75))
            self.assertEqual('dispose' in self.read('log'), 'provision' in self.read('log'))


if __name__ == '__main__':
    unittest.main()
