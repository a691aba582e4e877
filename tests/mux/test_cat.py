"""mux cat: every stream of the corpora as JSON, and the output for people."""
import datetime
import os
import random

from command import *

EVIL = 'a\x1b[31mb\x1b]0;title\x07c\x9b2J\x7f\r\u202ed\u2066'


def has_damage(expected):
    return any(event.file_name == 'Parser Error' for event in expected)


def has_packets(expected):
    """There are events besides those of chatter and damage."""
    return any(event.test_id != 'subunit.parser' and
               (event.test_id, event.file_name, event.mime_type) != (None, 'stdout', None)
               for event in expected)


class Json(Case):
    def test_corpora(self):
        found = cases('valid', 'real', 'corrupt')
        self.assertGreater(len(found), 100)
        for path in found:
            with self.subTest(os.path.relpath(path, corpus.CORPORA)):
                expected, convert = corpus.expected_events(path)
                done = mux('cat', '--json', stream=corpus.load(path + '.bin'))
                self.assertEqual(b'not one subunit v2 packet' in done.stderr, not has_packets(expected))
                self.assertEqual(done.stderr.count(b'\n'), not has_packets(expected))
                self.assertEqual(done.returncode,
                                 0 if has_packets(expected) and not has_damage(expected) else 3)
                got = as_events(done.stdout)
                self.same(events.merged(map(convert, got)) if convert else got,
                          list(map(events.carried, expected)))

    def test_fuzz(self):
        """3000 damaged streams as 3000 files: a file's end ends its last packet."""
        folder = self.folder()
        names, expected = [], []
        for case in corpus.lines(corpus.load(os.path.join(corpus.CORPORA, 'fuzz', 'fuzz.jsonl'))):
            names.append(str(case['id']))
            with open(os.path.join(folder, names[-1]), 'wb') as file:
                file.write(bytes.fromhex(case['hex']))
            expected += map(events.from_json, case['muxd'])
        self.assertGreaterEqual(len(names), 3000)
        done = mux('cat', '--json', *names, cwd=folder)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr.decode(), r'\A(mux cat: \d+: (it is empty: )?not one subunit v2 packet.*\n)*\Z')
        self.same(as_events(done.stdout), events.merged(map(events.carried, expected)))

    def test_schema(self):
        """The exact line: order of keys, null for absent fields, tags as on the wire."""
        line = self.fine(mux('cat', '--json', stream=packet(
            test_id='\u00e9"', test_status='fail', file_name='f', file_bytes=b'\0\xff',
            eof=True, mime_type='a/b', route_code='0/1', runnable=False,
            timestamp=datetime.datetime(2001, 2, 3, 4, 5, 6, 7, datetime.timezone.utc))))
        self.assertEqual(line, b'{"test_id": "\\u00E9\\"", "test_status": "fail", '
                         b'"test_tags": null, "runnable": false, "file_name": "f", '
                         b'"file_b64": "AP8=", "eof": true, "mime_type": "a/b", '
                         b'"route_code": "0/1", "timestamp": [981173106, 7000]}\n')

    def test_ascii_only(self):
        """JSON cannot control a terminal either."""
        output = self.fine(mux('cat', '--json', stream=packet(test_id=EVIL) + EVIL.encode()))
        self.assertFalse([byte for byte in output if byte != 10 and not 0x20 <= byte < 0x80])


class People(Case):
    def test_lines(self):
        stream = (
            packet(test_id='a.test', test_status='inprogress',
                   timestamp=datetime.datetime(2001, 2, 3, 4, 5, 6, 7, datetime.timezone.utc)) +
            packet(test_id='a.test', test_status='fail', test_tags={'slow'}, route_code='0/3') +
            packet(test_id='a.test', file_name='traceback', file_bytes=b'one\n  two\n', eof=True,
                   mime_type='text/plain;charset=utf8') +
            packet(test_id='a.test', file_name='core', file_bytes=b'text?',
                   mime_type='application/octet-stream') +
            b'chatter\n' +
            packet(file_name='x', file_bytes=b'', mime_type='text/plain'))
        self.assertEqual(self.fine(mux('cat', stream=stream)).decode(), '''\
-  inprogress  a.test  2001-02-03T04:05:06.000007000Z
0/3  fail  a.test  [slow]
-  file  a.test  traceback (10 bytes, text/plain;charset=utf8, end)
      one
        two
-  file  a.test  core (5 bytes, application/octet-stream)
-  file  stdout (8 bytes)
      chatter
-  file  x (0 bytes, text/plain)
''')

    def test_nanoseconds_over_a_second(self):
        """Whole seconds are carried, for people and in JSON, also past 32 bits."""
        for seconds, nanoseconds, shown, text in (
                (1, 1073741823, [2, 73741823], '1970-01-01T00:00:02.073741823Z'),
                (1, 1000000000, [2, 0], '1970-01-01T00:00:02.000000000Z'),
                (1, 999999999, [1, 999999999], '1970-01-01T00:00:01.999999999Z'),
                (86399, 1000000001, [86400, 1], '1970-01-02T00:00:00.000000001Z'),
                (4294967295, 999999999, [4294967295, 999999999], '2106-02-07T06:28:15.999999999Z'),
                (4294967295, 1073741823, [4294967296, 73741823], '2106-02-07T06:28:16.073741823Z')):
            stream = self.fine(mux('encode', stream=json.dumps(
                {'test_id': 'a', 'timestamp': [seconds, nanoseconds]}).encode()))
            self.assertEqual(self.fine(mux('cat', stream=stream)).decode(), '-  event  a  %s\n' % text)
            self.assertEqual(json.loads(self.fine(mux('cat', '--json', stream=stream)))['timestamp'], shown)
            routed = self.fine(mux('route', '--prefix', '7', stream=stream))
            self.assertEqual(self.fine(mux('route', '--strip', stream=routed)), stream)

    def test_damage(self):
        """Reported as by python-subunit; events after it are shown."""
        broken = bytearray(packet(test_id='broken', test_status='success'))
        broken[-1] ^= 1
        done = mux('cat', stream=bytes(broken) + packet(test_id='whole', test_status='success'))
        self.assertEqual(done.returncode, 3)
        lines = done.stdout.decode().splitlines()
        self.assertIn('-  file  subunit.parser  Packet data (%d bytes, application/octet-stream, '
                      'end)' % len(broken), lines)
        self.assertTrue(lines[1].startswith('-  fail  subunit.parser  Parser Error ('), lines)
        self.assertEqual(lines[-1], '-  success  whole')

    def test_tail(self):
        """Of a long text the end is shown, with the length of the rest."""
        text = b''.join(b'line %d\n' % i for i in range(1000))
        lines = self.fine(mux('cat', stream=packet(
            test_id='t', file_name='log', file_bytes=text, mime_type='text/plain'))).splitlines()
        self.assertEqual(lines[1], b'      ... %d bytes before' % text.index(b'line 900\n'))
        self.assertEqual(lines[2:], [b'      line %d' % i for i in range(900, 1000)])

    def test_tail_of_one_line(self):
        output = self.fine(mux('cat', stream=packet(
            test_id='t', file_name='log', file_bytes=b'x' * 500000 + b'end\n',
            mime_type='text/plain')))
        self.assertLess(len(output), 20000)
        self.assertTrue(output.endswith(b'xend\n'))

    def test_nothing_controls_the_terminal(self):
        evil = EVIL.encode()
        stream = (packet(test_id=EVIL, test_status='fail', test_tags={EVIL}, file_name=EVIL,
                         file_bytes=evil + b'\xff\xc2', mime_type='text/' + EVIL, route_code=EVIL) +
                  packet(test_id='line\nfeed', file_name='\x1b', file_bytes=b'', mime_type='\x1b[') +
                  evil + b'\x1bc\n' + bytes(range(256)))
        self.harmless(self.fine(mux('cat', stream=stream)))

    def test_random_bytes(self):
        """It ends with a documented exit code, and its output cannot control a terminal."""
        rng = random.Random(7)
        for size in (1, 100, 10000, 1000000):
            with self.subTest(size):
                stream = bytes(rng.choice(b'\xb3\x29\x01\x00\x1b[\n\xff' + bytes([rng.randrange(256)]))
                               for _ in range(size))
                done = mux('cat', stream=stream)
                self.assertIn(done.returncode, (0, 3))
                self.assertRegex(done.stderr, rb'\A(mux cat: stdin: not one .*\n)?\Z')
                self.harmless(done.stdout)

    def test_files(self):
        """One after the other; '-' is stdin."""
        one, two = (self.file(packet(test_id=name)) for name in ('one', 'two'))
        output = self.fine(mux('cat', one, '-', two, stream=packet(test_id='between')))
        self.assertEqual(output, b'-  event  one\n-  event  between\n-  event  two\n')

    def test_missing_file(self):
        """A message, and the others are shown."""
        there = self.file(packet(test_id='there'))
        for bad, why in (('/nonexistent/x', 'No such file or directory'), ('/', 'Is a directory')):
            done = mux('cat', bad, there)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.decode(), 'mux cat: %s: %s\n' % (bad, why))
            self.assertEqual(done.stdout, b'-  event  there\n')


if __name__ == '__main__':
    unittest.main()
