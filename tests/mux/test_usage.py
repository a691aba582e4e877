"""Help, wrong usage, terminals, and a stdout that cannot be written."""
import errno
import os
import re
import select

from command import *

SUBCOMMANDS = ('run', 'cat', 'top', 'route', 'send', 'encode', 'ctl', 'exec', 'agent', 'tail', 'attach', 'wait', 'load',
               'runs', 'show', 'last', 'failing', 'slowest', 'history', 'diff', 'store')
STREAM = packet(test_id='t', test_status='success') * 20000  # more than all buffers hold
JSON = b'{"test_id": "t"}\n' * 50000
FAILURES = packet(test_id='t' * 50, test_status='fail') * 20000
HELP = [['--help'], ['--version'], *([name, '--help'] for name in SUBCOMMANDS)]


class Help(Case):
    def test_main(self):
        output = self.fine(mux('--help')).decode()
        for name in SUBCOMMANDS:
            self.assertRegex(output, r'(?m)^  %s +\w' % name)
        self.assertEqual(re.findall(r'(?m)^  ([a-z]+) ', output), list(SUBCOMMANDS))

    def test_subcommands(self):
        """Usage, an example and the exit codes, on lines that fit a terminal."""
        for name in SUBCOMMANDS:
            output = self.fine(mux(name, '--help')).decode()
            self.assertTrue(output.startswith('usage: mux %s ' % name))
            self.assertRegex(output, r'(?m)^  .*\bmux %s' % name)
            self.assertIn('Exit codes: 0', output)
            self.assertLessEqual(max(map(len, output.splitlines())), 100)

    def test_version(self):
        self.assertRegex(self.fine(mux('--version')).decode(), r'^mux \d+\.\d+\.\d+\n$')


class Wrong(Case):
    WRONG = (
        ([], 'usage: mux SUBCOMMAND'),
        (['bogus'], "mux: there is no subcommand 'bogus'"),
        (['--bogus'], "mux: there is no subcommand '--bogus'"),
        (['cat', '--bogus'], "mux cat: there is no option '--bogus' (mux cat --help lists"),
        (['cat', '-j'], "mux cat: there is no option '-j' (mux cat --help lists"),
        (['cat', '--jsom'], 'did you mean --json?'),
        (['cat', '--json=yes'], "option '--json' takes no value"),
        (['cat', '--json', '-xy'], "there is no option '-x'"),
        (['tpo'], 'did you mean mux top?'),
        (['route'], 'mux route: give --prefix SEGMENT or --strip'),
        (['route', '--strip', '--prefix', 'a'], 'mux route: give --prefix SEGMENT or --strip'),
        (['route', '--strip', 'file'], 'stdin'),
        (['route', '--prefix'], "mux route: option '--prefix' needs a value"),
        (['route', '--prefix', ''], "--prefix '': a segment is 1 to 255 bytes"),
        (['route', '--prefix', 'a/b'], "--prefix 'a/b': a segment is 1 to 255 bytes"),
        (['route', '--prefix', 'x' * 256], 'a segment is 1 to 255 bytes'),
        (['route', '--prefix', b'\xff'], 'a segment is 1 to 255 bytes'),
        (['send'], 'mux send ENDPOINT'),
        (['send', 'a', 'b', 'c'], 'mux send ENDPOINT'),
        (['send', '-'], 'ENDPOINT first, then FILE, as in mux send build7 -'),
        (['send', __file__], 'ENDPOINT first, then FILE, as in mux send build7 ' + __file__),
        (['send', __file__, 'build7'], 'no network address but a file here'),
        (['encode', 'a', 'b'], 'mux encode: one file at most'),
        (['exec'], 'mux exec: which command?'),
        (['exec', '--to', 'mux:', '--', 'true'], 'expected mux:HOST:PORT or mux:unix:PATH'),
    )

    def test_wrong(self):
        for arguments, message in self.WRONG:
            with self.subTest(arguments):
                done = mux(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, b''))
                self.assertIn(message, done.stderr.decode('utf-8', 'replace'))

    def test_longest_prefix(self):
        """The longest prefix, one byte shorter than in test_wrong."""
        self.assertEqual(self.fine(mux('route', '--prefix', 'x' * 255, stream=packet(test_id='t'))),
                         packet(test_id='t', route_code='x' * 255))


class Stdin(Case):
    def test_closed(self):
        """A closed stdin is an error where it is needed, as an unreadable file is."""
        for arguments in (['cat'], ['cat', '--json', '-'], ['top'], ['route', '--strip'], ['encode'],
                          ['send', '127.0.0.1:1'], ['send', '127.0.0.1:1', '-']):
            for redirection in ('<&-', '0>/dev/null'):
                with self.subTest(arguments, redirection=redirection):
                    done = subprocess.run(['sh', '-c', 'exec "$@" ' + redirection, 'sh', MUX, *arguments],
                                          capture_output=True, text=True, timeout=PATIENCE)
                    self.assertEqual((done.returncode, done.stdout), (1, ''))
                    self.assertEqual(done.stderr, 'mux %s: stdin is closed, or not open for reading\n'
                                     % arguments[0])

    def test_closed_but_not_needed(self):
        path = self.file(packet(test_id='t', test_status='success'))
        done = subprocess.run(['sh', '-c', 'exec "$@" <&-', 'sh', MUX, 'top', path],
                              capture_output=True, timeout=PATIENCE)
        self.fine(done)


class Stdout(Case):
    ALL = ((['cat'], STREAM), (['cat', '--json'], STREAM), (['route', '--strip'], STREAM),
           (['encode'], JSON), (['top'], FAILURES))

    def test_terminal(self):
        """Packets never go to a terminal: refused, with a message."""
        for arguments in (['route', '--prefix', 'x'], ['route', '--strip'], ['encode']):
            master, slave = self.terminal()
            done = subprocess.run([MUX, *arguments], stdin=subprocess.DEVNULL, stdout=slave,
                                  stderr=subprocess.PIPE, timeout=PATIENCE)
            os.close(slave)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b'stdout is a terminal', done.stderr)
            self.nothing_left(master)

    def nothing_left(self, master):
        with self.assertRaises(OSError) as caught:
            os.read(master, 1)
        self.assertEqual(caught.exception.errno, errno.EIO)  # hung up, and nothing was written

    def test_full(self):
        """A full disk is an error with one message, found while writing or at the end."""
        path = self.file(packet(test_id='t'))
        few = ((['cat', path, path, '/nonexistent'], b''), (['cat', '--json'], b'chatter'),
               (['route', '--strip'], packet(test_id='t')), (['encode'], b'{"test_id": "t"}\n'),
               (['top'], b''), *((arguments, b'') for arguments in HELP))
        for arguments, stream in self.ALL + few:
            with self.subTest(arguments), open('/dev/full', 'wb') as full:
                done = subprocess.run([MUX, *arguments], input=stream, stdout=full,
                                      stderr=subprocess.PIPE, timeout=PATIENCE)
                self.refused(arguments, done, 'No space left on device')

    def refused(self, arguments, done, why):
        name = 'mux' if arguments[0].startswith('-') else 'mux ' + arguments[0]
        self.assertEqual((done.returncode, done.stderr.decode()),
                         (1, '%s: stdout: %s\n' % (name, why)))

    def test_closed(self):
        """A closed stdout is an error, too; its number is never reused for another file."""
        for arguments, stream in (*self.ALL, *((arguments, b'') for arguments in HELP)):
            with self.subTest(arguments):
                done = subprocess.run(['sh', '-c', 'exec "$@" >&-', 'sh', MUX, *arguments],
                                      input=stream, stderr=subprocess.PIPE, timeout=PATIENCE)
                self.refused(arguments, done, 'Bad file descriptor')

    def test_non_blocking(self):
        """Another process made the pipe non-blocking: mux waits for it, and everything arrives."""
        for arguments, stream in self.ALL:
            with self.subTest(arguments):
                expected = mux(*arguments, stream=stream)
                self.assertGreater(len(expected.stdout), 150000)  # more than a pipe and a buffer hold
                self.assertEqual(self.read_late(arguments, stream),
                                 (expected.returncode, expected.stdout))

    def read_late(self, arguments, stream):
        """(exit code, stdout) of a run whose stdout is a non-blocking pipe that is full for a moment."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with open(self.file(stream), 'rb') as file:
            process = self.start(*arguments, stdin=file, stdout=writer)
        self.until(lambda: not select.select([], [writer], [], 0)[1], 'a full pipe')
        self.sleeps(process)
        os.close(writer)
        with open(reader, 'rb') as file:
            output = file.read()
        self.assertEqual(process.stderr.read(), b'')
        return process.wait(PATIENCE), output

    def sleeps(self, process):
        """Waits until mux is found asleep many times in a row."""
        def is_asleep():
            time.sleep(0.01)
            with open('/proc/%d/stat' % process.pid) as file:
                return file.read().rpartition(')')[2].split()[0] == 'S'
        self.until(lambda: all(is_asleep() for _ in range(20)), 'mux to sleep')
        self.assertIsNone(process.poll())

    def test_reader_gone(self):
        """As after `| head -1`: no message."""
        for arguments, stream in self.ALL:
            with self.subTest(arguments):
                reader, writer = os.pipe()
                os.close(reader)
                done = subprocess.run([MUX, *arguments], input=stream, stdout=writer,
                                      stderr=subprocess.PIPE, timeout=PATIENCE)
                os.close(writer)
                self.assertEqual((done.returncode, done.stderr), (1, b''))


if __name__ == '__main__':
    unittest.main()
