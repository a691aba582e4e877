"""mux run with an agent elsewhere: by a muxd that is killed in the middle."""
import random
import signal

from command import *

PYTHON = '/usr/bin/python3'
MUXD = os.environ['MUXD']

# The list comes when all slots are there. Every fifth test waits until it may go on. Who runs a test
# notes it.
WAITING = '''
import os, time, unittest
while not os.path.exists("crew"):
    time.sleep(0.02)
class T(unittest.TestCase):
    pass
def run(number):
    with open("ran", "a") as file:
        file.write("%d %s\\n" % (number, os.environ["MUX_SLOT"]))
    while number % 5 == 0 and not os.path.exists("go"):
        time.sleep(0.02)
for number in range(40):
    setattr(T, "test_%02d" % number, lambda self, number=number: run(number))
'''


class Tree(Case):
    def setUp(self):
        self.place = self.folder()
        self.write('test_waiting.py', WAITING)
        os.mkdir(os.path.join(self.place, 'tmp'))
        self.environment = {**os.environ, 'TMPDIR': os.path.join(self.place, 'tmp')}

    def write(self, name, text):
        with open(os.path.join(self.place, name), 'w') as file:
            file.write(text)

    def start_run(self, *options):
        """A run with one slot of its own; the socket for others."""
        run = self.start('run', '-n', '1', *options, '--', PYTHON, '-m', 'unittest', 'discover',
                         cwd=self.place, env=self.environment, stdin=subprocess.DEVNULL)
        found = []

        def is_there():
            found[:] = [os.path.join(folder, name) for folder, _, names in
                        os.walk(os.path.join(self.place, 'tmp')) for name in names if name == 'mux.node']
            return found
        self.until(is_there, 'the socket of the run')
        self.until(lambda: b'"segment":"0"' in self.ctl(found[0], 'links', '--json').stdout, 'its own agent')
        return run, found[0]

    def ctl(self, node, *words):
        return mux('ctl', 'unix:' + os.path.join(os.path.dirname(node), 'mux.control'), *words)

    def start_muxd(self, node, path):
        muxd = subprocess.Popen([MUXD, '--listen', 'unix:' + path, '--upstream', 'mux:unix:' + node,
                                 '--window', '1M'], stderr=subprocess.DEVNULL)
        self.addCleanup(muxd.wait)
        self.addCleanup(muxd.kill)
        self.until(lambda: os.path.exists(path), 'muxd')
        return muxd

    def start_agent(self, node, to, route):
        """Below the socket `to`; the run has it at this route when this returns."""
        agent = self.start('agent', '--to', 'mux:unix:' + to, '--slots', '2', cwd=self.place, env=self.environment)
        self.until(lambda: self.ctl(node, 'undrain', route).returncode == 0, 'the agent')
        return agent

    def start_tree(self, *options):
        """A run, and below a muxd an agent with two slots: the run, its socket, that of the muxd, the muxd."""
        run, node = self.start_run(*options)
        path = os.path.join(self.place, 'muxd')
        muxd = self.start_muxd(node, path)
        self.start_agent(node, path, '1/0')
        return run, node, path, muxd

    def all_pass(self, run):
        """Each test once."""
        output, errors = run.communicate(timeout=PATIENCE)
        self.assertEqual(run.returncode, 0, output + errors)
        self.assertIn(b'40 passed', output)
        self.assertEqual(sorted(number for number, _ in self.ran()), list(range(40)))

    def ran(self):
        """Which test ran in which slot, in order."""
        try:
            with open(os.path.join(self.place, 'ran')) as file:
                return [tuple(map(int, line.split())) for line in file]
        except FileNotFoundError:
            return []

    def waiting_slots(self):
        last = dict((slot, number) for number, slot in self.ran())
        return {slot for slot, number in last.items() if number % 5 == 0}

    def test_a_muxd_between_is_killed(self):
        """Nothing of what the agent had said is lost or counted twice, and no test fails."""
        run, node, path, muxd = self.start_tree()
        self.write('crew', '')
        self.until(lambda: len(self.waiting_slots()) == 3, 'a test in each slot')
        muxd.kill()
        muxd.wait()
        control = os.path.join(os.path.dirname(node), 'mux.control')
        self.until(lambda: self.ctl(node, 'undrain', '1/0').returncode != 0, 'the run sees it')
        typed = mux('attach', 'unix:' + control, '1/0/0', stream=b'keys\n')
        self.assertEqual(typed.returncode, 1)
        self.assertIn(b'its node is unreachable', typed.stderr)
        self.write('go', '')  # what the slots say now waits in the agent
        self.until(lambda: len(self.ran()) > 25, 'tests while there is no way to the run')
        os.unlink(path)
        self.start_muxd(node, path)
        self.all_pass(run)
        shown = self.fine(mux('show', '--tests', cwd=self.place, env=self.environment)).decode()
        self.assertEqual(shown.count('test_waiting.T.test_'), 40, shown)

    def test_an_agent_ends_behind_its_run(self):
        """Nobody acknowledges any more what it wants: nothing that matters is left, and it ends with 0."""
        self.write('crew', '')
        run, node = self.start_run()
        path = os.path.join(self.place, 'muxd')
        self.start_muxd(node, path)
        agents = [self.start_agent(node, path, '1/0'), self.start_agent(node, node, '2')]
        self.write('go', '')
        output, errors = run.communicate(timeout=PATIENCE)
        self.assertEqual(run.returncode, 0, output + errors)
        for agent in agents:
            agent.terminate()
            output, errors = agent.communicate(timeout=PATIENCE)
            self.assertEqual(agent.returncode, 0, errors)

    def sent_down(self, node, segment):
        """Bytes that the run has sent there and that the peer's kernel has."""
        for link in json.loads(self.fine(self.ctl(node, 'links', '--json')))['links']:
            if link['segment'] == segment:
                return link['sent_down_bytes']
        return 0

    def lose_way_down(self, *options):
        """A muxd is killed with what it was sent and had not read: the run sends it again."""
        run, node, path, muxd = self.start_tree(*options)
        if not options:
            self.until(lambda: self.begun() == 3, 'the list, and a runner in each other slot')
        muxd.send_signal(signal.SIGSTOP)
        before = self.sent_down(node, '1')
        self.write('crew', '')
        self.until(lambda: self.sent_down(node, '1') >= before + 2 * 60, 'something for both slots')
        muxd.kill()
        muxd.wait()
        self.write('go', '')
        os.unlink(path)
        self.start_muxd(node, path)
        self.all_pass(run)
        self.assertEqual({slot for _, slot in self.ran()}, {0, 1, 2})

    def begun(self):
        """Jobs that have begun, as far as the run keeps it."""
        count = 0
        for folder, _, names in os.walk(os.path.join(self.place, '.mux')):
            for name in names:
                with open(os.path.join(folder, name), 'rb') as file:
                    count += file.read().count(b'"state":"begun"')
        return count

    def test_batches_are_lost_on_the_way_down(self):
        self.lose_way_down()

    def test_jobs_are_lost_on_the_way_down(self):
        self.lose_way_down('--fresh')

    def test_a_muxd_between_is_killed_again_and_again(self):
        """At any moment, with whatever is on its way then."""
        dice = random.Random(18)
        self.write('go', '')
        run, node, path, muxd = self.start_tree('--fresh')
        self.write('crew', '')
        for _ in range(10):
            if run.poll() is not None:
                break
            time.sleep(dice.uniform(0, 0.2))
            muxd.kill()
            muxd.wait()
            os.unlink(path)
            muxd = self.start_muxd(node, path)
            self.until(lambda: run.poll() is not None or self.ctl(node, 'undrain', '1/0').returncode == 0, 'the agent')
        self.all_pass(run)


if __name__ == '__main__':
    unittest.main()
