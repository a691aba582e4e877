"""The rig of the adaptors' tests: suites in a folder, adaptors run over them, their packets."""
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ADAPTORS = os.path.join(HERE, '..', '..', 'tools', 'runners')
sys.path.insert(0, os.path.join(HERE, '..', 'corpora'))
import oracle

PATIENCE = 300  # seconds after which a wait counts as a hang


class Event:
    def __init__(self, fields):
        self.id, self.status = fields['test_id'], fields['test_status']
        self.name, self.mime, self.eof = fields['file_name'], fields['mime_type'], fields['eof']
        self.content = base64.b64decode(fields['file_b64'] or '')
        self.tags, self.runnable, self.time = fields['test_tags'], fields['runnable'], fields['timestamp']

    @property
    def text(self):
        return self.content.decode()

    def __repr__(self):
        return 'Event(%s %s %s %r)' % (self.id, self.status, self.name, self.content[:400])


class Done:
    """What an adaptor wrote."""

    def __init__(self, status, stdout, stderr):
        self.status, self.stdout, self.stderr = status, stdout, stderr.decode('utf-8', 'replace')
        self.events = [Event(fields) for fields in oracle.decode(stdout)]

    def listed(self):
        return [event.id for event in self.events if event.status == 'exists']

    def verdicts(self, runnable=True):
        """(id, status) in the order of the stream."""
        return [(event.id, event.status) for event in self.events
                if event.status not in (None, 'exists', 'inprogress') and event.runnable == runnable]

    def status_of(self, name):
        found = [status for one, status in self.verdicts() if one.split('.')[-1].split('::')[-1] == name]
        return found[0] if len(found) == 1 else found

    def file(self, test, name):
        """The content of a test's file; test: the end of its id, or None."""
        return b''.join(event.content for event in self.events if event.name == name and
                        (event.id is None if test is None else (event.id or '').endswith(test)))

    def batches(self):
        return [int(event.content) for event in self.events if event.name == 'runner.batch']


def allow_interrupts():
    """The tests themselves may run in the background of a shell, where SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Case(unittest.TestCase):
    adaptor = None
    maxDiff = 4000

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as out:
            out.write(textwrap.dedent(text))
        return path

    def run_adaptor(self, *words, stdin=b'', **keywords):
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE='1', PYTEST_DISABLE_PLUGIN_AUTOLOAD='1',
                           **keywords.pop('env', {}))
        done = subprocess.run([sys.executable, os.path.join(ADAPTORS, self.adaptor), *words], input=stdin,
                              capture_output=True, cwd=self.folder, timeout=PATIENCE, env=environment,
                              **keywords)
        done = Done(done.returncode, done.stdout, done.stderr)
        self.is_whole(done)
        return done

    def is_whole(self, done):
        """Nothing but packets on stdout."""
        broken = [event for event in done.events if event.id == 'subunit.parser' or
                  event.name == 'stdout' and event.time is None]
        self.assertFalse(broken, done.stdout[:4000])

    def list(self, *arguments, status=0):
        done = self.run_adaptor('--list', '--', *arguments)
        self.assertEqual(done.status, status, done.stderr)
        return done

    def run_ids(self, ids, *arguments, status=0, **keywords):
        path = self.write('ids.txt', ''.join(one + '\n' for one in ids))
        done = self.run_adaptor('--load-list', path, '--', *arguments, **keywords)
        self.assertEqual(done.status, status, done.stderr)
        return done

    def run_all(self, *arguments, **keywords):
        return self.run_ids(self.list(*arguments).listed(), *arguments, **keywords)

    def serve(self, *batches, arguments=(), status=0, **keywords):
        """batches: lists of ids, or (number, ids)."""
        numbered = [batch if isinstance(batch, tuple) else (number, batch)
                    for number, batch in enumerate(batches)]
        lines = ''.join(json.dumps({'batch': number, 'ids': ids}) + '\n' for number, ids in numbered)
        done = self.run_adaptor('--serve', '--', *arguments, stdin=lines.encode(), **keywords)
        self.assertEqual(done.status, status, done.stderr)
        return done
