"""Lists and runs the tests of a CMake build for `mux run`, by ctest itself.

    python3 mux_ctest.py --list|--load-list FILE|--serve -- CTEST ARGS...

A batch is one ctest, whose words (-V) say what begins and how it ended: so properties, fixtures and labels mean
what they always do. A fixture's test that was not asked for is one that cannot be run by itself. mux_runner.py says
how this is called.
"""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mux_runner

# ctest takes an expression: of so many bytes at a time. The kernel takes 128 KiB.
EXPRESSION_BYTES = 100000


def escaped(name):
    return re.sub(r'[][.()*+?^$|\\]', r'\\\g<0>', name)


def portions(ids):
    """Lists of ids whose expression ctest takes."""
    portion, count = [], 0
    for name in ids:
        size = len(escaped(name).encode()) + 1
        if portion and count + size > EXPRESSION_BYTES:
            yield portion
            portion, count = [], 0
        portion.append(name)
        count += size
    if portion:
        yield portion


def tags_of(properties):
    """LABELS, and what `mux run` heeds by itself: between slots ctest, which runs in each, cannot."""
    tags = set()
    for one in properties:
        name, value = one.get('name'), one.get('value')
        if name == 'LABELS':
            tags.update(value)
        elif name == 'RUN_SERIAL' and value:
            tags.add('mux.exclusive')
        elif name == 'RESOURCE_LOCK':
            tags.update('mux.lock:' + lock for lock in value)
    return tags


class Fixture:
    """A test that was not asked for."""

    def __init__(self, stream, name):
        self.id, self._stream = name, stream
        stream.event(name, 'inprogress', runnable=False)

    def text(self, name, text):
        self._stream.text(self.id, name, text, runnable=False)

    def count(self, status):
        self._status = status

    def end(self):
        self._stream.event(self.id, self._status, runnable=False)


class Words:
    """What ctest -V says, line by line."""
    START = re.compile(r'\s*Start\s+(\d+): (.*)')

    def __init__(self, runner, wanted):
        self._runner, self._wanted = runner, wanted
        self._tests, self._said, self._last = {}, {}, None
        self.seen = set()

    def take(self, line):
        start = self.START.fullmatch(line)
        if start:
            self._begin(*start.groups())
        elif re.match(r'\s*\d+/\d+ Test\s+#\d+: ', line):
            self._end(line)
        else:
            self._output(line)

    def _begin(self, number, name):
        own = name in self._wanted and name not in self.seen
        self._tests[number] = (mux_runner.Test(self._runner, name) if own else
                               Fixture(self._runner.stream, name))
        self._said[number], self._last = '', number
        self.seen.add(name)

    def _output(self, line):
        """What stands between a test's beginning and its end without its number is what ctest says of it."""
        number, colon, text = line.partition(': ')
        if colon and number in self._tests:
            if not re.match(r'(Test command|Working Directory|Test timeout computed to be|Environment variables):', text):
                self._runner.stream.file(self._tests[number].id, 'stdout', (text + '\n').encode(), eof=False)
        elif self._last in self._tests and line.strip() and not re.fullmatch(r'test \d+', line):
            self._said[self._last] += line + '\n'

    def _end(self, line):
        number = re.match(r'\s*\d+/\d+ Test\s+#(\d+): ', line)[1]
        test = self._tests.pop(number, None)
        if not test:
            return
        words = re.sub(r'\s+[\d.]+ sec$', '', line.partition(': ' + test.id)[2]).lstrip(' .').strip()
        said = self._said.pop(number)
        status, file_name = self._verdict(words)
        if status != 'success':
            test.text(file_name, words.lstrip('*') + '\n' + (said if status == 'fail' else ''))
        test.count(status)
        test.end()

    @staticmethod
    def _verdict(words):
        if words.startswith('Passed'):
            return 'success', None
        if words.startswith(('***Skipped', '***Not Run (Disabled)')):
            return 'skip', 'reason'
        return 'fail', 'traceback'


class Build:
    def __init__(self, runner):
        self._runner, self._command, self._process = runner, runner.arguments, None
        if not self._command:
            runner.end(2, 'expected the words of a ctest command behind "--"')

    def _start(self, *words):
        try:
            self._process = subprocess.Popen([*self._command, *words], stdout=subprocess.PIPE)
        except OSError as error:
            self._runner.end(2, '%s cannot be started: %s' % (self._command[0], error))
        return self._process.stdout

    def list(self):
        with self._start('--show-only=json-v1') as output:
            text = output.read()
        try:
            tests = json.loads(text)['tests']
        except (ValueError, KeyError, TypeError):
            self._runner.end(2, '%s --show-only=json-v1 printed no list (status %d)' %
                             (' '.join(self._command), self._process.wait()))
        for test in tests:
            self._runner.stream.event(test['name'], 'exists', tags=tags_of(test.get('properties', ())))

    def run(self, ids):
        for portion in portions(ids):
            self._run(set(portion))

    def _run(self, wanted):
        words = Words(self._runner, wanted)
        expression = '^(%s)$' % '|'.join(map(escaped, sorted(wanted)))
        with self._start('-V', '-R', expression) as output:
            for line in output:
                words.take(line.decode('utf-8', 'backslashreplace').rstrip('\r\n'))
        self._process.wait()
        self._runner.unknown(sorted(wanted - words.seen))

    def stop(self):
        if self._process and self._process.poll() is None:
            self._process.terminate()


def main():
    runner = mux_runner.Runner('mux_ctest')
    build = Build(runner)
    try:
        if runner.mode == 'list':
            build.list()
            runner.end(0)
        for ids in runner.batches():
            build.run(ids)
    except KeyboardInterrupt:
        build.stop()
        runner.end(130)
    runner.end(0)


if __name__ == '__main__':
    main()
