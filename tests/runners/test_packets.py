"""tools/runners/mux_subunit.py: its packets are those of python-subunit, byte for byte."""
import datetime
import io
import os
import sys
import threading
import unittest

import rig

sys.path.insert(0, rig.ADAPTORS)
import mux_subunit
from subunit.v2 import StreamResultToBytes

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def theirs(test_id, status, runnable, tags, file_name, content, mime, eof, time_ns):
    out = io.BytesIO()
    time = None if time_ns is None else EPOCH + datetime.timedelta(microseconds=time_ns // 1000)
    StreamResultToBytes(out).status(
        test_id=test_id, test_status=status, runnable=runnable, test_tags=set(tags), file_name=file_name,
        file_bytes=content if file_name else None, mime_type=mime, eof=eof, timestamp=time)
    return out.getvalue()


class Packets(unittest.TestCase):
    def same(self, *fields):
        self.assertEqual(mux_subunit.packet(*fields), theirs(*fields), fields)

    def test_every_combination(self):
        for test_id in None, 'a', '\u2713' * 30, 'l' * 5000:
            for status in mux_subunit.STATUSES:
                for tags in (), ('tag',):
                    for name, content in (None, b''), ('f', b''), ('stdout', b'\xb3\x00' * 10):
                        for mime in None, mux_subunit.TEXT:
                            for time_ns in None, 0, 1700000000123456000, 4294967295999999000:
                                for flag in True, False:
                                    self.same(test_id, status, flag, tags, name, content, mime, not flag, time_ns)

    def test_every_length(self):
        for length in [*range(40, 80), *range(16330, 16400), *range(4194250, 4194290)]:
            fields = 'i', 'fail', True, (), 'f', b'x' * length, None, False, None
            try:
                wanted = theirs(*fields)
            except ValueError:
                self.assertGreater(length, 4194280)
                self.assertRaises(ValueError, mux_subunit.packet, *fields)
            else:
                self.assertEqual(mux_subunit.packet(*fields), wanted)

    def test_text_that_packets_cannot_hold(self):
        for text, wanted in ('a\0b', 'a\\x00b'), ('\udc80', '\\udc80'), ('\ud83d', '\\ud83d'), ('\u2713', '\u2713'):
            event, = rig.oracle.decode(mux_subunit.packet(text))
            self.assertEqual(event['test_id'], wanted)
            self.assertEqual(mux_subunit.clean(wanted), wanted)


class Streams(unittest.TestCase):
    def setUp(self):
        self.out, into = os.pipe()
        self.reader = threading.Thread(target=self.read)
        self.into = into
        self.stream = mux_subunit.Stream(into, self.fail)
        self.reader.start()

    def read(self):
        with open(self.out, 'rb') as out:
            self.bytes = out.read()

    def events(self):
        os.close(self.into)
        self.reader.join()
        return rig.Done(0, self.bytes, b'').events

    def test_large_files_are_split(self):
        content = os.urandom(5 * mux_subunit.PIECE_BYTES + 7)
        for file in content, content[:2 * mux_subunit.PIECE_BYTES], b'':
            self.stream.file('a', 'f', file)
        self.stream.file('a', 'f', b'part', eof=False)
        events = self.events()
        self.assertEqual([len(event.content) for event in events],
                         [mux_subunit.PIECE_BYTES] * 5 + [7] + [mux_subunit.PIECE_BYTES] * 2 + [0, 4])
        self.assertEqual([event.eof for event in events], [False] * 5 + [True, False, True, True, False])
        self.assertEqual(b''.join(event.content for event in events[:6]), content)

    def test_a_pipe_that_does_not_block(self):
        os.set_blocking(self.into, False)
        for _ in range(40):
            self.stream.file('a', 'f', bytes(50000))
        self.assertEqual([len(event.content) for event in self.events()], [50000] * 40)

    def test_threads(self):
        def write(name):
            for _ in range(100):
                self.stream.file(name, 'f', name.encode() * 9000)
        threads = [threading.Thread(target=write, args=(name,)) for name in 'abcd']
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        events = self.events()
        self.assertEqual(len(events), 400)
        self.assertFalse([event for event in events if event.content != event.id.encode() * 9000])

    def test_a_forked_child_writes_nothing(self):
        pid = os.fork()
        if pid == 0:
            self.stream.event('child', 'fail')
            os._exit(0)
        os.waitpid(pid, 0)
        self.stream.event('parent', 'success')
        self.assertEqual([event.id for event in self.events()], ['parent'])


if __name__ == '__main__':
    unittest.main()
