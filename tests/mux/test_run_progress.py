"""mux run for programs that read it: JSON, logs of GitHub and GitLab, a reader that goes."""
import re

from command import *

EVIL = 'printf "::error::forged\\n ::set-output name=a::b\\n##[error]x\\033[0Ksection_end:1:a\\r\\033[0K\\n"; exit 1'


class Progress(Case):
    def setUp(self):
        self.place = self.folder()

    def run_mux(self, *options, tests=('exit 0', 'echo why; exit 1', 'exit 77'), env=(), **keywords):
        environment = {name: value for name, value in os.environ.items() if not name.startswith('GIT')}
        return subprocess.run([MUX, 'run', '-n', '2', '--no-store', *options, '--runner', 'exec', '--', *tests],
                              cwd=self.place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(environment, **dict(env)), timeout=PATIENCE, **keywords)

    def test_json(self):
        done = self.run_mux('--progress', 'json', tests=('exit 0', 'printf "w\\033\\n\\377"; exit 1; # \u00fc\n:', 'exit 77'))
        self.assertEqual(done.returncode, 1)
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        by_event = {}
        for line in lines:
            by_event.setdefault(line.pop('event'), []).append(line)
        start, = by_event['start']
        self.assertEqual((start['v'], start['runner'], start['tests'], start['slots'], start['left_s']), (1, 'exec', 3, 2, None))
        self.assertRegex(start['run'], '^[0-9a-f-]{36}$')
        tests = {line['status']: line for line in by_event['test']}
        self.assertEqual(set(tests), {'success', 'fail', 'skip'})
        self.assertIn('w\x1b\n\ufffd', tests['fail']['text'])
        self.assertTrue(tests['fail']['test_id'].endswith('# \u00fc\n:'), tests['fail'])
        self.assertIn(tests['fail']['slot'], (0, 1))
        self.assertEqual(by_event['outcome'], [{'test_id': tests['fail']['test_id'], 'outcome': 'failed'}])
        end, = by_event['end']
        self.assertEqual((end['outcome'], end['counts']['passed'], end['counts']['failed'], end['counts']['skipped']),
                         ('failed', 1, 1, 1))

    def commands(self, output):
        """What GitHub's runner takes for a command: leading blanks do not matter to it, ##[ may stand anywhere."""
        stop, found = None, []
        for line in output.splitlines():
            text = line.lstrip()
            if stop:
                stop = None if text == '::%s::' % stop else stop
            elif text.startswith('::stop-commands::'):
                stop = text[len('::stop-commands::'):]
            elif text.startswith('::') or '##[' in text:
                found.append(text)
        self.assertIsNone(stop)
        return found

    def test_github(self):
        with open(os.path.join(self.place, 'a,b.py'), 'w') as file:
            file.write('\n')
        place = 'echo "  File \\"%s/a,b.py\\", line 7, in test\\nAssertionError: 50%% of a"; exit 1' % self.place
        output = self.run_mux(tests=(EVIL, place, ': "::error::id\n::error::id2"; exit 1'), env={'GITHUB_ACTIONS': 'true'}).stdout.decode()
        found = self.commands(output)
        self.assertEqual(sorted({command.split(' ')[0].split('::')[1] for command in found}), ['endgroup', 'error', 'group'])
        errors = [command for command in found if command.startswith('::error')]
        self.assertEqual(len(errors), 3, output)
        self.assertEqual(len([error for error in errors if error.startswith('::error file=a%2Cb.py,line=7,title=')]), 1, output)
        self.assertFalse([error for error in errors if 'forged' in error.split('::')[2]], errors)

    def test_gitlab(self):
        output = self.run_mux(tests=(EVIL, 'exit 0'), env={'GITLAB_CI': 'true'}).stdout
        marks = re.findall(rb'\x1b\[0Ksection_(start|end):\d+:(\w+)\r\x1b\[0K', output)
        self.assertEqual(marks, [(b'start', b'mux_failure_1'), (b'end', b'mux_failure_1')], output)

    def test_quiet_and_plain(self):
        quiet = self.run_mux('--progress', 'quiet').stdout.decode()
        self.assertTrue(quiet.startswith('run failed: 1 failed, 1 passed, 1 skipped in '), quiet)
        plain = self.run_mux('--progress', 'plain')
        self.harmless(plain.stdout)
        self.assertRegex(plain.stdout.decode(), r'(?m)^FAIL  echo why; exit 1 .*\n      why\n')

    def test_reader_goes(self):
        """The run goes on, and its exit code is its own."""
        done = subprocess.run(['bash', '-c', '"$@" | true; exit ${PIPESTATUS[0]}', 'bash', MUX, 'run', '--no-store', '-n', '2',
                               '--runner', 'exec', '--', 'sleep 0.1', 'touch been; exit 1'], cwd=self.place,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (1, b''))
        self.assertTrue(os.path.exists(os.path.join(self.place, 'been')))


if __name__ == '__main__':
    unittest.main()
