"""Programs as tests, each in a process of its own: commands of a shell, and writers of TAP.

    python3 mux_scripts.py --serve|--load-list FILE -- exec              an id is a command for the shell
    python3 mux_scripts.py --serve|--load-list FILE -- tap               an id is a program that writes TAP
    python3 mux_scripts.py --list -- tap PROGRAM...                      status 2 if one of them cannot be run

mux_runner.py says what these do. What a program prints becomes files `stdout` and `stderr` of its test, at once.
"""
import os
import re
import selectors
import signal
import subprocess
import sys
import time

import mux_runner
import mux_subunit

SKIP_STATUS = 77  # as automake and meson have it

# What a program's children still hold open when it has ended is read for so long.
LINGER_S = 0.1


class Tap:
    """What a program says of itself by the Test Anything Protocol, versions 12 to 14.

    What is indented belongs to a sub-test or to a diagnosis: the line behind a sub-test says how that went.
    """
    RESULT = re.compile(r'(not )?ok\b\s*(\d+\b)?\s*(?:-\s+)?(.*)$')
    DIRECTIVE = re.compile(r'((?:[^\\#]|\\.)*)#\s*(todo|skip)\w*:?\s*(.*)$', re.I)
    PLAN = re.compile(r'1\.\.(\d+)\s*(?:#\s*(?:skip\w*:?\s*)?(.*))?$', re.I)
    BAIL_OUT = re.compile(r'\s*Bail out!\s*(.*)$')

    def __init__(self, test):
        self._test = test
        self._rest = b''
        self._count = 0
        self._plan = None
        self._plan_at = None    # how many results came before it
        self.skip_reason = None
        self.faults = []

    def take(self, data):
        *lines, self._rest = (self._rest + data).split(b'\n')
        for line in lines:
            self._take_line(line.decode('utf-8', 'backslashreplace').rstrip('\r'))

    def _take_line(self, line):
        result, plan, bail_out = (pattern.match(line) for pattern in (self.RESULT, self.PLAN, self.BAIL_OUT))
        if result:
            self._take_result(*result.groups())
        elif plan:
            self._take_plan(*plan.groups())
        elif bail_out:
            self.faults.append('it bailed out: %s' % (bail_out[1] or 'it does not say why'))

    def _take_plan(self, count, reason):
        if self._plan is not None:
            self.faults.append('it printed a second plan, 1..%s' % count)
            return
        self._plan, self._plan_at = int(count), self._count
        if self._plan == 0:
            self.skip_reason = reason or 'no reason given'

    def _take_result(self, not_ok, number, text):
        self._count += 1
        if number and int(number) != self._count:
            self.faults.append('its result %d has the number %s' % (self._count, number))
        directive = self.DIRECTIVE.match(text)
        text, kind, reason = directive.groups() if directive else (text, '', None)
        name = ' '.join(filter(None, (number or str(self._count), re.sub(r'\\([\\#])', r'\1', text).strip())))
        status = 'fail' if not_ok else 'success'
        if kind:
            status = 'skip' if kind.lower() == 'skip' else 'xfail' if not_ok else 'success'
        self._test.assertion(name, status, reason)
        if status == 'fail':
            self.faults.append('not ok %s' % name)

    def end(self):
        """Nothing more comes."""
        if self._rest:
            self.take(b'\n')
        if self._plan is None:
            self.faults.append('it printed no plan (1..%d): perhaps it ended too early' % self._count if self._count
                               else 'it printed no TAP')
        elif self._plan != self._count:
            self.faults.append('it planned %d and ran %d' % (self._plan, self._count))
        elif self._plan_at not in (0, self._count):
            self.faults.append('its plan stands in the middle of the results')


class ScriptTest(mux_runner.Test):
    def __init__(self, runner, name):
        super().__init__(runner, name)

    def output(self, name, data):
        self._stream.file(self.id, name, data, eof=False)

    def assertion(self, name, status, reason):
        whole = '%s [%s]' % (self.id, name)
        if reason:
            self._stream.text(whole, 'reason', reason, runnable=False)
        self._stream.event(whole, status, runnable=False)

    def verdict(self, status, reason=None):
        self.count(status)
        if reason:
            self.text('reason', reason + '\n')
        self.end()


class Program:
    """A command and how its end is judged."""

    def __init__(self, command):
        self._command = command

    def run(self, test, take):
        """Returns its exit status as Popen has it."""
        process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, process_group=0) \
            if sys.version_info >= (3, 11) else \
            subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, preexec_fn=os.setpgrp)
        self._read(process, test, take)
        self._kill(process)
        status = process.wait()
        process.stdout.close()
        process.stderr.close()
        return status

    @staticmethod
    def _kill(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _read(self, process, test, take):
        """Passes on what it prints, until it has ended."""
        ended = None
        with selectors.DefaultSelector() as selector:
            for name, pipe in ('stdout', process.stdout), ('stderr', process.stderr):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, name)
            while selector.get_map():
                for key, _ in selector.select(0.05):
                    data = os.read(key.fd, mux_subunit.PIECE_BYTES)
                    if not data:
                        selector.unregister(key.fileobj)
                        continue
                    test.output(key.data, data)
                    if key.data == 'stdout':
                        take(data)
                now = time.monotonic()
                if ended is None and process.poll() is not None:
                    ended = now
                if ended is not None and now - ended > LINGER_S:
                    return
        process.wait()

    def judge(self, test, status):
        if status == SKIP_STATUS:
            test.verdict('skip', 'exit status %d' % status)
        elif status < 0:
            test.verdict('fail', 'signal %d (%s)' % (-status, signal.strsignal(-status)))
        elif status:
            test.verdict('fail', 'exit status %d' % status)
        else:
            test.verdict('success')


def run_command(runner, name, program):
    test = ScriptTest(runner, name)
    try:
        status = program.run(test, lambda data: None)
    except (OSError, ValueError) as error:
        test.verdict('fail', 'it cannot be started: %s' % error)
        return
    program.judge(test, status)


def run_exec(runner, name):
    run_command(runner, name, Program(['/bin/sh', '-c', name]))


def path_of(name):
    return name if '/' in name else './' + name


def run_tap(runner, name):
    test = ScriptTest(runner, name)
    tap = Tap(test)
    program = Program([path_of(name)])
    try:
        status = program.run(test, tap.take)
    except (OSError, ValueError) as error:
        test.verdict('fail', 'it cannot be started: %s' % error)
        return
    tap.end()
    if status < 0:
        tap.faults.append('signal %d (%s)' % (-status, signal.strsignal(-status)))
    elif status and not tap.faults:
        tap.faults.append('exit status %d' % status)
    if tap.faults:
        test.verdict('fail', '\n'.join(tap.faults))
    elif tap.skip_reason is not None:
        test.verdict('skip', tap.skip_reason)
    else:
        test.verdict('success')


def why_not(name):
    """Why it cannot be run, or None."""
    path = path_of(name)
    if not os.path.exists(path):
        return '%s is not there' % name
    if os.path.isdir(path):
        return '%s is a folder: name the programs in it, such as %s/*.t' % (name, name.rstrip('/'))
    if not os.access(path, os.X_OK):
        return '%s is not executable: chmod +x %s' % (name, name)
    return None


def list_programs(runner, names):
    faults = [why for why in map(why_not, names) if why]
    if faults:
        runner.end(2, '\n'.join(faults))
    for name in names:
        runner.stream.event(name, 'exists')
    runner.end(0)


def main():
    runner = mux_runner.Runner('mux_scripts')
    kind, *names = runner.arguments or ['']
    if kind not in ('exec', 'tap') or (kind, runner.mode) == ('exec', 'list'):
        runner.end(2, 'expected exec or tap behind "--", and --list for tap alone')
    if runner.mode == 'list':
        list_programs(runner, names)
    run = {'exec': run_exec, 'tap': run_tap}[kind]
    for ids in runner.batches():
        for name in ids:
            run(runner, name)
    runner.end(0)


if __name__ == '__main__':
    main()
