"""The rig of the command's tests: running it, streams for it, its JSON as events."""
import io
import json
import os
import pty
import subprocess
import sys
import tempfile
import time
import unicodedata
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'differential'))
import corpus
import events

from subunit.v2 import StreamResultToBytes

MUX = os.environ['MUX']
PATIENCE = 300  # seconds after which a wait counts as a hang


def mux(*arguments, stream=b'', **keywords):
    """Runs mux to its end: returncode, stdout, stderr."""
    return subprocess.run([MUX, *arguments], input=stream, capture_output=True, timeout=PATIENCE,
                          **keywords)


def packet(**fields):
    """A packet as python-subunit writes it."""
    out = io.BytesIO()
    StreamResultToBytes(out).status(**fields)
    return out.getvalue()


def as_events(output):
    """JSON lines as merged events."""
    return events.merged(events.from_json(json.loads(line)) for line in output.splitlines())


def cases(*folders):
    """Paths of the corpora's streams, without suffix."""
    return [path for folder in folders for path in corpus.names(folder)]


# Separators and marks that reverse text, besides the control characters.
CONTROLLING = set('\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069')


class Case(unittest.TestCase):
    maxDiff = 4000

    def harmless(self, output):
        """Asserts that the output cannot control a terminal."""
        text = output.decode('utf-8')  # fails for bytes that are not UTF-8
        self.assertFalse([c for c in text if c != '\n' and
                          (unicodedata.category(c) == 'Cc' or c in CONTROLLING)], output[:4000])

    def fine(self, done, status=0):
        self.assertEqual((done.returncode, done.stderr), (status, b''))
        return done.stdout

    def same(self, got, expected, what=''):
        text = events.difference(got, expected)
        if text:
            self.fail('%s: %s' % (what, text))

    def folder(self):
        folder = tempfile.TemporaryDirectory(prefix='mux-test-')
        self.addCleanup(folder.cleanup)
        return folder.name

    def file(self, content, name='stream'):
        path = os.path.join(self.folder(), name)
        with open(path, 'wb') as file:
            file.write(content)
        return path

    def terminal(self):
        """Both ends of a terminal: the user's, and the program's."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        return master, slave

    def start(self, *arguments, **keywords):
        """A running mux with pipes for stdin, stdout and stderr."""
        streams = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process = subprocess.Popen([MUX, *arguments], bufsize=0, **{**streams, **keywords})
        self.addCleanup(self._end, process)
        return process

    def _end(self, process):
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream and not stream.closed:
                stream.close()

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, 'no longer waiting for ' + what)
            time.sleep(0.01)
