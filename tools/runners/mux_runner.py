"""The process of a runner that `mux run` starts: its streams, its command line and its batches.

    python3 ADAPTOR --list -- ARGS...             one event `exists` a test; status 2 when some cannot be loaded
    python3 ADAPTOR --load-list FILE -- ARGS...   runs the ids in FILE, one a line
    python3 ADAPTOR --pdb FILE -- ARGS...         the same; its streams are a terminal, on which each failure is debugged
    python3 ADAPTOR --serve -- ARGS...            loads the tests once; stdin gives batches, a line of JSON each:
                                                  {"batch": 3, "ids": ["a", "b"]}; the end of stdin ends it

The status is 0 when tests fail, too: the events say that. Behind the last event of a batch comes one with file
`runner.batch` and the number of the batch, and no test id. Ids that are not known are named in a file `unknown`.

Packets go to a descriptor of their own. What python prints becomes file `stdout` of the test in progress, at
once. Descriptor 1 is stderr: what children and libraries write there is as live, cannot damage a packet, and is
not lost with a process that crashes.
"""
import atexit
import fcntl
import gc
import io
import os
import signal
import sys
import threading

import mux_debug
import mux_subunit

USAGE = 'usage: %s --list|--load-list FILE|--pdb FILE|--serve -- ARGS...'

# The beginning of a line that is a batch. In a text of JSON it cannot stand: its quotes would be escaped.
BATCH = b'{"batch"'

# Descriptors that nobody closes by accident: beyond those that a daemon's start closes in a loop.
HIGH_FD = 1000


def _dup_high(fd):
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD)
    except OSError:  # the limit is lower
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _ensure_open(fd, flags):
    try:
        os.fstat(fd)
    except OSError:
        os.dup2(os.open(os.devnull, flags), fd)


class _Prints(io.RawIOBase):
    """What python writes to sys.stdout: the file `stdout` of the test in progress."""
    name = '<stdout>'
    mode = 'wb'

    def __init__(self, stream):
        self._stream = stream

    def writable(self):
        return True

    def fileno(self):
        return 1

    def write(self, data):
        data = bytes(data)
        if self._stream.is_child:
            return os.write(1, data)
        self._stream.file(self._stream.test, 'stdout', data, eof=False)
        return len(data)


class Test:
    """The test in progress: its files, and how it ends."""

    # A test may fail, and so in several ways: in itself, and when it is torn down. The worst counts.
    _FROM_BEST = 'success', 'skip', 'xfail', 'uxsuccess', 'fail'

    def __init__(self, runner, name, tags=()):
        self.id, self.status = name, None
        self._runner, self._stream = runner, runner.stream
        self._file_counts = {}
        self._failed_parts = []
        self._stream.test = name
        self._stream.event(name, 'inprogress', tags=tags)

    def count(self, status):
        if self.status is None or self._FROM_BEST.index(status) > self._FROM_BEST.index(self.status):
            self.status = status

    def file(self, name, content, mime=mux_subunit.TEXT):
        """Files of one name are traceback, traceback-1, ... as testtools counts them."""
        count = self._file_counts.get(name, 0)
        self._file_counts[name] = count + 1
        self._runner.flush()
        self._stream.file(self.id, '%s-%d' % (name, count) if count else name, content, mime)

    def text(self, name, text):
        self.file(name, mux_subunit.clean(text).encode())

    def part(self, name, status, file_name, text, short=None):
        """A sub-test ended, which cannot be run by itself. One that fails lets the test fail: short says why."""
        self._runner.flush()
        self._stream.text(name, file_name, text, runnable=False)
        self._stream.event(name, status, runnable=False)
        if status == 'fail':
            own = name[len(self.id):].strip() if name.startswith(self.id) else name
            self._failed_parts.append('%s: %s\n' % (own, short or last_line(text)))

    def end(self, tags=()):
        if self._failed_parts:
            self.count('fail')
            self.text('traceback', 'These sub-tests failed:\n' + ''.join(self._failed_parts))
        self._runner.after_test()
        self._stream.event(self.id, self.status, tags=tags)
        self._stream.test = None


def last_line(traceback):
    """Of a traceback: the line that names the exception."""
    lines = traceback.strip().splitlines()
    unindented = [line for line in lines if not line.startswith((' ', 'Traceback'))]
    return (unindented or lines or [''])[0]


class Runner:
    """mode ('list', 'load-list' or 'serve'), arguments, ids of the list, stream.

    is_interrupted: a SIGINT came. debugs: each test that fails is debugged.
    """

    def __init__(self, module):
        """module: the one that `python3 -m` would run in this one's place."""
        self.is_interrupted = False
        gc.disable()  # while tests are loaded: little of that is garbage, and looking for it takes a fifth of the time
        self._read_command_line()
        self._take_streams()
        self._look_like(module)
        if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
            self.catch_interrupts()

    def catch_interrupts(self):
        signal.signal(signal.SIGINT, self._interrupt)

    # The command line

    def _read_command_line(self):
        name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
        front = words[:words.index('--')] if '--' in words else words
        self.arguments = words[len(front) + 1:]
        self.mode = front[0][2:] if front else None
        self.debugs = self.mode == 'pdb'
        wanted = {'list': 1, 'load-list': 2, 'pdb': 2, 'serve': 1}
        if not front or front[0][:2] != '--' or wanted.get(self.mode) != len(front):
            sys.exit(USAGE % name)
        if self.debugs:
            self.mode = 'load-list'
        if self.mode == 'load-list':
            self._read_ids(front[1])

    def _read_ids(self, path):
        try:
            with open(path, 'rb') as ids:
                lines = ids.read().decode('utf-8', 'backslashreplace').split('\n')
        except OSError as error:
            sys.exit('%s cannot be read: %s' % (path, error.strerror))
        self.ids = [line.rstrip('\r') for line in lines if line.rstrip('\r')]

    def _look_like(self, module):
        """sys.path, sys.argv and __main__ as for `python3 -m MODULE ARGS...`."""
        folder = os.path.dirname(os.path.abspath(__file__))
        sys.path[:] = [path for path in sys.path if os.path.abspath(path or '.') != folder]
        if not getattr(sys.flags, 'safe_path', False):
            sys.path.insert(0, os.getcwd())
        sys.argv[:] = ['python3 -m ' + module] + self.arguments
        # multiprocessing would load this file again in each child that it spawns.
        sys.modules['__main__'].__spec__ = type(sys.__spec__)(module + '.__main__', None)

    # Streams

    def _take_streams(self):
        _ensure_open(0, os.O_RDONLY)
        _ensure_open(2, os.O_WRONLY)
        self._stderr = _dup_high(2)
        self.stream = mux_subunit.Stream(_dup_high(1), self.complain)
        os.dup2(2, 1)
        self._take_stdin()
        self._encoding = getattr(sys.stdout, 'encoding', 'utf-8')
        self._open_prints()
        os.register_at_fork(before=self.flush)

    def _take_stdin(self):
        """What comes there is for debuggers, whatever tests do to python's stdin, and no test reads batches."""
        self._stdin = os.fdopen(_dup_high(0), 'rb')
        self._ahead = []  # batches that came while a debugger read
        if self.mode == 'serve':
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        has_terminal = self.debugs and os.isatty(0)
        self.debugging = mux_debug.Debugging(self, self._stdin.fileno() if has_terminal else None)

    def read_key_line(self):
        """What was typed, with its newline; nothing at the end."""
        while True:
            line = self._stdin.readline()
            if BATCH not in line:
                return line
            self._ahead.append(line)

    def _open_prints(self):
        self._prints = io.TextIOWrapper(io.BufferedWriter(_Prints(self.stream)), self._encoding,
                                        'backslashreplace', line_buffering=True)
        sys.stdout = sys.__stdout__ = self._prints

    def complain(self, text):
        name = mux_subunit.clean('%s: %s\n' % (sys.argv[0], text))
        os.write(self._stderr, name.encode())

    def flush(self):
        try:
            self._prints.flush()
        except (ValueError, RuntimeError):  # a test closed it, or a signal came in the middle of a flush
            pass

    def after_test(self):
        """Flushes what it printed and opens again what it closed. A child that it forked ends here."""
        self.flush()
        if self.stream.is_child:
            os._exit(1)
        self.debugging.after_test()
        for fd in 1, 2:
            try:
                os.fstat(fd)
            except OSError:
                os.dup2(self._stderr, fd)
        if self._prints.closed:
            self._open_prints()

    # Batches

    def batches(self):
        """What to run: lists of ids. Says behind each that it was run."""
        gc.enable()
        if self.mode == 'load-list':
            yield self.ids
            return
        import json
        for line in self._batch_lines():
            number, ids = self._read_batch(json, line)
            yield ids
            self.flush()
            self.stream.text(None, 'runner.batch', str(number))

    def _batch_lines(self):
        """Other lines were typed when no debugger was there to read them."""
        while True:
            line = self._ahead.pop(0) if self._ahead else self._stdin.readline()
            if BATCH in line:
                yield line[line.rindex(BATCH):]
            elif line:
                self.complain('no debugger waits: what was typed is dropped')
            else:
                return

    def _read_batch(self, json, line):
        try:
            batch = json.loads(line)
            number, ids = batch['batch'], batch['ids']
            if type(number) is int and type(ids) is list and all(type(one) is str for one in ids):
                return number, [mux_subunit.clean(one) for one in ids]
        except (ValueError, KeyError, TypeError):
            pass
        self.end(2, 'this line on stdin is no batch: %.200r' % line)

    def unknown(self, ids):
        if ids:
            self.stream.text(None, 'unknown', ''.join(one + '\n' for one in ids))

    # The end

    def _interrupt(self, number, frame):
        self.is_interrupted = True
        signal.default_int_handler(number, frame)

    def cannot_load(self, text):
        """Tests cannot be loaded: says which, and why. A run goes on, with those that can."""
        self.stream.text(None, 'import errors', text, runnable=False)

    def end(self, status, text=None):
        """Ends the process. Does not wait for threads that tests have left."""
        if text:
            self.complain(text)
        self.flush()
        if self.is_interrupted:
            atexit._run_exitfuncs()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        left = [thread.name for thread in threading.enumerate()
                if not thread.daemon and thread is not threading.main_thread()]
        if not left:
            sys.exit(status)
        self.complain('tests left these threads: %s' % ', '.join(left))
        atexit._run_exitfuncs()
        self.flush()
        os._exit(status)
