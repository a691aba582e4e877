"""The program stream_probe as a Python object; stream_probe.c describes its requests and answers."""
import struct
import subprocess
import threading

import events

WHOLE, BYTES, RANDOM = 0, 1, 2
STORE_SMALL, RECEIVE_DIRECT, FLUSH = 4, 8, 16

# Every way to cut a stream, with each way to receive and to store it at least once.
MODES = (WHOLE, WHOLE | STORE_SMALL, BYTES, BYTES | STORE_SMALL | FLUSH, BYTES | RECEIVE_DIRECT,
         RANDOM, RANDOM | STORE_SMALL, RANDOM | RECEIVE_DIRECT | FLUSH,
         RANDOM | STORE_SMALL | RECEIVE_DIRECT)

STATUS = (None, 'exists', 'inprogress', 'success', 'uxsuccess', 'skip', 'fail', 'xfail')

TIMEOUT_SECONDS = 1700  # for all requests together: below the test's own, 1800


class Died(Exception):
    pass


class Probe:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.watchdog = threading.Timer(TIMEOUT_SECONDS, self.process.kill)
        self.watchdog.daemon = True
        self.watchdog.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watchdog.cancel()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it died, which has been reported
        self.process.wait(timeout=TIMEOUT_SECONDS)
        self.process.stdout.close()

    def ask(self, operation, stream, mode, seed=0):
        request = struct.pack('<IIII', ord(operation), mode, seed & 0xFFFFFFFF, len(stream))
        try:
            self.process.stdin.write(request + stream)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Died('stream_probe died before')
        head = self.process.stdout.read(4)
        if len(head) < 4:
            raise Died('stream_probe died (%s) of %r, mode %d, seed %d, this stream: %.2000s' % (
                self.process.wait(), operation, mode, seed, stream.hex()))
        length, = struct.unpack('<I', head)
        return self.process.stdout.read(length)

    def read(self, stream, mode, seed=0):
        """The stream's events, merged."""
        return events.merged(frames(self.ask('f', stream, mode, seed)))


class Cursor:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def number(self):
        value, = struct.unpack_from('<I', self.data, self.at)
        self.at += 4
        return value

    def field(self):
        length = self.number()
        if length == 0xFFFFFFFF:
            return None
        self.at += length
        return self.data[self.at - length:self.at]

    def text(self):
        field = self.field()
        return None if field is None else field.decode('utf-8')


def frames(answer):
    cursor = Cursor(answer)
    while cursor.at < len(answer):
        kind = answer[cursor.at:cursor.at + 1]
        cursor.at += 1
        if kind == b'P':
            yield packet(cursor)
        elif kind == b'C':
            yield events.chatter(cursor.field())
        else:
            content, why = cursor.field(), cursor.field()
            yield from events.damage(content, why)


def packet(cursor):
    status, runnable, eof = cursor.number(), cursor.number(), cursor.number()
    has_timestamp, seconds, nanoseconds = cursor.number(), cursor.number(), cursor.number()
    has_tags, tag_count = cursor.number(), cursor.number()
    test_id, raw_tags = cursor.text(), cursor.field()
    mime_type, file_name, content, route = cursor.text(), cursor.text(), cursor.field(), cursor.text()
    tags = tuple(strings(raw_tags or b'')) if has_tags else None
    assert len(tags or ()) == tag_count, (tags, tag_count)
    return events.Event(test_id, STATUS[status], tags, bool(runnable), file_name, content, bool(eof),
                        mime_type, route, (seconds, nanoseconds) if has_timestamp else None)


def strings(raw):
    at = 0
    while at < len(raw):
        width = (raw[at] >> 6) + 1
        length = int.from_bytes(raw[at:at + width], 'big') & ((1 << (8 * width - 2)) - 1)
        at += width + length
        yield raw[at - length:at].decode('utf-8')
