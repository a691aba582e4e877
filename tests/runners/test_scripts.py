"""mux_scripts.py: commands and writers of TAP as tests."""
import os
import shutil
import subprocess
import unittest

import rig


class Exec(rig.Case):
    adaptor = 'mux_scripts.py'

    def test_verdicts(self):
        ids = ['exit 0', 'exit 77', 'echo out; echo err >&2; exit 3', 'kill -9 $$', 'not_there_at_all', 'echo "a  b"; echo $1']
        for done in self.run_ids(ids, 'exec'), self.serve(ids, arguments=['exec']):
            self.assertEqual([status for _, status in done.verdicts()], ['success', 'skip', 'fail', 'fail', 'fail', 'success'])
            self.assertEqual(done.file(ids[2], 'stdout'), b'out\n')
            self.assertEqual(done.file(ids[2], 'stderr'), b'err\n')
            self.assertIn(b'signal 9', done.file(ids[3], 'reason'))
            self.assertEqual(done.file(ids[5], 'stdout'), b'a  b\n\n')

    def test_a_child_that_stays(self):
        """Its group ends with the command, and what it holds open holds nothing up."""
        done = self.run_ids(['sleep 1000 & echo $! > pid'], 'exec')
        self.assertEqual([status for _, status in done.verdicts()], ['success'])
        with open(os.path.join(self.folder, 'pid')) as file:
            pid = int(file.read())
        subprocess.run(['sh', '-c', 'while kill -0 %d && ! grep -q "State:.Z" /proc/%d/status; do sleep 0.01; done' % (pid, pid)],
                       stderr=subprocess.DEVNULL, timeout=rig.PATIENCE)

    def test_usage(self):
        for words in ['--list', '--', 'exec'], ['--serve', '--', 'other'], ['--serve', '--']:
            done = self.run_adaptor(*words)
            self.assertEqual(done.status, 2)
            self.assertIn('expected exec or tap', done.stderr)


class Tap(rig.Case):
    adaptor = 'mux_scripts.py'

    # What a program prints, its exit status; the verdict, and what is said of it.
    PROGRAMS = (
        ('1..2\nok 1 - a\nok 2', 0, 'success', ''),
        ('ok\nok\n1..2', 0, 'success', ''),
        ('TAP version 13\n1..1\nok 1 - issue #12: a \\# b', 0, 'success', ''),
        ('1..3\nok 1 # SKIP why\nnot ok 2 # TODO later\nok 3 # todo surprise', 0, 'success', ''),
        ('1..0 # SKIP no network', 0, 'skip', 'no network'),
        ('1..0', 0, 'skip', 'no reason given'),
        ('1..1\n# Subtest: s\n    1..2\n    ok 1\n    not ok 2 # TODO x\nok 1 - s', 0, 'success', ''),
        ('1..1\n    not ok 1\nok 1\n  ---\n  found: not ok\n  ...', 0, 'success', ''),
        ('chatter\n1..1\n# not ok\nok 1', 0, 'success', ''),
        ('ok 1\nok 2', 0, 'fail', 'no plan (1..2)'),
        ('', 0, 'fail', 'no TAP'),
        ('hello', 0, 'fail', 'no TAP'),
        ('1..3\nok 1\nok 2', 0, 'fail', 'planned 3 and ran 2'),
        ('1..1\nok 1\nok 2', 0, 'fail', 'planned 1 and ran 2'),
        ('1..2\nok 1\nnot ok 2 - b\n', 0, 'fail', 'not ok 2 b'),
        ('1..1\nnot ok 1 - b\\#c', 0, 'fail', 'not ok 1 b#c'),
        ('1..2\nok 1\nBail out! no disk', 0, 'fail', 'bailed out: no disk'),
        ('1..2\nok 1\nBail out!', 255, 'fail', 'it does not say why'),
        ('1..2\nok 2\nok 1', 0, 'fail', 'result 1 has the number 2'),
        ('ok 1\n1..2\nok 2', 0, 'fail', 'in the middle'),
        ('1..1\nok 1\n1..1', 0, 'fail', 'second plan'),
        ('1..1\nok 1', 3, 'fail', 'exit status 3'),
        ('1..0 # SKIP but', 1, 'fail', 'exit status 1'),
    )

    def program(self, name, output, status, mode=0o755):
        path = os.path.join(self.folder, name)
        with open(path, 'w') as file:
            file.write("#!/bin/sh\ncat <<'END'\n%s\nEND\nexit %d\n" % (output, status))
        os.chmod(path, mode)
        return name

    def test_verdicts(self):
        names = [self.program('p%d.t' % i, *one[:2]) for i, one in enumerate(self.PROGRAMS)]
        done = self.serve(names, arguments=['tap'])
        for name, (output, _, status, said) in zip(names, self.PROGRAMS):
            with self.subTest(output):
                self.assertEqual(dict(done.verdicts())[name], status)
                self.assertIn(said, done.file(name, 'reason').decode())

    @unittest.skipUnless(shutil.which('prove'), 'prove is not here')
    def test_prove_agrees(self):
        """But for a bail-out, which ends all of its run."""
        programs = [one for one in self.PROGRAMS if 'Bail out' not in one[0]]
        names = [self.program('p%d.t' % i, *one[:2]) for i, one in enumerate(programs)]
        theirs = subprocess.run(['prove', '-e', '', *('./' + name for name in names)], cwd=self.folder, capture_output=True,
                                timeout=rig.PATIENCE)
        report = theirs.stdout.decode().partition('Test Summary Report')[2].split('./')[1:]
        failed = [part.split()[0] for part in report if 'TODO passed' not in part]
        self.assertEqual([name for name, one in zip(names, programs) if one[2] == 'fail'], failed, theirs.stdout)

    def test_assertions(self):
        name = self.program('a.t', '1..4\nok 1 - one\nnot ok 2 - two # TODO later\nok 3 # SKIP why\nnot ok four', 1)
        done = self.run_ids([name], 'tap')
        self.assertEqual(done.verdicts(), [(name, 'fail')])
        self.assertEqual(done.verdicts(runnable=False), [
            ('a.t [1 one]', 'success'), ('a.t [2 two]', 'xfail'), ('a.t [3]', 'skip'), ('a.t [4 four]', 'fail')])
        self.assertEqual(done.file('a.t [3]', 'reason'), b'why')

    def test_list(self):
        good = self.program('with blank.t', '1..0', 0)
        self.assertEqual(self.list('tap', good, './' + good).listed(), [good, './' + good])
        os.mkdir(os.path.join(self.folder, 't'))
        bad = self.program('bad.t', '1..0', 0, mode=0o644)
        said = self.list('tap', good, bad, 'gone.t', 't', status=2).stderr
        self.assertIn('bad.t is not executable: chmod +x bad.t', said)
        self.assertIn('gone.t is not there', said)
        self.assertIn('t is a folder: name the programs in it, such as t/*.t', said)


if __name__ == '__main__':
    unittest.main()
