"""mux cat and mux top on input that is not subunit v2: its likely format, and a special exit code."""
import bz2
import base64
import gzip
import lzma
import os
import time
import zipfile

from command import *

STREAM = packet(test_id='a.test', test_status='inprogress') + packet(test_id='a.test', test_status='success')
V1 = b'time: 2009-12-14 17:20:03Z\ntest: a\nfailure: a [ multipart\nContent-Type: text/plain\nlog\n3\r\nwhy0\r\n]\n'
TAP = b'1..2\nok 1 - one\nnot ok 2 - two # TODO later\n'
JUNIT = b'<?xml version="1.0"?>\n<testsuites><testsuite name="s" tests="1"/></testsuites>\n'


class Looks(Case):
    def looks(self, stream, expected, status=3):
        """Both print the same message."""
        path = self.file(stream, 'input')
        for name in ('cat', 'top'):
            for arguments, what in (([name, path], path), ([name], 'stdin')):
                done = mux(*arguments, stream=stream)
                self.assertEqual(done.returncode, status, (expected, done.stderr))
                text = done.stderr.decode()
                self.assertIn('mux %s: %s: ' % (name, what), text)
                self.assertIn(expected, text)
                self.assertEqual(text.count('\n'), 1)
                self.harmless(done.stdout + done.stderr)

    def test_packed(self):
        """Also when bytes look like packets by chance."""
        zipped = os.path.join(self.folder(), 'zip')
        with zipfile.ZipFile(zipped, 'w') as file:
            file.writestr('run.subunit', STREAM)
        with open(zipped, 'rb') as file:
            self.looks(file.read(), 'a zip archive')
        for size in (1, 3000):
            self.looks(gzip.compress(STREAM * size), 'gzip: unpack it first')
            self.looks(bz2.compress(STREAM * size), 'bzip2: unpack it first')
            self.looks(lzma.compress(STREAM * size), 'xz: unpack it first')
        self.looks(b'\x28\xb5\x2f\xfd\x04\x00\x81\x00\x00hello', 'zstd')

    def test_texts(self):
        for stream, expected in (
                (V1, 'subunit v1: subunit-1to2'),
                (b'hello\n' * 20 + V1, 'subunit v1: subunit-1to2'),
                (b'test a\r\nsuccess a\r\n', 'subunit v1'),
                (b'test: \x00a\nsuccess: \x00a\n', 'subunit v1'),
                (TAP, 'TAP: tap2subunit'),
                (b'TAP version 13\n' + TAP, 'TAP: tap2subunit'),
                (b'# comment\nok\n', 'TAP: tap2subunit'),
                (JUNIT, 'JUnit XML'),
                (b'\xef\xbb\xbf' + JUNIT, 'JUnit XML'),
                (b'<!DOCTYPE html><html>', 'HTML'),
                (b'{"test_id": "a", "test_status": "success"}\n', 'events as JSON: mux encode'),
                (b'{"a": 1}', 'JSON'),
                (b'hello\ntesting the waters\nerror: none\n', 'plain text'),
                (b'\xff\xfe' + 'test'.encode('utf-16-le'), 'UTF-16 text'),
                ('\ufefftest: a\n'.encode('utf-16-be'), 'UTF-16 text'),
                ('a long line of words'.encode('utf-16-le'), 'UTF-16 text'),
                ('\ufeffabc'.encode('utf-32-le'), 'UTF-32 text'),
                (b' \n\r\n\t', 'nothing but blanks')):
            with self.subTest(stream[:30]):
                self.looks(stream, expected)

    def test_what_happened_to_packets(self):
        self.looks(STREAM[:10], 'subunit v2, cut off or damaged')
        self.looks(STREAM.decode('latin-1').encode(), 'subunit v2 that was taken for text')
        self.looks(STREAM.decode('utf-8', 'replace').encode(), 'subunit v2 that was taken for text')
        self.looks(base64.b64encode(STREAM), 'subunit v2 in base64')

    def test_others(self):
        with open('/proc/self/exe', 'rb') as file:
            self.looks(file.read(2000), 'an ELF program')
        self.looks(bytes(70000), 'nothing but NUL bytes')
        self.looks(bytes(range(256)) * 10, 'binary data of some other kind')

    def test_empty(self):
        self.looks(b'', 'it is empty')
        self.looks(b'\xef\xbb\xbf', 'it is empty')

    def test_one_of_several(self):
        """The others are shown, and the exit code reports it."""
        good, bad = self.file(STREAM), self.file(V1, 'old')
        done = mux('cat', bad, good)
        self.assertEqual(done.returncode, 3)
        self.assertIn(bad + ': not one subunit v2 packet', done.stderr.decode())
        self.assertIn(b'-  success  a.test\n', done.stdout)

    def test_chatter_is_fine(self):
        """One packet makes it a stream, with any bytes around it."""
        for around in (V1, TAP, b'BZhello\n', b'{"a": 1}\n', b'PKZIP\n'):
            self.fine(mux('cat', stream=around + STREAM + around))
            self.fine(mux('top', stream=around + STREAM + around))

    def test_byte_order_mark(self):
        """At the beginning it is left out; elsewhere, or incomplete, it is chatter."""
        mark = b'\xef\xbb\xbf'
        shown = self.fine(mux('cat', stream=STREAM))
        self.assertEqual(self.fine(mux('cat', stream=mark + STREAM)), shown)
        self.assertEqual(self.fine(mux('top', stream=mark + STREAM)), self.fine(mux('top', stream=STREAM)))
        path = self.file(mark + STREAM)
        self.assertEqual(self.fine(mux('cat', path, path)), shown * 2)
        for stream, chatter in ((mark * 2 + STREAM, mark), (STREAM + mark, mark),
                                (mark[:2] + b'\n' + STREAM, mark[:2] + b'\n')):
            self.assertIn(events.chatter(chatter),
                          as_events(self.fine(mux('cat', '--json', stream=stream))))
        self.same(as_events(mux('cat', '--json', stream=mark[:2]).stdout), [events.chatter(mark[:2])])

    def test_byte_order_mark_in_pieces(self):
        cat = self.start('cat')
        for byte in b'\xef\xbb\xbf':
            cat.stdin.write(bytes([byte]))
            time.sleep(0.05)
        cat.stdin.write(STREAM)
        cat.stdin.close()
        self.assertEqual(cat.stdout.read(), self.fine(mux('cat', stream=STREAM)))
        self.assertEqual(cat.wait(PATIENCE), 0)


if __name__ == '__main__':
    unittest.main()
