"""Programs as tests, each in a process of its own: commands of a shell, writers of TAP, the tests of ctest.

    python3 mux_scripts.py --serve|--load-list FILE -- exec              an id is a command for the shell
    python3 mux_scripts.py --serve|--load-list FILE -- tap               an id is a program that writes TAP
    python3 mux_scripts.py --list|--serve|--load-list FILE -- ctest CTEST ARGS...

mux_runner.py says what these do. What a program prints becomes files `stdout` and `stderr` of its test, at once.
"""
import json
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
    """What a program says of itself by the Test Anything Protocol, versions 12 to 14."""
    RESULT = re.compile(r'(not )?ok\b(?:\s+(\d+))?(?:\s+-\s+|\s*)([^#]*?)\s*(?:#\s*(todo|skip)\w*\s*(.*))?$', re.I)
    PLAN = re.compile(r'1\.\.(\d+)\s*(?:#\s*skip\w*\s*(.*))?$', re.I)
    BAIL_OUT = re.compile(r'Bail out!\s*(.*)$')

    def __init__(self, test):
        self._test = test
        self._rest = b''
        self._count = 0
        self._plan = None
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
            self._plan, self.skip_reason = int(plan[1]), plan[2] if plan[1] == '0' else None
        elif bail_out:
            self.faults.append('it bailed out: %s' % (bail_out[1] or 'it does not say why'))

    def _take_result(self, not_ok, number, description, directive, reason):
        self._count += 1
        name = ' '.join(filter(None, (number or str(self._count), description)))
        status = 'fail' if not_ok else 'success'
        if directive:
            status = 'skip' if directive.lower() == 'skip' else 'xfail' if not_ok else 'success'
        self._test.assertion(name, status, reason)
        if status == 'fail':
            self.faults.append('not ok %s' % name)

    def end(self):
        """Nothing more comes."""
        if self._rest:
            self.take(b'\n')
        if self._plan is None and not self._count:
            self.faults.append('it printed no TAP')
        elif self._plan is not None and self._plan != self._count:
            self.faults.append('it planned %d and ran %d' % (self._plan, self._count))


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

    def __init__(self, command, skip_status=SKIP_STATUS, will_fail=False, timeout_s=None, **start):
        self._command = command
        self._skip_status, self._will_fail, self._timeout_s = skip_status, will_fail, timeout_s
        self._start = start

    def run(self, test, take):
        """Returns its exit status as Popen has it, None when it was killed for its time."""
        process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, process_group=0, **self._start) \
            if sys.version_info >= (3, 11) else \
            subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, preexec_fn=os.setpgrp, **self._start)
        in_time = self._read(process, test, take)
        self._kill(process)
        status = process.wait()
        process.stdout.close()
        process.stderr.close()
        return status if in_time else None

    @staticmethod
    def _kill(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _read(self, process, test, take):
        """Passes on what it prints, until it has ended. False: it is over its time."""
        begun, ended = time.monotonic(), None
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
                    return True
                if ended is None and self._timeout_s and now - begun > self._timeout_s:
                    return False
        try:
            process.wait(None if not self._timeout_s else max(0, self._timeout_s - (time.monotonic() - begun)))
        except subprocess.TimeoutExpired:
            return False
        return True

    def judge(self, test, status):
        if status is None:
            test.verdict('fail', 'it took longer than %g s' % self._timeout_s)
        elif status == self._skip_status:
            test.verdict('skip', 'exit status %d' % status)
        elif status < 0:
            test.verdict('fail', 'signal %d (%s)' % (-status, signal.strsignal(-status)))
        elif (status != 0) != self._will_fail:
            test.verdict('fail', 'exit status %d%s' % (status, ', where it is to fail' if self._will_fail else ''))
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


def run_tap(runner, name):
    test = ScriptTest(runner, name)
    tap = Tap(test)
    program = Program([name if '/' in name else './' + name])
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


class CTest:
    """The tests of a CMake build, as `ctest --show-only=json-v1` tells them."""

    def __init__(self, runner):
        command = runner.arguments[1:]
        done = subprocess.run([*command, '--show-only=json-v1'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            tests = json.loads(done.stdout)['tests']
        except (ValueError, KeyError, TypeError):
            runner.end(2, '%s --show-only=json-v1 printed no list (status %d)' % (' '.join(command), done.returncode))
        self.tests = {test['name']: test for test in tests}

    def run(self, runner, name):
        test = self.tests[name]
        properties = {one['name']: one['value'] for one in test.get('properties', ())}
        if properties.get('DISABLED'):
            ScriptTest(runner, name).verdict('skip', 'it is disabled')
        elif not test.get('command'):
            ScriptTest(runner, name).verdict('fail', 'ctest knows no command for it: was it built?')
        else:
            run_command(runner, name, self._program(test['command'], properties))

    @staticmethod
    def _program(command, properties):
        environment = dict(os.environ)
        environment.update(one.split('=', 1) for one in properties.get('ENVIRONMENT', ()) if '=' in one)
        return Program(command, skip_status=properties.get('SKIP_RETURN_CODE'),
                       will_fail=bool(properties.get('WILL_FAIL')), timeout_s=properties.get('TIMEOUT'),
                       cwd=properties.get('WORKING_DIRECTORY'), env=environment)


def main():
    runner = mux_runner.Runner('mux_scripts')
    kind = runner.arguments[0] if runner.arguments else ''
    if kind not in ('exec', 'tap', 'ctest') or (runner.mode == 'list' and kind != 'ctest'):
        runner.end(2, 'expected exec, tap or ctest behind "--", and --list with ctest alone')
    ctest = CTest(runner) if kind == 'ctest' else None
    if runner.mode == 'list':
        for name in ctest.tests:
            runner.stream.event(name, 'exists')
        runner.end(0)
    run = {'exec': run_exec, 'tap': run_tap, 'ctest': ctest and ctest.run}[kind]
    for ids in runner.batches():
        for name in ids:
            if not ctest or name in ctest.tests:
                run(runner, name)
        runner.unknown([name for name in ids if ctest and name not in ctest.tests])
    runner.end(0)


if __name__ == '__main__':
    main()
