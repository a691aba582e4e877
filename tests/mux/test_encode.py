"""mux encode: JSON lines back to packets, and messages about wrong lines."""
import base64
import os

from command import *


def line(**fields):
    return json.dumps(fields).encode() + b'\n'


class RoundTrip(Case):
    def test_bytes(self):
        """Packets of python-subunit, with minimal numbers, come back byte for byte."""
        found = 0
        for path in cases('valid'):
            if corpus.load(path + '.mux7.bin') is not None:
                found += 1
                with self.subTest(os.path.relpath(path, corpus.CORPORA)):
                    stream = corpus.load(path + '.bin')
                    shown = self.fine(mux('cat', '--json', stream=stream))
                    self.assertTrue(self.fine(mux('encode', stream=shown)) == stream)
        self.assertGreater(found, 5)

    def test_events(self):
        """With over-long numbers, damage and chatter: encoding and decoding gives the same JSON."""
        for path in cases('valid', 'real', 'corrupt'):
            with self.subTest(os.path.relpath(path, corpus.CORPORA)):
                shown = mux('cat', '--json', stream=corpus.load(path + '.bin')).stdout
                encoded = self.fine(mux('encode', stream=shown))
                self.assertTrue(self.fine(mux('cat', '--json', stream=encoded)) == shown)


class Lines(Case):
    def test_missing_is_absent(self):
        self.assertEqual(self.fine(mux('encode', stream=line(test_id='a', test_status='fail',
                                                             runnable=True))),
                         packet(test_id='a', test_status='fail'))

    def test_null_is_absent(self):
        self.assertEqual(self.fine(mux('encode', stream=line(
            test_id='a', test_status=None, test_tags=None, file_name=None, file_b64=None,
            mime_type=None, route_code=None, timestamp=None, eof=False, runnable=True))),
            packet(test_id='a'))

    def test_file_and_blank_lines(self):
        """A file argument; blank lines are skipped; the last newline may be missing."""
        path = self.file(b'\n  \r\n' + line(test_id='a', runnable=True) + b'\n' +
                         line(test_id='b', runnable=True).rstrip())
        self.assertEqual(self.fine(mux('encode', path)),
                         packet(test_id='a') + packet(test_id='b'))

    def test_largest(self):
        """The largest packet is decoded and encoded; one byte more is refused."""
        fields = dict(file_name='f', runnable=False)
        overhead = 1 + 2 + 3 + 2 + 3 + 4  # signature, flags, LENGTH, name, content's length, CRC
        content = bytes(4194303 - overhead)
        encoded = self.fine(mux('encode', stream=line(
            file_b64=base64.b64encode(content).decode(), **fields)))
        self.assertEqual(len(encoded), 4194303)
        self.assertEqual(len(self.fine(mux('cat', '--json', stream=encoded)).splitlines()), 1)
        done = mux('encode', stream=line(
            file_b64=base64.b64encode(content + b'x').decode(), **fields))
        self.assertEqual((done.returncode, done.stdout), (1, b''))
        self.assertIn(b'line 1: too large for a packet of at most 4194303 bytes', done.stderr)


class Wrong(Case):
    WRONG = (
        (b'{', 'each object stands on a line of its own'),
        (b'[]', 'line 3: "event": expected a JSON object'),
        (b'{"test_id": 1}', '"test_id": expected a string or null'),
        (b'{"test_id": "\\u0000"}', '"test_id": expected a string without NUL'),
        (b'{"mime_type": "a\\u0000"}', '"mime_type": expected a string without NUL'),
        (b'{"route_code": "1/\\u0000"}', '"route_code": expected a string without NUL'),
        (b'{"file_name": "a\\u0000", "file_b64": ""}', '"file_name": expected a string without NUL'),
        (b'{"file_name": "a", "file_b64": "YQ=\\u0000"}', '"file_b64": expected base64'),
        (b'{"test_tags": ["a", "\\u0000"]}', '"test_tags": expected strings without NUL'),
        (b'{"test_status": "fail\\u0000"}', '"test_status": expected exists, inprogress'),
        (b'{"test_status": "\\u0000"}', '"test_status": expected exists, inprogress'),
        (b'{"test_id\\u0000": "a"}', 'NUL byte in object key'),
        (b'{"test_id": "\xff"}', 'line 3: '),
        (b'{"test_id": "\\ud800"}', 'line 3: '),
        (b'{"test_id": "a", "test_id": "b"}', 'line 3: '),
        (b'{"test_idd": "a"}', '"test_idd": expected one of the keys'),
        (b'{"test_status": "passed"}', '"test_status": expected exists, inprogress'),
        (b'{"test_status": 1}', '"test_status": expected exists, inprogress'),
        (b'{"test_tags": "slow"}', '"test_tags": expected a list of strings'),
        (b'{"test_tags": [1]}', '"test_tags": expected a list of strings'),
        (b'{"runnable": 1}', '"runnable": expected true or false'),
        (b'{"eof": "no"}', '"eof": expected true or false'),
        (b'{"file_name": "f"}', 'expected file_name and file_b64 together'),
        (b'{"file_b64": ""}', 'expected file_name and file_b64 together'),
        (b'{"file_name": "f", "file_b64": "YQ"}', '"file_b64": expected base64'),
        (b'{"file_name": "f", "file_b64": "Y Q="}', '"file_b64": expected base64'),
        (b'{"file_name": "f", "file_b64": "Y==="}', '"file_b64": expected base64'),
        (b'{"file_name": "f", "file_b64": "===="}', '"file_b64": expected base64'),
        (b'{"file_name": "f", "file_b64": "YQ==YQ=="}', '"file_b64": expected base64'),
        (b'{"file_name": "f", "file_b64": 5}', '"file_b64": expected base64'),
        (b'{"timestamp": 5}', '"timestamp": expected [seconds'),
        (b'{"timestamp": [1]}', '"timestamp": expected [seconds'),
        (b'{"timestamp": [1, 2, 3]}', '"timestamp": expected [seconds'),
        (b'{"timestamp": [-1, 0]}', '"timestamp": expected [seconds'),
        (b'{"timestamp": [4294967296, 73741824]}', '"timestamp": expected [seconds'),
        (b'{"timestamp": [4294967296, -1]}', '(0 to 1073741823)'),
        (b'{"timestamp": [4294967297, 0]}', '(0 to 4294967295)'),
        (b'{"timestamp": [0, 1073741824]}', '(0 to 1073741823)'),
        (b'{"timestamp": [0, 9223372036854775807]}', '"timestamp": expected [seconds'),
        (b'{"timestamp": [1.5, 0]}', '"timestamp": expected [seconds'),
        (b'[' * 100000, 'line 3: '),
        (b'\0', 'line 3: '),
    )

    def test_wrong(self):
        """The line's number and the expectation; lines before it are written, later ones not."""
        before = line(test_id='before', runnable=True)
        for wrong, message in self.WRONG:
            with self.subTest(wrong[:60]):
                done = mux('encode', stream=before + b'\n' + wrong + b'\n' + before)
                self.assertEqual(done.returncode, 1)
                self.assertEqual(done.stdout, packet(test_id='before'))
                self.assertIn('line 3: ', done.stderr.decode())
                self.assertIn(message, done.stderr.decode())
                self.assertEqual(done.stderr.count(b'\n'), 1)

    def test_largest_timestamp(self):
        """The largest timestamp below those that test_wrong has."""
        encoded = self.fine(mux('encode', stream=line(timestamp=[4294967295, 1073741823])))
        shown = self.fine(mux('cat', '--json', stream=encoded))
        self.assertEqual(json.loads(shown)['timestamp'], [4294967296, 73741823])
        self.assertEqual(self.fine(mux('encode', stream=shown)), encoded)

    def test_other_formats(self):
        for stream, expected in ((packet(test_id='a'), 'it looks like subunit v2'),
                                 (b'test: a\nsuccess: a\n', 'it looks like subunit v1'),
                                 (line(test_id='a').decode().encode('utf-16'), 'it looks like UTF-16'),
                                 (b'{\n  "test_id": "a"\n}\n', 'jq -c')):
            done = mux('encode', stream=stream)
            self.assertEqual((done.returncode, done.stdout), (1, b''))
            self.assertIn('line 1: ', done.stderr.decode())
            self.assertIn(expected, done.stderr.decode())

    def test_byte_order_mark(self):
        self.assertEqual(self.fine(mux('encode', stream=b'\xef\xbb\xbf' + line(test_id='a', runnable=True))),
                         packet(test_id='a'))

    def test_limits_are_named(self):
        text = self.fine(mux('encode', '--help')).decode()
        for limit in ('4194303', '4294967295', '1073741823'):
            self.assertIn(limit, text)

    def test_message_cannot_control_the_terminal(self):
        """The quoted part of a line is harmless."""
        for wrong in ('{"\x9b2J": 1}', '{"a": \x1b]0;t\x07}', '\u202e', '{"\\u001b[2J": 1}'):
            done = mux('encode', stream=wrong.encode() + b'\n')
            self.assertEqual(done.returncode, 1)
            self.harmless(done.stderr)

    def test_endless_line(self):
        """A line longer than any packet needs is refused, not stored without limit."""
        with open('/dev/zero') as zero:
            done = subprocess.run([MUX, 'encode'], stdin=zero, capture_output=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, b''))
        self.assertRegex(done.stderr, rb'line 1: longer than \d+ bytes, more than any packet needs')


if __name__ == '__main__':
    unittest.main()
