"""Debuggers in tests: pdb, and what is built on it, on the streams of the job.

Whatever a test, or pytest, did to python's own: what a debugger writes belongs to no test, so whoever looks at the
job sees that somebody is waited for, and what is typed there comes on the job's stdin. Under `mux run --pdb` both
are a terminal, and a test that fails is looked at where it failed.
"""
import io
import os
import signal
import sys
import threading
import types


class _Keys(io.TextIOBase):
    """What is typed."""

    def __init__(self, read_line):
        self._read_line = read_line

    def readable(self):
        return True

    def readline(self, size=-1):
        return self._read_line().decode('utf-8', 'replace')


class _Words(io.RawIOBase):
    """What a debugger says: file `stdout` of no test."""

    def __init__(self, runner):
        self._runner = runner

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        self._runner.stream.file(None, 'stdout', data, eof=False)
        return len(data)


class _Pipes:
    """The job's streams without a terminal: lines."""

    def __init__(self, runner):
        self.stdin = _Keys(runner.read_key_line)
        self.stdout = io.TextIOWrapper(io.BufferedWriter(_Words(runner)), 'utf-8', 'backslashreplace')

    def enter(self):
        return self.stdin, self.stdout

    def leave(self):
        self.stdout.flush()


class _Terminal:
    """The job's streams that are a terminal. Python's readline wants it as descriptors 0 and 1."""

    def __init__(self, fd):
        import termios
        self._termios = termios
        self._fd = fd
        self.stdin = open(fd, closefd=False)
        self.stdout = open(fd, 'w', closefd=False)
        self._depth = 0
        self._echo(False)

    def _echo(self, is_on):
        """Off while tests run: what is typed then would come between their packets. It is dropped."""
        modes = self._termios.tcgetattr(self._fd)
        modes[3] = modes[3] | self._termios.ECHO if is_on else modes[3] & ~self._termios.ECHO
        self._termios.tcsetattr(self._fd, self._termios.TCSAFLUSH, modes)

    def enter(self):
        self._depth += 1
        if self._depth == 1:
            self._before = [os.dup(fd) for fd in (0, 1)]
            for fd in 0, 1:
                os.dup2(self._fd, fd)
            self._echo(True)
        return open(0, closefd=False), open(1, 'w', closefd=False)

    def leave(self):
        self.stdout.flush()
        self._depth -= 1
        if self._depth == 0:
            self._echo(False)
            for fd in 0, 1:
                os.dup2(self._before[fd], fd)
                os.close(self._before[fd])


class Debugging:
    """Gives each debugger of this process the job's streams."""

    def __init__(self, runner, terminal=None):
        """terminal: a descriptor of it, if the job has one."""
        self._runner = runner
        self._terminal = terminal
        self._streams = None
        self._shown = None  # the exception that was looked at last
        self._had_debugger = False  # the test in progress; pdb's `continue` leaves it Ctrl-C
        if 'bdb' in sys.modules:
            self._take_over()
        else:
            sys.meta_path.insert(0, self)  # loading pdb takes as long as all of unittest

    def find_spec(self, name, path=None, target=None):
        """The first import of a debugger."""
        if name == 'bdb':
            sys.meta_path.remove(self)
            self._take_over()

    def _take_over(self):
        import cmd
        plain = cmd.Cmd.__init__

        def begin(debugger, completekey='tab', stdin=None, stdout=None):
            plain(debugger, completekey, stdin, stdout)
            if stdin is None and stdout is None and isinstance(debugger, sys.modules['bdb'].Bdb):
                self._adopt(debugger)

        cmd.Cmd.__init__ = begin

    def streams(self):
        if not self._streams:
            self._streams = _Pipes(self._runner) if self._terminal is None else _Terminal(self._terminal)
        return self._streams

    def _adopt(self, debugger):
        debugger.stdin, debugger.stdout = self.streams().stdin, self.streams().stdout
        interaction = debugger.interaction
        debugger.interaction = lambda *arguments: self._interact(interaction, arguments)

    def _interact(self, interaction, arguments):
        """Ctrl-C at the prompt breaks off a line, and not the run."""
        self._runner.flush()
        self._had_debugger = True
        before = sys.stdin, sys.stdout
        is_main = threading.current_thread() is threading.main_thread()
        ended_by = signal.getsignal(signal.SIGINT)
        if is_main:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdin, sys.stdout = self.streams().enter()
        frame, error, *more = arguments
        if isinstance(error, types.TracebackType):
            error = relevant(error)
        try:
            return interaction(frame, error, *more)
        finally:
            sys.stdout.flush()
            self.streams().leave()
            sys.stdin, sys.stdout = before
            if is_main and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
                signal.signal(signal.SIGINT, ended_by)

    def post_mortem(self, name, error, text):
        """Looks at where a test failed. text: the traceback as it is reported."""
        import pdb
        if error[2] is None or error[1] is self._shown or issubclass(error[0], (pdb.bdb.BdbQuit, KeyboardInterrupt)):
            return
        self._shown = error[1]
        debugger = pdb.Pdb()
        debugger.message('%s failed:\n%s' % (name, text))
        debugger.reset()
        debugger.interaction(None, error[2])

    def after_test(self):
        self._shown = None
        if self._had_debugger:
            self._runner.catch_interrupts()
            self._had_debugger = False


def relevant(traceback):
    """Without what of unittest is around the test, and below it."""
    entries = []
    while traceback:
        entries.append(traceback)
        traceback = traceback.tb_next
    own = [at for at, entry in enumerate(entries) if '__unittest' not in entry.tb_frame.f_globals]
    copy = None
    for entry in reversed(entries[own[0]:own[-1] + 1] if own else entries):
        copy = type(entry)(copy, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return copy
