#!/usr/bin/env python3
"""Runner descriptions: our INI files, and .testr.conf, .stestr.conf and pyproject.toml, the last three held
against testr, stestr and tomllib.

usage: PROBE=runner_probe RUNNERS=tools/runners test_runner.py

SEED, if it is set, generates the same files again.
"""
import configparser
import json
import os
import random
import subprocess
import sys
import tempfile
import tomllib
import unittest
from unittest import mock

PROBE = os.environ['PROBE']
RUNNERS = os.path.abspath(os.environ['RUNNERS'])
SEED = int(os.environ.get('SEED', random.randrange(1 << 32)))
GENERATED_FILES = 150

try:
    import testrepository.testcommand as testr
    import stestr.config_file
except ImportError as error:
    if os.environ.get('MUXD_CI'):
        raise
    testr = stestr = None
    MISSING = str(error)

# The enums of runner.h and grouping.h.
LISTS_NOTHING, LISTS_SUBUNIT, LISTS_LINES, LISTS_ARGUMENTS = range(4)
IDS_FILE, IDS_LIST, IDS_STDIN, IDS_WRITTEN, IDS_ALL, IDS_BATCHES = range(6)
GROUP_NONE, GROUP_REGEX, GROUP_CLASS, GROUP_FILE, GROUP_TAG, GROUP_SCOPE = range(6)

IDS = ['pkg.mod.Class.test_a', 'pkg.mod.Class.test_b', 'pkg.mod.Other.test_a', 'plain', 'test_x']


class Folder(unittest.TestCase):
    """A folder of its own, in which the probe looks."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.folder = os.path.realpath(directory.name)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def choose(self, *command, runner='-', ids=IDS, runners=RUNNERS, **environment):
        listed = self.write('ids', ''.join(id + '\n' for id in ids))
        result = subprocess.run([PROBE, self.folder, runner, listed, *command], check=True,
                                stdout=subprocess.PIPE, env={**os.environ, 'MUX_RUNNERS': runners, **environment})
        return json.loads(result.stdout)

    def refused(self, *command, **more):
        said = self.choose(*command, **more)
        self.assertIn('error', said, said)
        return said['error']


def adaptor(name):
    return os.path.join(RUNNERS, name)


class Recognised(Folder):
    """A bare command by its words, and what is made of it."""

    def test_python(self):
        for words in (['-m', 'unittest'], ['-m', 'subunit.run'], ['-m', 'stestr.subunit_runner.run']):
            said = self.choose('python3.11', '-W', 'error', *words, 'discover', '-s', 'a b')
            self.assertEqual(said['name'], 'unittest')
            begin = ['python3.11', '-W', 'error', adaptor('mux_unittest.py')]
            self.assertEqual(said['list'], begin + ['--list', '--', 'discover', '-s', 'a b'])
            self.assertEqual(said['job'], begin + ['--load-list', '$IDFILE', '--', 'discover', '-s', 'a b'])
            self.assertEqual(said['serve'], begin + ['--serve', '--', 'discover', '-s', 'a b'])
            self.assertEqual((said['lists'], said['how']), (LISTS_SUBUNIT, IDS_FILE))

    def test_words_are_looked_for_from_the_left(self):
        self.assertEqual(self.choose('python3', '-m', 'unittest', '-m', 'pytest')['name'], 'unittest')
        self.assertEqual(self.choose('coverage', 'run', '-m', 'pytest', '-m', 'slow')['list'],
                         ['coverage', 'run', adaptor('mux_pytest.py'), '--list', '--', '-m', 'slow'])
        self.assertEqual(self.choose('python3', '-m', 'testtools.run', 'x.y')['job'],
                         ['python3', '-m', 'subunit.run', 'x.y', '--load-list', '$IDFILE'])

    def test_a_program_stands_first(self):
        script = self.write('bin/pytest', '#!%s -s\n' % sys.executable)
        os.chmod(script, 0o755)
        path = os.path.dirname(script) + ':' + os.environ['PATH']
        end = [adaptor('mux_pytest.py'), '--list', '--', '-k', 'x']
        for command in (['pytest'], [script]):
            self.assertEqual(self.choose(*command, '-k', 'x', PATH=path)['list'], [sys.executable, '-s'] + end)
        self.assertEqual(self.choose('env', 'A=1', 'B=2', 'pytest', '-k', 'x', PATH=path)['list'],
                         ['env', 'A=1', 'B=2', sys.executable, '-s'] + end)
        self.assertIn('nothing tells', self.refused('echo', 'pytest'))

    def test_a_program_that_is_not_found(self):
        self.assertEqual(self.choose('./none/pytest')['list'][0], 'python3')

    def test_programs(self):
        begin = ['python3', adaptor('mux_ctest.py')]
        said = self.choose('/usr/bin/ctest', '-L', 'quick')
        self.assertEqual(said['list'], begin + ['--list', '--', '/usr/bin/ctest', '-L', 'quick'])
        self.assertEqual(said['job'], begin + ['--load-list', '$IDFILE', '--', '/usr/bin/ctest', '-L', 'quick'])
        for name in 'tap', 'exec':
            said = self.choose('t/a.t', 't/b c.t', runner=name)
            if name == 'exec':
                self.assertEqual((said['lists'], said['arguments']), (LISTS_ARGUMENTS, ['t/a.t', 't/b c.t']))
            else:
                self.assertEqual(said['list'], ['python3', adaptor('mux_scripts.py'), '--list', '--', 'tap', 't/a.t', 't/b c.t'])
            self.assertEqual(said['serve'], ['python3', adaptor('mux_scripts.py'), '--serve', '--', name])

    def test_a_command_of_ones_own(self):
        said = self.choose('./tests', '-q', runner='unittest')
        self.assertEqual(said['list'], ['./tests', '-q', '--list'])
        self.assertEqual(said['job'], ['./tests', '-q', '--load-list', '$IDFILE'])
        self.assertIn('no command that stays alive', said['serve_error'])
        self.assertIn('"pytest", "py.test", "-m pytest"', self.refused('./tests', runner='pytest'))

    def test_named_without_a_command(self):
        self.assertEqual(self.choose(runner='unittest')['list'][-3:], ['--list', '--', 'discover'])
        self.assertEqual(self.choose(runner='pytest')['list'][0], 'python3')

    def test_the_choices_are_said(self):
        all_names = 'ctest, exec, pytest, tap, testtools, unittest'
        self.assertIn(all_names, self.refused('make', 'check'))
        self.assertIn('"make check"', self.refused('make', 'check'))
        self.assertIn(all_names, self.refused(runner='nose'))
        self.assertIn(all_names, self.refused())
        self.assertIn('MUX_RUNNERS', self.refused(runners='/nonexistent'))
        self.assertIn('there are no runners in ' + self.folder, self.refused(runners=self.folder))


class OwnFiles(Folder):
    """INI files that users write: every key, and every mistake."""

    def own(self, text, *command, ids=IDS):
        path = self.write('own.ini', text)
        return self.choose(*command, runner=path, ids=ids)

    def test_all_keys(self):
        said = self.own('[runner]\nwords = -x\nlist = $PROGRAM -l "$AFTER" \'a  b\'\nlists = lines\n'
                        'run = $INTERPRETER --file=$IDFILE $$ $1 "it\'s $RUNNERS/x"\nserve = s $COMMAND\n'
                        'group_regex = [a-z]+\n', 'p', '-x', 'y', 'z')
        self.assertEqual(said['list'], ['p', '-x', '-l', 'y', 'z', 'a  b'])
        self.assertEqual(said['job'], ['p', '--file=$IDFILE', '$$', '$1', "it's %s/x" % self.folder])
        self.assertEqual(said['serve'], ['s', 'p', '-x', 'y', 'z'])
        self.assertEqual((said['lists'], said['grouping']), (LISTS_LINES, GROUP_REGEX))
        self.assertEqual(said['groups'], ['pkg', 'pkg', 'pkg', 'plain', 'test'])
        self.assertEqual(said['name'], 'own')

    def test_ways_of_ids(self):
        for run, ids in (('x $IDFILE', IDS_FILE), ('x $IDLIST', IDS_LIST), ('x', IDS_STDIN)):
            said = self.own('[runner]\nlist = y\nrun = ' + run)
            self.assertEqual(said['ids'], ids)
        said = self.own('[runner]\nrun = x\n')
        self.assertEqual((said['lists'], said['ids'], said['all']), (LISTS_NOTHING, IDS_ALL, ['x']))
        self.assertIn('"$IDFIL" is none of $INTERPRETER', self.own('[runner]\nlist=y\nrun = x $IDFIL')['error'])

    def test_groups(self):
        ids = ['a.b.Class.test_x', 'a.b.Class.test_y(p.q)', 'a.b.test_z', 't/f.py::C::test[x::y]', 't/f.py::test', 'one']
        for word, by, groups in (
                ('none', GROUP_NONE, ids),
                ('class', GROUP_CLASS, ['a.b.Class', 'a.b.Class', ids[2], 't/f.py::C', ids[4], 'one']),
                ('file', GROUP_FILE, ['a.b', 'a.b', 'a.b', 't/f.py', 't/f.py', 'one']),
                ('scope', GROUP_SCOPE, ['a.b.Class', 'a.b.Class', 'a.b', 't/f.py::C', 't/f.py', 'one'])):
            said = self.own('[runner]\nlist=y\nrun=x\ngroup=' + word, ids=ids)
            self.assertEqual((said['grouping'], said['groups']), (by, groups))

    def test_mistakes(self):
        for text, sentence in (
                ('', 'no section [runner]'),
                ('[runner]\n', 'has no "run"'),
                ('[runner]\nrun = x\n[other]\n', 'line 3: the sections are [runner] and [other command], and not [other]'),
                ('[runner]\nrnu = x', 'line 2: "rnu": the keys are words,'),
                ('[runner]\nrun = x\n[other command]\ngroup = file', 'has only list, run and serve'),
                ('run = x', 'line 1: options come after a section'),
                ('[runner]\nrun = x\nrun = y', 'line 3: "run" has a value already, in line 2'),
                ('[runner]\nrun =', 'there is no command'),
                ('[runner]\nrun = "x', "a quote (\") has no end"),
                ('[runner]\nrun = x $FOO', '"$FOO" is none of $INTERPRETER'),
                ('[runner]\nrun = x$AFTER', 'by itself, and not in "x$AFTER"'),
                ('[runner]\nrun = x $IDLIST $IDFILE', 'one of $IDFILE and $IDLIST'),
                ('[runner]\nlist = x $IDFILE\nrun = y', 'only "run" has $IDFILE'),
                ('[runner]\nlist = x\nlists = nothing\nrun = y', 'do not agree'),
                ('[runner]\nlists = lines\nrun = y', 'do not agree'),
                ('[runner]\nrun = x\nlists = json', '"lists" is subunit, lines, arguments or nothing'),
                ('[runner]\nrun = x\ngroup = module', 'it is class, file, scope or none'),
                ('[runner]\nrun = x\ngroup_regex = (', '"group_regex": at character 2'),
                ('[runner]\nrun = x\ngroup = file\ngroup_regex = x', 'one of them is enough')):
            with self.subTest(text):
                said = self.own(text)
                self.assertIn(sentence, said.get('error', said))
                self.assertIn(os.path.join(self.folder, 'own.ini'), said['error'])
        self.assertIn('it is not there', self.refused(runner='./none.ini'))

    def test_the_shipped_ones_are_good(self):
        for name in sorted(os.listdir(RUNNERS)):
            if name.endswith('.ini'):
                self.assertNotIn('error', self.choose(runner=name[:-4]), name)


class Document(unittest.TestCase):
    def test_the_table_has_all_runners(self):
        """docs/runners.md names each shipped runner, its words, and whether it stays alive."""
        with open(os.path.join(RUNNERS, '../../docs/runners.md'), encoding='utf-8') as file:
            rows = [line.split(' | ') for line in file if line.startswith('| `')]
        shipped = {name[:-4] for name in os.listdir(RUNNERS) if name.endswith('.ini')}
        rows = {row[0].strip('| `'): row for row in rows if len(row) == 4}
        self.assertEqual(set(rows), shipped)
        for name, (_, words, _, stays) in rows.items():
            parser = configparser.RawConfigParser()
            parser.read(os.path.join(RUNNERS, name + '.ini'))
            for line in parser['runner'].get('words', '').splitlines():
                self.assertIn('`%s`' % line, words)
            self.assertEqual('serve' in parser['runner'], stays.startswith('yes'), name)


def in_shell(words):
    assert words[:2] == ['/bin/sh', '-c'] and len(words) == 3, words
    return words[2]


class Witness(Folder):
    """What testr and stestr make of a file."""

    def setUp(self):
        super().setUp()
        if testr is None:
            self.skipTest(MISSING)

    def as_testr(self, ids, arguments=()):
        """Their commands for the list and for a run, and the groups. The id file's path is $IDFILE."""
        ui = mock.Mock(here=self.folder, options=mock.Mock(parallel=False))
        ui.subprocess_Popen.return_value.returncode = 0
        command = testr.TestCommand(ui, None)
        with command:
            fixture = command.get_run_command(ids, arguments)
            with fixture:
                run = fixture.cmd
                if fixture.list_file_name:
                    run = run.replace(fixture.list_file_name, '$IDFILE')
                group = fixture._group_callback or (lambda id: None)
                return fixture.list_cmd, run, [group(id) or id for id in ids or ()], command.get_filter_tags()

    def as_stestr(self, ids):
        conf = stestr.config_file.TestrConf(os.path.join(self.folder, '.stestr.conf'))
        with mock.patch('stestr.repository.util.get_repo_open'):
            fixture = conf.get_run_command(test_ids=ids, serial=True)
        with fixture:
            group = fixture._group_callback or (lambda id: None)
            python = '${PYTHON:-python3}'
            return (fixture.list_cmd.replace(sys.executable, python),
                    fixture.cmd.replace(sys.executable, python).replace(fixture.list_file_name, '$IDFILE'),
                    [group(id) or id for id in ids])


class Testr(Witness):
    def compare(self, text, arguments=(), ids=IDS):
        self.write('.testr.conf', text)
        said = self.choose(*arguments, runner='testr', ids=ids)
        listed, run, groups, tags = self.as_testr(ids, arguments)
        self.assertEqual(in_shell(said['job']), run)
        self.assertEqual(said['groups'], groups)
        self.assertEqual(set(said['filter_tags']), tags)
        if said['lists'] != LISTS_NOTHING:
            self.assertEqual(in_shell(said['list']), listed)
        self.assertEqual(in_shell(said['all']), self.as_testr(None, arguments)[1])
        return said

    def test_all_options(self):
        said = self.compare(
            '[DEFAULT]\ntest_command=X=1 \\\n  ${PYTHON:-python} -m subunit.run $LISTOPT $IDOPTION 100%%\n'
            'test_id_option=--load-list $IDFILE\ntest_list_option=--list\ngroup_regex=([^\\.]+\\.)+\n'
            'filter_tags=worker layer\n  other\ntest_run_concurrency=echo %(n)s\nn=3\ninstance_provision=p $INSTANCE_COUNT\n'
            'instance_execute=e $INSTANCE_ID $FILES -- $COMMAND\ninstance_dispose=d $INSTANCE_IDS\n')
        self.assertEqual(said['concurrency'], 'echo 3')
        self.assertEqual(said['instance_provision'], 'p $INSTANCE_COUNT')
        self.assertEqual(said['instance_execute'], 'e $INSTANCE_ID $FILES -- $COMMAND')
        self.assertEqual(said['instance_dispose'], 'd $INSTANCE_IDS')
        self.assertEqual(said['grouping'], GROUP_REGEX)
        self.assertEqual(said['how'], IDS_FILE)

    def test_arguments_come_behind_the_command(self):
        self.compare('[DEFAULT]\ntest_command=x $IDOPTION\ntest_id_option=$IDLIST\n', ('-f', '$IDLIST', 'a b'))

    def test_default_ids(self):
        said = self.compare('[DEFAULT]\ntest_command=x $LISTOPT $IDLIST\ntest_list_option=-l\n'
                            'test_id_list_default=a  b\n  c\n')
        self.assertEqual(said['default_ids'], ['a', 'b', 'c'])
        self.assertEqual(in_shell(said['all']), 'x  a b c')
        self.assertEqual(said['ids'], IDS_WRITTEN)

    def test_no_list(self):
        said = self.compare('[DEFAULT]\ntest_command=make check\n')
        self.assertEqual((said['lists'], said['ids'], said['how']), (LISTS_NOTHING, IDS_ALL, IDS_ALL))

    def test_generated(self):
        rnd = random.Random(SEED)
        pieces = ('$IDOPTION', '$IDFILE', '$IDLIST', '$LISTOPT', '$IDFILES', '$HOME', '$', '$$IDLIST', '%%', '%(v)s',
                  ' ', '-x', '"a b"', "'c'", ';', '\\\n   ', 'word', '${IDLIST}', '$idfile', '\u00e9')

        def some():
            return ''.join(rnd.choice(pieces) for _ in range(rnd.randrange(1, 8))).strip() or 'x'
        for number in range(GENERATED_FILES):
            lines = ['test_command=' + some(), 'test_id_option=' + some(), 'test_list_option=' + some(), 'v=' + 'w $IDLIST']
            if rnd.random() < 0.3:
                lines.append('group_regex=' + rnd.choice(('([^.]+\\.)+', 'x*', 'pkg', '.*_(a|b)$', '\\w+', '(?P<n>.)(?P=n)?')))
            if rnd.random() < 0.3:
                lines.append('test_id_list_default=' + rnd.choice(('a b', ' ', 'c')))
            rnd.shuffle(lines)
            text = '[DEFAULT]\n' + '\n'.join(lines) + '\n'
            with self.subTest(seed=SEED, number=number, text=text):
                self.compare(text, rnd.choice(((), ('-v', '$LISTOPT'))))

    def test_mistakes(self):
        for text, sentence in (
                ('[DEFAULT]\n', 'has no test_command'),
                ('[x]\ntest_command=x\n', 'has no test_command'),
                ('test_command=x\n', 'line 1: options come after'),
                ('[DEFAULT]\ntest_command=x $IDOPTION', 'test_command has $IDOPTION, and there is no test_id_option'),
                ('[DEFAULT]\ntest_command=x $LISTOPT', 'test_command has $LISTOPT, and there is no test_list_option'),
                ('[DEFAULT]\ntest_command=date +%s', 'line 2: "test_command" has a %'),
                ('[DEFAULT]\ntest_command=%(x)s', 'there is no such option'),
                ('[DEFAULT]\ntest_command=%(test_command)s', 'refers to itself'),
                ('[DEFAULT]\ntest_command=x\ngroup_regex=(', 'line 3: "group_regex" is "(": at character 2')):
            with self.subTest(text):
                self.write('.testr.conf', text)
                self.assertIn(sentence, self.refused())
        os.remove(os.path.join(self.folder, '.testr.conf'))
        self.assertIn('there is no .testr.conf in ' + self.folder, self.refused(runner='testr'))

    def test_ids_that_the_shell_takes_apart(self):
        text = '[DEFAULT]\ntest_command=x $IDOPTION\ntest_id_option='
        for id in ('a b', 'a;b', 'a(b)', "it's", 'a\\b', '$HOME', '#x', '~x', 'a*'):
            self.write('.testr.conf', text + '$IDLIST')
            self.assertIn('by $IDFILE instead', self.choose(ids=['x', id])['job_error'])
            self.write('.testr.conf', text + '$IDFILE')
            self.assertIn('job', self.choose(ids=[id]))
        self.write('.testr.conf', text + '$IDLIST')
        self.assertIn('too long', self.choose(ids=['i' * 99] * 2000)['job_error'])


class Stestr(Witness):
    def compare(self, text):
        self.write('.stestr.conf', text)
        said = self.choose()
        listed, run, groups = self.as_stestr(IDS)
        self.assertEqual(in_shell(said['list']), listed)
        self.assertEqual(in_shell(said['job']), run)
        self.assertEqual(said['groups'], groups)
        self.assertEqual((said['name'], said['how'], said['lists']), ('stestr', IDS_FILE, LISTS_SUBUNIT))
        return said

    def test_all_options(self):
        said = self.compare('[DEFAULT]\ntest_path=${DIR:-./tests}\ntop_dir=./x y\n')
        self.assertEqual(in_shell(said['serve']),
                         'exec ${PYTHON:-python3} "%s" --serve -- discover -t "./x y" "${DIR:-./tests}"'
                         % adaptor('mux_unittest.py'))
        self.compare('[DEFAULT]\ntest_path=./100%%%(v)s\nv=w\n')
        self.compare('[DEFAULT]\ntest_path=t\ngroup_regex=([^\\.]*\\.)*\n')
        for word in ('True', 'on', '1', 'no', 'FALSE'):
            self.compare('[DEFAULT]\ntest_path=t\ngroup_regex=pkg\nparallel_class=%s\n' % word)

    def test_before_testr(self):
        self.write('.testr.conf', '[DEFAULT]\ntest_command=x\n')
        self.write('pyproject.toml', '[tool.stestr]\ntest_path="p"\n')
        self.assertEqual(self.choose()['name'], 'testr')
        self.assertIn('"p"', in_shell(self.choose(runner='stestr')['list']))
        self.compare('[DEFAULT]\ntest_path=t\n')
        self.assertEqual(self.choose(runner='testr')['name'], 'testr')

    def test_mistakes(self):
        for text, sentence in (
                ('[DEFAULT]\n', 'there is no test_path'),
                ('[DEFAULT]\ntest_path=t\nparallel_class=maybe', 'line 3: "parallel_class" is true or false'),
                ('[DEFAULT]\ntest_path=t%', 'line 2: "test_path" has a %'),
                ('[DEFAULT]\ntest_path=t\ngroup_regex=[', 'line 3: "group_regex" is "["')):
            with self.subTest(text):
                self.write('.stestr.conf', text)
                self.assertIn(sentence, self.refused())
        self.assertIn('takes no command', self.refused('x', runner='stestr'))
        os.remove(os.path.join(self.folder, '.stestr.conf'))
        self.assertIn('neither .stestr.conf', self.refused(runner='stestr'))


class Pyproject(Folder):
    """Held against tomllib."""

    FILES = (
        '[tool.stestr]\ntest_path = "./tests"\ntop_dir = \'./x y\'\ngroup_regex = \'([^\\.]*\\.)*\'\n',
        '[project]\nname = "x"\nkeywords = ["a", \'b\', # c\n "[tool.stestr]",\n]\n[tool]\nstestr.test_path = "t"\n',
        '[tool]\nstestr = { test_path = "t", top_dir = "u" }\n',
        '[a]\nb = """\n[tool.stestr]\ntest_path = "no"\n"""\n[tool."stestr"]\n"test_path" = """\\\n   \\\n  t\\u00e9"""\n',
        '[tool.stestr]\ntest_path = "t" # comment\nparallel_class = true\n[[tool.other]]\ntest_path = "no"\n',
        '[tool.stestr]\ntest_path = """t""\\t"""""\nparallel_class = false\ngroup_regex = "^[^.]+"\n',
        "a = 1979-05-27 07:32:00\nb = [[1, 2], [\"x\", {c = 3}]]\n[ tool . stestr ]\ntest_path = '''\n''t'\\'''\n",
        'tool.stestr.test_path = "t"\n["tool.stestr"]\ntest_path = "no"\n',
        '[tool.stestr]\r\ntest_path = "t\\\\n\\n"\r\nunknown = 1e9\r\n',
    )

    def test_what_tomllib_says(self):
        for text in self.FILES:
            with self.subTest(text):
                path = self.write('pyproject.toml', '')
                with open(path, 'w', newline='', encoding='utf-8') as file:
                    file.write(text)
                table = tomllib.loads(text)['tool']['stestr']
                said = self.choose()
                self.assertEqual(in_shell(said['list']),
                                 '${PYTHON:-python3} -m stestr.subunit_runner.run discover -t "%s" "%s" --list '
                                 % (table.get('top_dir', './'), table['test_path']))
                grouped = table.get('parallel_class') or table.get('group_regex')
                self.assertEqual(said['grouping'], GROUP_REGEX if grouped else GROUP_NONE)

    def test_without_the_table(self):
        for text in ('', '[tool.black]\nline-length = 100\n', '["tool.stestr"]\ntest_path = "x"\n',
                     '[[tool.stestr]]\ntest_path = "x"\n'):
            self.write('pyproject.toml', text)
            self.assertIn('there is no command', self.refused())

    def test_mistakes(self):
        for text, sentence in (
                ('[tool.stestr]\ntop_dir = "x"\n', 'there is no test_path'),
                ('[tool.stestr]\ntest_path = 3\n', 'line 2: this is to be a string'),
                ('[tool.stestr]\nparallel_class = "yes"\n', 'line 2: this is to be true or false'),
                ('[tool.stestr]\ntest_path = "t"\ngroup_regex = "("\n', 'line 3: "group_regex" is "("'),
                ('[tool.stestr]\ntest_path = "t\n', 'line 2: a string has no end'),
                ('[tool.stestr]\ntest_path\n', 'line 2: = is expected'),
                ('[tool.stestr\n', 'line 1: the name of a table'),
                ('a = "\\d"\n', 'line 1: a backslash'),
                ('a = ["x" "y"]', 'is expected in an array'),
                ('a = ' + '[' * 100, 'line 1: arrays and tables nest too deep')):
            with self.subTest(text):
                self.write('pyproject.toml', text)
                self.assertIn(sentence, self.refused())


if __name__ == '__main__':
    unittest.main()
