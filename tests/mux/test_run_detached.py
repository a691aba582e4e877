"""Runs that go on by themselves: waiting for one, coming back to it."""
import json
import signal

from tmux import *

# A test that ends when there is a file "go".
WAITS = '>begun; until [ -e go ]; do sleep 0.05; done'


class Detached:
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
        Case.until(self, lambda: os.path.exists(os.path.join(self.place, 'begun')), 'the test to begin')


class Wait(Detached, Case):
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


class Attach(Detached, Terminal):
    """mux attach RUN, in tmux."""

    def setUp(self):
        Terminal.setUp(self)

    def detach(self, *tests, options=()):
        """Starts a run that goes on by itself. Its name, and its process."""
        done = self.run_mux(*self.words(*tests, options=('--detach', *options)))
        self.assertEqual((done.returncode, done.stderr), (0, b''))
        name, process = re.match(r'run (\w{8}) goes on by itself \(process (\d+)\)\n'
                                 r'see it: mux attach \1        its end: mux wait \1\n$', done.stdout.decode()).groups()
        self.addCleanup(self.end, int(process))
        return name, int(process)

    def end(self, process):
        self.go()
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:
            pass

    def attach(self, *words, before=''):
        self.keys(' '.join((before, MUX, 'attach', *words)) + '; echo "attach: $?"', 'Enter')

    def wait_for(self, name='last'):
        return self.run_mux('wait', name).returncode

    def test_there_and_back(self):
        """What failed before one came is told; the run goes on when one leaves, and ends in front of who stays."""
        name, _ = self.detach('echo why; exit 1', WAITS, 'true')
        Case.until(self, lambda: b'fail' in self.run_mux('show', '--failures', '--json').stdout, 'the failure')
        self.until_runs()
        self.attach(name[:5])
        text = self.until(r'^  1 failed, 1 passed, 0 skipped')
        self.assertRegex(text, r'(?m)^run %s: 3 tests \(exec\), 2 slots' % name)
        self.assertRegex(text, r'(?m)^FAIL  echo why; exit 1')
        self.assertRegex(text, r'(?m)^  \d +>begun')
        self.assertRegex(text, r'(?m)^  f failures .* q quit the run  \^\] leave')
        self.keys('f')
        self.until('^  1 failures, page 1 of 1')
        self.tmux('resize-window', '-x', '40', '-y', '12')
        text = self.until(r'^  f s o d q n p$')
        self.assertLessEqual(max(map(len, text.splitlines())), 40)
        self.keys('C-]')
        text = self.until('^attach: 0')
        self.assertNotIn('page 1 of 1', text)
        self.assertIn('goeson', re.sub(r'\s', '', text))
        self.keys('clear', 'Enter')
        self.tmux('resize-window', '-x', '100', '-y', '30')
        self.attach()
        self.until(r'^  1 failed, 1 passed, 0 skipped')
        self.go()
        text = self.until('^attach: 0')
        self.assertRegex(text, r'(?m)^run %s failed: 1 failed, 2 passed in ' % name)
        self.assertRegex(text, r'(?m)^FAIL   echo why; exit 1')
        self.assertEqual(self.wait_for(name), 1)
        self.keys('echo "x"', 'Enter')  # the terminal is as it was: with an echo
        self.until(r'^.*[#$] echo "x"\nx$')

    def test_terminal_ends(self):
        self.detach(WAITS)
        self.until_runs()
        self.attach()
        self.until('0 of 1')
        self.tmux('respawn-pane', '-k', 'exec bash --norc')
        self.until('0 of 1', absent=True)
        self.attach()
        self.until('0 of 1')
        self.keys('C-c')
        self.until('^attach: 130')
        self.go()
        self.assertEqual(self.wait_for(), 0)

    def test_quit(self):
        """Of two that are attached each sees what the other does."""
        self.detach(WAITS, options=('--grace', '100ms'))
        self.until_runs()
        lines = self.start_attach()
        self.attach()
        self.until('0 of 1')
        self.keys('q')
        text = self.until('^attach: 0')
        self.assertRegex(text, r'(?m)^run \w+ interrupted: 1 failed in ')
        output = lines.communicate(timeout=PATIENCE)
        self.assertIn(b'interrupted: no new tests', output[0])
        self.assertRegex(output[0], rb'(?m)^run \w+ interrupted: 1 failed in ')
        self.assertNotIn(b'\033', output[0])
        self.assertEqual(self.wait_for(), 130)

    def start_attach(self, *words):
        """Without a terminal: lines."""
        process = Case.start(self, 'attach', *words, cwd=self.place, stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        return process

    def test_killed(self):
        _, process = self.detach(WAITS)
        self.until_runs()
        lines = self.start_attach()
        self.assertIn(b'1 test ', lines.stdout.readline())
        os.kill(process, signal.SIGKILL)
        self.assertEqual(lines.wait(PATIENCE), 0)
        self.assertEqual(self.wait_for(), 75)
        done = self.run_mux('attach')
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'mux attach: no run goes on in the store in ', done.stderr)

    def test_hangs(self):
        """Viewers that read nothing, send rubbish, or are too many: the run does not notice."""
        import socket
        name, _ = self.detach(*('exit 1; : %d' % i for i in range(50)), WAITS)
        runs = os.path.join(self.place, '.mux', 'runs')
        with open(os.path.join(runs, next(entry for entry in os.listdir(runs) if entry.endswith('.live')))) as file:
            live = json.load(file)
        path = live['screen'][len('unix:'):]
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

        def connect():
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.settimeout(PATIENCE)
            client.connect(path)
            return client
        window = packet(file_name='muxd.window', file_bytes=b'{"v":1,"rows":100,"columns":300,"keys":true,"utf8":true}')
        for rubbish in (b'rubbish\n', b'\xb3' * 5000, os.urandom(5000), packet(file_name='muxd.window', file_bytes=b'{"v":1,"rows":-1}'),
                        packet(file_name='muxd.window', file_bytes=b'\xff'), packet(file_name='stdin', file_bytes=b'q' * 100000)):
            client = connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            try:
                client.sendall(rubbish)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except ConnectionError:
                pass
        deaf = [connect() for _ in range(8)]
        for client in deaf:
            client.sendall(window + packet(file_name='stdin', file_bytes=b'fsfsnp \033[Azz\0' * 50))
        self.assertIn(b'too many are attached', connect().recv(100))
        deaf.pop().close()
        Case.until(self, lambda: b'51 tests ' in self.start_attach(name).stdout.readline(), 'a place')
        self.go()
        self.assertEqual(self.wait_for(name), 1)
        run = json.loads(self.run_mux('wait', '--json', name).stdout)
        self.assertEqual((run['counts']['fail'], run['counts']['success']), (50, 1))

    def test_start_fails(self):
        """What goes wrong while it starts is said where it was started; what cannot be come back to is refused."""
        done = self.run_mux('run', '--detach', '--runner', 'bogus', '--', 'true')
        self.assertEqual((done.returncode, done.stdout), (2, b''))
        self.assertIn(b'bogus', done.stderr)
        open(os.path.join(self.place, 'file'), 'w').close()
        done = self.run_mux(*self.words('true', options=('--detach', '--store', 'file')))
        self.assertEqual((done.returncode, done.stdout), (75, b''))
        self.assertIn(b'mux run: the store: ', done.stderr)
        for option in ('--no-store', '--list', '--analyze-isolation'):
            done = self.run_mux(*self.words('true', options=('--detach', option)))
            self.assertEqual(done.returncode, 2)
            self.assertIn(b'--detach', done.stderr)
        for wrong in (('attach', 'unix:/nowhere'), ('attach', '--store', 'x', 'unix:/a', '3')):
            self.assertEqual(self.run_mux(*wrong).returncode, 2, wrong)


if __name__ == '__main__':
    unittest.main()
