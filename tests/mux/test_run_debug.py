"""mux run: debuggers in tests, driven by mux attach from a terminal, while other slots go on."""
import fcntl
import re
import signal
import termios

from command import *

PYTHON = '/usr/bin/python3'

WAITS = '''
import time, unittest
class W(unittest.TestCase):
    def test_waits(self):
        secret = 6 * 7
        breakpoint()
        print('a print of the test')
        self.assertEqual(secret, 42)
'''
# It ends only when the test knows that the other one waits.
OTHER = '''
import os, time, unittest
class O(unittest.TestCase):
    def test_other(self):
        while not os.path.exists('other may end'): time.sleep(0.01)
        self.fail('it went on')
'''
FAILS = '''
import unittest
class F(unittest.TestCase):
    def test_1(self):
        secret = 6 * 7
        self.assertEqual(secret, 43)
    def test_2(self): pass
'''


class Terminal:
    """A mux on a terminal of its own, and what it shows."""

    def __init__(self, case, *arguments, **keywords):
        self.case = case
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        self.text = b''
        self.process = subprocess.Popen([MUX, *arguments], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env=dict(os.environ, TERM='xterm'), **keywords)
        os.close(slave)
        case.addCleanup(os.close, self.master)
        case.addCleanup(self.process.wait)
        case.addCleanup(self.process.kill)

    def receive(self):
        try:
            chunk = os.read(self.master, 65536)
        except OSError:  # nobody has the other side open
            chunk = b''
        self.text += chunk
        return chunk

    def until(self, words):
        """Until this is shown, behind what was waited for before."""
        while words not in self.text:
            self.case.assertTrue(self.receive(), self.text)
        self.text = self.text[self.text.index(words) + len(words):]

    def match(self, expression):
        while not (found := re.search(expression, self.text)):
            self.case.assertTrue(self.receive(), self.text)
        return found

    def type(self, keys):
        os.write(self.master, keys)

    def end(self, status):
        while self.receive():
            pass
        self.case.assertEqual(self.process.wait(PATIENCE), status, self.text)


class Lines:
    """A mux run without a terminal: its lines as they come."""

    def __init__(self, case, *arguments):
        self.case = case
        self.process = case.start('run', '--no-store', *arguments, cwd=case.place, stdin=subprocess.DEVNULL,
                                  stderr=subprocess.STDOUT, start_new_session=True)
        self.seen = ''

    def until(self, expression):
        """The first line from here on in which this is found."""
        while line := self.process.stdout.readline().decode():
            self.seen += line
            if re.search(expression, line):
                return line
        self.case.fail('it ended, without %r: %s' % (expression, self.seen))

    def attach(self):
        """To who waits next."""
        return Terminal(self.case, *self.until('^ +mux attach ').split()[1:])

    def end(self, status):
        self.seen += self.process.stdout.read().decode()
        self.case.assertEqual(self.process.wait(PATIENCE), status, self.seen)
        return self.seen


class Debugging(Case):
    def setUp(self):
        self.place = self.folder()

    def write(self, name, text):
        with open(os.path.join(self.place, name), 'w') as file:
            file.write(text)

    def test_breakpoint(self):
        """In runners that stay alive: keys arrive, prints are seen, the other slot goes on, the verdict is right."""
        self.write('test_w.py', WAITS)
        self.write('test_o.py', OTHER)
        for command, name in ((('-m', 'unittest', 'discover'), 'test_w.W.test_waits'),
                              (('-m', 'pytest', '-p', 'no:cacheprovider'), 'test_w.py::W::test_waits')):
            lines = Lines(self, '-n', '2', '--', PYTHON, *command)
            self.assertIn(name, lines.until('^WAIT .* at \\(Pdb\\)$'))
            terminal = lines.attach()
            terminal.until(b'(Pdb) ')
            self.write('other may end', '')
            lines.until('AssertionError: it went on$')
            terminal.type(b'p 1000 + secret\n')
            terminal.until(b'1042')
            terminal.type(b'n\n')
            terminal.until(b'a print of the test')
            terminal.type(b'secret = 43\n')
            terminal.type(b'c\n')
            self.assertIn(name, lines.until('^FAIL .*test_waits'))
            seen = lines.end(1)
            self.assertIn('43 != 42', seen)
            self.assertEqual(seen.count('WAIT '), seen.count('mux attach'))
            terminal.end(0)
            os.unlink(os.path.join(self.place, 'other may end'))

    def test_post_mortem(self):
        """With one slot on a terminal each failure is looked at there; its runner is told how it ended."""
        self.write('test_f.py', FAILS)
        for command in (('-m', 'unittest', 'discover'), ('-m', 'testtools.run', 'discover'),
                        ('-m', 'pytest', '-p', 'no:cacheprovider')):
            terminal = Terminal(self, 'run', '--no-store', '--pdb', '-n', '1', '--', PYTHON, *command,
                                cwd=self.place)
            terminal.until(b'WAIT ')
            terminal.until(b'mux attach unix:')
            terminal.until(b'(Pdb) ')
            terminal.type(b'p 1000 + secret\r')
            terminal.until(b'1042')
            terminal.until(b'(Pdb) ')
            terminal.type(b'c\r')
            terminal.until(b'FAIL  test_f')
            terminal.until(b'43')
            terminal.until(b'failed: 1 failed, 1 passed in ')
            terminal.end(1)

    def test_detached(self):
        """The key that detaches leads back to the view, which says how to attach."""
        self.write('test_f.py', FAILS)
        run = Terminal(self, 'run', '--no-store', '--pdb', '-n', '1', '--', PYTHON, '-m', 'unittest', 'discover', cwd=self.place)
        run.until(b'(Pdb) ')
        run.type(b'\x1d')
        run.until(b'detached')
        place = run.match(b'mux attach (unix:\\S+) (\\S+)\r')
        terminal = Terminal(self, 'attach', place[1].decode(), place[2].decode())
        terminal.until(b'(Pdb) ')
        terminal.type(b'q\r')
        run.until(b'failed: 1 failed, 1 passed in ')
        run.end(1)

    def runner_pids(self):
        """Of the processes that run in this test's folder, but for mux itself."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.readlink('/proc/%s/cwd' % pid) == self.place and \
                        os.path.basename(os.readlink('/proc/%s/exe' % pid)).startswith('python'):
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def waiting(self, *arguments):
        """A run without a terminal, two tests of which wait where they failed, and who is attached to them."""
        self.write('test_f.py', FAILS.replace('def test_2(self): pass', 'def test_2(self): self.assertEqual(8, 9)'))
        lines = Lines(self, '--pdb', '--progress', 'plain', '-n', '2', *arguments, '--', PYTHON, '-m', 'unittest', 'discover')
        terminals = [lines.attach(), lines.attach()]
        for terminal in terminals:
            terminal.until(b'(Pdb) ')
        return lines, terminals

    def test_two_wait(self):
        """Each has its own terminal; who of them goes on first does not matter."""
        lines, terminals = self.waiting()
        for terminal in terminals:
            terminal.type(b'p self.id(), 1000 + 1\r')
        self.assertEqual({terminal.match(rb'test_f\.F\.(test_\d)[^\r]* 1001\)')[1] for terminal in terminals},
                         {b'test_1', b'test_2'})
        terminals[0].type(b'\x03')  # a key like any other
        terminals[0].until(b'--KeyboardInterrupt--')
        terminals[0].until(b'(Pdb) ')  # what is typed before may be lost: python begins a new line
        for terminal in reversed(terminals):
            terminal.type(b'c\r')
            lines.until('^FAIL ')
        self.assertIn('failed: 2 failed in ', lines.end(1))

    def test_interrupted(self):
        """Ctrl-C while somebody is at a prompt: who is attached is told, and nothing is left."""
        lines, terminals = self.waiting('--grace', '100ms')
        self.assertNotEqual(self.runner_pids(), [])
        lines.process.send_signal(signal.SIGINT)
        self.assertIn('interrupted: 2 failed in ', lines.end(130))
        for terminal in terminals:
            terminal.until(b'mux attach: ')
            terminal.process.wait(PATIENCE)
            self.assertTrue(termios.tcgetattr(terminal.master)[3] & termios.ICANON)
        self.until(lambda: not self.runner_pids(), 'the end of the runners')

    def test_killed_while_it_waits(self):
        """kill -9 of a runner at its prompt: its test runs again, alone, and the other still waits."""
        lines, terminals = self.waiting()
        terminals[0].type(b'import os; print("pid", os.getpid())\r')
        pid = int(terminals[0].match(rb'pid (\d+)\r')[1])
        os.kill(pid, signal.SIGKILL)
        terminals[0].until(b'SIGKILL')
        terminals[0].process.wait(PATIENCE)
        terminals[1].process.kill()  # who looks may die, too
        terminals[1].process.wait()
        for terminal in (lines.attach(), Terminal(self, *terminals[1].process.args[1:])):
            terminal.until(b'(Pdb) ')
            terminal.type(b'q\r')
            lines.until('^FAIL ')
        self.assertIn('failed: 2 failed in ', lines.end(1))

    def test_pdb_where_nobody_is(self):
        done = mux('run', '--no-store', '--pdb', '--', PYTHON, '-m', 'unittest')
        self.assertEqual((done.returncode, done.stdout), (2, b''))
        self.assertIn(b'--progress plain', done.stderr)
        done = mux('run', '--no-store', '--pdb', '--progress', 'plain', '--runner', 'exec', '--', 'false')
        self.assertEqual(done.returncode, 2)
        self.assertIn(b'the runner exec has no debugger', done.stderr)
        self.write('test_f.py', FAILS)
        lines = Lines(self, '--pdb', '--progress', 'plain', '--', PYTHON, '-m', 'unittest', 'discover')
        terminal = lines.attach()
        terminal.until(b'(Pdb) ')
        terminal.type(b'c\r')
        self.assertIn('failed: 1 failed, 1 passed in ', lines.end(1))


if __name__ == '__main__':
    unittest.main()
