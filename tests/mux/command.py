"""What the tests of the command share: running it, streams to give it, its JSON as events."""
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
PATIENCE = 300  # seconds; what takes longer hangs


def mux(*arguments, stream=b'', **keywords):
    """Runs it to its end: returncode, stdout, stderr."""
    return subprocess.run([MUX, *arguments], input=stream, capture_output=True, timeout=PATIENCE,
                          **keywords)


def packet(**fields):
    """As python-subunit writes it."""
    out = io.BytesIO()
    StreamResultToBytes(out).status(**fields)
    return out.getvalue()


def as_events(output):
    """JSON lines as merged events."""
    return events.merged(events.from_json(json.loads(line)) for line in output.splitlines())


def cases(*folders):
    """Paths without suffix of the corpora's streams."""
    return [path for folder in folders for path in corpus.names(folder)]


# Separators and marks that turn text around, besides the control characters.
STEERING = set('\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069')


class Case(unittest.TestCase):
    maxDiff = 4000

    def harmless(self, output):
        """Nothing in it can steer a terminal."""
        text = output.decode('utf-8')  # no byte that is not UTF-8
        self.assertFalse([c for c in text if c != '\n' and
                          (unicodedata.category(c) == 'Cc' or c in STEERING)], output[:4000])

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
        """Both ends of a terminal: what a person sees, what a program writes to."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        return master, slave

    def start(self, *arguments, **keywords):
        """A running mux with pipes at all ends."""
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
            self.assertLess(time.monotonic(), deadline, 'waited in vain: ' + what)
            time.sleep(0.01)
