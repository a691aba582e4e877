#!/usr/bin/env python3
"""tools/base/ini held against python's configparser: hand-made files, and generated ones.

usage: test_ini.py INI_PROBE [--seed SEED]

Both read the same files. What one refuses the other refuses, in the same line; sections, options, values
and what basic interpolation makes of these are the same. The seed is printed.
"""
import argparse
import configparser
import json
import os
import random
import subprocess
import sys
import tempfile

GENERATED_FILES = 4000
BATCH_FILES = 500

# What users write, and what readers of INI files get wrong.
HAND_MADE = (
    b'',
    b'\n\n',
    b'[DEFAULT]\ntest_command=OS_STDOUT_CAPTURE=${OS_STDOUT_CAPTURE:-1} \\\n'
    b'    ${PYTHON:-python} -m subunit.run discover . $LISTOPT $IDOPTION\n'
    b'test_id_option=--load-list $IDFILE\ntest_list_option=--list\n',
    b'[DEFAULT]\na = b ; c # d\n; e = f\n  # g = h\ni = "j"\n',
    b'[DEFAULT]\na = 1\n\n\n   2\n\n   3\n\n[x]\nb = 4\n',
    b'[DEFAULT]\na = 1\n# between\n   2\n  ; indented\n   3\n',
    b'[DEFAULT]\na = 1\n  b = 2\n c = 3\n',
    b'[DEFAULT]\n  a = 1\n  b = 2\n    c\n d = 4\n',
    b'[x]\n    indented = 1\n',
    b'[a] = b] c\nd = 1\n',
    b'[]\n', b'[]=x\n', b'[]]\nx=1\n', b'[ a ]\nx=1\n', b'[a\nx=1\n', b'[x]\n[]=1\n',
    b'x=1\n', b'\xef\xbb\xbf[DEFAULT]\na=1\n', b'# only\n',
    b'[DEFAULT]\na\n', b'[DEFAULT]\n=1\n', b'[DEFAULT]\n = 1\nb\n', b'[DEFAULT]\na=1\n[x]\n:\n',
    b'[DEFAULT]\nA=1\na=2\n', b'[x]\na=1\n[y]\na=2\n[x]\nb=3\n', b'[DEFAULT]\na=1\n[x]\nb=1\n[DEFAULT]\nc=1\n',
    b'[DEFAULT]\na=1\n[DEFAULT]\na=1\n', b'[x]\n[x]\n', b'[default]\na=1\n[DEFAULT]\na=1\n',
    b'[DEFAULT]\na = b = c : d\ne : f = g\nh=\ni:\n   j\n',
    b'[DEFAULT]\r\na = 1\r\n  2\r\n\r\nb=3\r\n', b'[DEFAULT]\ra=1\rb=2', b'[DEFAULT]\n\ra=1\n\r\nb=2\n',
    b'[DEFAULT]\na=50%%\nb=%(a)s and %(A)s\nc=%(d)s\nd=%(b)s\n',
    b'[DEFAULT]\na=%\nb=%x\nc=%(a\nd=%()s\ne=%(a)d\nf=%(nothing)s\ng=%%(a)s\nh=%%%%\n',
    b'[DEFAULT]\na=%(a)s\nb=%(c)s\nc=%(b)s\n',
    b'[DEFAULT]\nwho=all\na=hello %(who)s\n[x]\nwho=you\n[y]\na=mine %(who)s\n',
    b'[DEFAULT]\n' + b''.join(b'v%d=%%(v%d)s\n' % (i, i + 1) for i in range(14)) + b'v14=%%\n',
    b'[DEFAULT]\n' + b''.join(b'v%d=%%(v%d)s\n' % (i, i + 1) for i in range(14)) + b'v14=x\n',
    '[DEFAULT]\n\u00a0a = 1\n\u3000\u2003b\nc\u2009=\u0085d\u2028\ne=\u200bf\n'.encode(),
    b'[DEFAULT]\na\x0b=\x1c1\x1d\n\x0cb=2\n', b'[DEFAULT]\na=\xff\n', b'[DEFAULT]\na=1\nb=\xed\xa0\x80\n',
    b'[DEFAULT]\na=' + b'x' * 5000 + b'\n  ' + b'y' * 5000 + b'\n', b'[DEFAULT]\na=1', b'[DEFAULT]\na', b'[DEFAULT',
    b'[DEFAULT]\na=1\n  [x]\n  b=2\n', b'[DEFAULT]\n  a=1\n[x]\n  b=2\n   c\n', b'[x]\na=1\n\n  \n\t\n b\n',
)

PIECES = (
    '[DEFAULT]', '[x]', '[y]', '[x y]', '[', ']', '=', ':', ' = ', 'a', 'b', 'A', 'c', 'key', 'a=1', 'b = 2', 'c: 3',
    'd=%(a)s', 'e=%(b)s%%', '%', '%%', '%(', ')s', '%(c)s', '#', ';', '# comment', '; c = d', ' ', '  ', '\t', '    ',
    '\n', '\n', '\n', '\n ', '\n  ', '\n\n', '\r\n', '\r', '\\', '\\\n', '"', "'", '$IDFILE', '\u00e9', '\u6d4b',
    '\U0001f600', '\u00a0', '\u2003', '\x0b', '\x0c', '\x1c', '\x85', '\ufeff', 'word another',
)
NAMES = ('a', 'b', 'c', 'A', 'test_command', 'group_regex', 'x y', '\u00e9')
VALUES = ('', '1', 'python -m x $LISTOPT', '%(a)s', '%(b)s %(c)s', '50%%', '%', 'a = b', '; x', '# x', '[x]', '  pad  ')


def soup(rnd):
    return ''.join(rnd.choice(PIECES) for _ in range(rnd.randrange(1, 40)))


def plausible(rnd):
    """A file as people write them, with few mistakes."""
    lines = ['[DEFAULT]']
    for _ in range(rnd.randrange(12)):
        indent = ' ' * rnd.choice((0, 0, 0, 1, 2, 4))
        lines.append(indent + rnd.choice((
            lambda: rnd.choice(NAMES) + rnd.choice(('=', ' = ', ':', ' : ')) + rnd.choice(VALUES),
            lambda: rnd.choice(NAMES) + str(rnd.randrange(99)) + '=' + rnd.choice(VALUES),
            lambda: '    ' + rnd.choice(VALUES),
            lambda: rnd.choice(('# note', '; note', '', '')),
            lambda: '[%s%d]' % (rnd.choice('xy'), rnd.randrange(9)),
        ))())
    return rnd.choice(('\n', '\n', '\r\n')).join(lines) + rnd.choice(('\n', ''))


def generated(rnd):
    text = soup(rnd) if rnd.random() < 0.4 else plausible(rnd)
    if rnd.random() < 0.3:
        text = '[DEFAULT]\n' + soup(rnd)
    content = text.encode()
    if rnd.random() < 0.02:
        content += b'\xff\n'
    return content


def expanded(parser, section, option):
    try:
        return parser.get(section, option)
    except configparser.InterpolationError:
        return None


def lines_of(error):
    """The first line that configparser complains of, if it says so."""
    if isinstance(error, configparser.ParsingError) and getattr(error, 'errors', None):
        return error.errors[0][0]
    return getattr(error, 'lineno', None)


def witness(path):
    """What configparser says, as ini_probe says it."""
    parser = configparser.ConfigParser()
    try:
        with open(path, encoding='utf-8') as file:
            parser.read_file(file)
    except (configparser.Error, UnicodeDecodeError) as error:
        return {'line': lines_of(error)}
    return {'sections': [
        [section, {name: [value, expanded(parser, section, name)]
                   for name, value in parser._unify_values(section, {}).items()}]
        for section in ['DEFAULT', *parser.sections()]]}


def compared(said):
    if 'sections' not in said:
        return {'line': said['line']}
    return {'sections': [[section, {name: rest for name, *rest in options}]
                         for section, options in said['sections']]}


def is_same(ours, theirs):
    """configparser goes on after some errors and then may complain of a later line alone."""
    if 'sections' in ours or 'sections' in theirs:
        return ours == theirs
    return theirs['line'] is None or 0 < ours['line'] <= theirs['line']


def probe(program, paths):
    result = subprocess.run([program, *paths], stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in result.stdout.split(b'\n')[:-1]]


def compare(program, contents, directory):
    """Returns how many files were good ones."""
    paths = []
    for number, content in enumerate(contents):
        paths.append(os.path.join(directory, '%d.ini' % number))
        with open(paths[-1], 'wb') as file:
            file.write(content)
    good = 0
    said = probe(program, paths)
    assert len(said) == len(contents), 'a line for each file'
    for content, path, ours in zip(contents, paths, said):
        theirs = witness(path)
        if not is_same(compared(ours), theirs):
            sys.exit('%r:\nwe say          %r\nconfigparser    %r' % (content, ours, theirs))
        assert 'sections' in ours or ours['error'], content
        good += 'sections' in ours
    return good


def powers(last):
    """Each value is the next one a hundred times."""
    return b'[DEFAULT]\n' + b''.join(
        b'v%d=%s\n' % (i, b'%%(v%d)s' % (i + 1) * 100) for i in range(8)) + b'v8=%s\n' % last


def only_ours(program, directory):
    """What ours alone refuses, and must not take long over."""
    contents = (b'[DEFAULT]\na=1\nb=\0\n', b'[DEFAULT]\n' + b'x' * (1 << 20), powers(b''),
                powers(b'0123456789'))
    paths = []
    for number, content in enumerate(contents):
        paths.append(os.path.join(directory, 'ours%d.ini' % number))
        with open(paths[-1], 'wb') as file:
            file.write(content)
    nul, large, empty, long = probe(program, paths)
    assert nul['line'] == 3 and 'NUL' in nul['error'], nul
    assert large['line'] == 0 and 'larger than' in large['error'], large
    for said in (empty, long):
        values = {name: value for name, _, value in said['sections'][0][1]}
        assert values['v0'] is None and values['v7'] is not None, values


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('probe')
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print('seed', arguments.seed, flush=True)
    rnd = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as directory:
        good = compare(arguments.probe, HAND_MADE, directory)
        for _ in range(GENERATED_FILES // BATCH_FILES):
            contents = [generated(rnd) for _ in range(BATCH_FILES)]
            good += compare(arguments.probe, contents, directory)
        only_ours(arguments.probe, directory)
    total = len(HAND_MADE) + GENERATED_FILES
    print('%d files, %d of them good' % (total, good))
    assert total / 10 < good < total, 'both kinds are there'


main()
