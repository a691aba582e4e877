"""Runs that go on by themselves: waiting for one, coming back to it."""
import json
import signal

from command import *

# A test that ends when there is a file "go".
WAITS = '>begun; until [ -e go ]; do sleep 0.05; done'


class Case(Case):
    def setUp(self):
        self.place = self.folder()

    def go(self):
        open(os.path.join(self.place, 'go'), 'w').close()

    def words(self, *tests, options=()):
        return ['run', '-n', '2', *options, '--runner', 'exec', '--', *tests]

    def run_mux(self, *words):
        return mux(*words, cwd=self.place)

    def wait(self, *words):
        return self.start('wait', *words, cwd=self.place, stdin=subprocess.DEVNULL)

    def until_runs(self):
        self.until(lambda: os.path.exists(os.path.join(self.place, 'begun')), 'the test to begin')


class Wait(Case):
    def test_ended(self):
        """The exit status of who ran it, whatever its verdict."""
        for status, words in ((0, self.words('true')), (1, self.words('exit 1', 'true')),
                              (4, self.words('true', options=('--exclude', '.'))),
                              (0, self.words('true', options=('--exclude', '.', '--allow-empty')))):
            self.assertEqual(self.run_mux(*words).returncode, status)
            done = self.run_mux('wait')
            self.assertEqual((done.returncode, done.stderr), (status, b''), words)
            self.assertRegex(done.stdout.decode(), r'^run [0-9a-f]{8} (passed|failed|nothing ran): ')
        run = json.loads(self.run_mux('wait', '--json').stdout)
        self.assertEqual((run['verdict'], run['exit']), ('nothing', 0))
        self.assertEqual(self.run_mux('wait', 'last-2').returncode, 1)

    def test_goes_on(self):
        """Any number may wait. A run that does not end is waited for."""
        running = self.start(*self.words(WAITS, 'exit 1'), cwd=self.place, stdin=subprocess.DEVNULL)
        self.until_runs()
        waiters = [self.wait(), self.wait('last')]
        interrupted = self.wait()
        interrupted.send_signal(signal.SIGINT)
        self.assertEqual(interrupted.wait(PATIENCE), -signal.SIGINT)
        self.assertEqual([waiter.poll() for waiter in waiters], [None, None])
        self.go()
        self.assertEqual(running.wait(PATIENCE), 1)
        for waiter in waiters:
            output = waiter.communicate(timeout=PATIENCE)
            self.assertEqual((waiter.returncode, output[1]), (1, b''))
            self.assertIn(b'failed: 1 failed, 1 passed', output[0])

    def test_killed(self):
        """Nobody says how it went."""
        running = self.start(*self.words(WAITS), cwd=self.place, stdin=subprocess.DEVNULL)
        self.until_runs()
        waiter = self.wait()
        running.kill()
        output = waiter.communicate(timeout=PATIENCE)
        self.assertEqual(waiter.returncode, 75, output)
        self.assertRegex(output[0].decode(), r'^run [0-9a-f]{8} cut off: 1 did not end$')
        self.go()

    def test_loaded(self):
        for status, stream in ((0, packet(test_id='t', test_status='success')), (1, packet(test_id='t', test_status='fail')), (4, b'')):
            mux('load', '-', stream=stream, cwd=self.place)
            self.assertEqual(self.run_mux('wait').returncode, status)

    def test_wrong(self):
        done = self.run_mux('wait')
        self.assertEqual(done.returncode, 2)
        self.assertIn(b'mux wait: the store in', done.stderr)
        mux('load', '-', stream=b'', cwd=self.place)
        self.assertEqual(self.run_mux('wait', 'bogus').returncode, 2)
        self.assertEqual(self.run_mux('wait', 'last', 'last').returncode, 2)


if __name__ == '__main__':
    unittest.main()
