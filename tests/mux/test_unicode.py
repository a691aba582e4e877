"""Every Unicode character as a name: python's tables say which are visible."""
import os
import random

from command import *

# Category Cf, but drawn: before numbers and names.
DRAWN = set('\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd')

# Invisible, though their category does not say so: fillers, selectors, a blank, joiners.
UNSEEN = set('\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U00016fe4')
UNSEEN |= {chr(c) for c in (*range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000))}

MARKS = 8  # the most marks that are drawn on one character


def hidden(c):
    return (c in UNSEEN or (unicodedata.category(c) in ('Cf', 'Zl', 'Zp', 'Cc') and c not in DRAWN) or
            ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) < 0xFDF0)


def escaped(c):
    return '\\x%02x' % ord(c) if c < '\x80' else ('\\u%04x' if c <= '\uffff' else '\\U%08x') % ord(c)


def shown(text):
    return ''.join(escaped(c) if hidden(c) else c for c in text)


class Characters(Case):
    def names(self, names):
        """The output for each."""
        stream = self.fine(mux('encode', stream=b''.join(
            json.dumps({'test_id': name}).encode() + b'\n' for name in names)))
        lines = self.fine(mux('cat', stream=stream)).decode().split('\n')
        self.assertEqual(len(lines), len(names) + 1)
        return [line.removeprefix('-  event  ') for line in lines[:-1]]

    def test_all(self):
        """Characters that python does not know may be drawn or not."""
        known = [chr(c) for c in range(1, 0x110000)
                 if unicodedata.category(chr(c)) != 'Cs' and
                 (unicodedata.category(chr(c)) != 'Cn' or hidden(chr(c)))]
        self.assertGreater(len(known), 280000)
        chunks = [''.join('a' + c for c in known[i:i + 60]) for i in range(0, len(known), 60)]
        for chunk, seen in zip(chunks, self.names(chunks)):
            self.assertEqual(seen, shown(chunk))

    def test_marks(self):
        """The number of marks on one character is bounded, for each mark and for mixtures."""
        marks = [chr(c) for c in range(0x300, 0x110000)
                 if unicodedata.category(chr(c)) in ('Mn', 'Me', 'Mc') and not hidden(chr(c))]
        self.assertGreater(len(marks), 2000)
        for mark, seen in zip(marks, self.names(['a' + mark * 20 + 'b' for mark in marks])):
            self.assertEqual(seen, 'a' + mark * MARKS + escaped(mark) * (20 - MARKS) + 'b')
        rng = random.Random(1)
        mixed = ['a' + ''.join(rng.choices(marks, k=100)) for _ in range(200)]
        for name, seen in zip(mixed, self.names(mixed)):
            self.assertEqual(seen, name[:1 + MARKS] + ''.join(map(escaped, name[1 + MARKS:])))

    def test_own_arguments(self):
        """Names on the user's own command line cannot control the terminal either."""
        evil = 'x\x1b[31m\n\r\t\x07\u202e\u2066\u061c\u180e\u00ad\ufff9\u115f\u3164\uffa0\ufeff' + \
            '\u0301' * 100 + '\U000e0041\x9b2J'
        folder = self.folder()
        path = os.path.join(folder, evil)
        with open(path, 'wb') as file:
            file.write(b'{')
        for arguments in ([evil], ['--' + evil], ['cat', evil], ['cat', '--' + evil], ['cat', path],
                          ['cat', '-' + evil], ['top', evil], ['top', path], ['route', '--prefix', evil + '/'],
                          ['encode', evil], ['encode', path], ['send', evil], ['send', evil + ':7533'],
                          ['send', 'unix:' + path], ['send', '127.0.0.1:1', evil]):
            with self.subTest(arguments):
                done = mux(*arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(done.stderr.count(b'\n'), 1, done.stderr)
                text = done.stderr.decode()
                self.assertFalse([c for c in text[:-1] if hidden(c)], done.stderr)
                self.assertNotIn('\u0301' * (MARKS + 1), text)


if __name__ == '__main__':
    unittest.main()
