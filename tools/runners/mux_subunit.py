"""Writes packets of subunit v2, by the standard library alone. muxd-protocol(7) has the format.

One packet is one os.write(), under a lock: threads of tests cannot cut into each other's. A forked child
writes none, so that what it does with its copy of the runner cannot pass for results.
"""
import binascii
import collections
import os
import threading
import time

STATUSES = {None: 0, 'exists': 1, 'inprogress': 2, 'success': 3, 'uxsuccess': 4, 'skip': 5, 'fail': 6,
            'xfail': 7}
TEXT = 'text/plain;charset=utf8'

PACKET_BYTES_MAX = 4194303  # what a length of three bytes can say

# Of a file, in one packet: small beside the buffers of those who read it, large beside the packet's head.
PIECE_BYTES = 60000


def clean(text):
    """Text that a packet can hold: neither NUL nor half a surrogate pair."""
    return text.replace('\0', '\\x00').encode('utf-8', 'backslashreplace').decode()


def _number(value):
    if value < 1 << 6:
        return bytes((value,))
    if value < 1 << 14:
        return (value | 1 << 14).to_bytes(2, 'big')
    if value < 1 << 22:
        return (value | 2 << 22).to_bytes(3, 'big')
    return (value | 3 << 30).to_bytes(4, 'big')


def _string(text):
    data = clean(text).encode()
    return _number(len(data)) + data


def _length(rest_bytes):
    """The field that says how long the packet is, this field included."""
    for width, bits in (1, 6), (2, 14), (3, 22):
        if rest_bytes + width < 1 << bits:
            return _number(rest_bytes + width) if width == 1 else \
                (rest_bytes + width | (width - 1) << bits).to_bytes(width, 'big')
    raise ValueError('a packet of %d bytes is more than subunit can say' % rest_bytes)


def packet(test_id=None, status=None, runnable=True, tags=(), file_name=None, content=b'', mime=None,
           eof=False, time_ns=None):
    flags = 0x2000 | STATUSES[status] | runnable << 8 | eof << 4
    fields = []
    if time_ns is not None:
        flags |= 0x200
        fields += (time_ns // 1000000000).to_bytes(4, 'big'), _number(time_ns % 1000000000)
    if test_id is not None:
        flags |= 0x800
        fields.append(_string(test_id))
    if tags:
        flags |= 0x80
        fields.append(_number(len(tags)))
        fields += map(_string, sorted(tags))
    if mime is not None:
        flags |= 0x20
        fields.append(_string(mime))
    if file_name is not None:
        flags |= 0x40
        fields += _string(file_name), _number(len(content)), content
    body = b''.join(fields)
    start = b'\xb3' + flags.to_bytes(2, 'big')
    whole = start + _length(len(start) + len(body) + 4) + body
    return whole + binascii.crc32(whole).to_bytes(4, 'big')


class Stream:
    """The packets of one process. `test` is the test in progress, to whose files prints belong."""

    def __init__(self, fd, complain):
        """complain(text) says on stderr that the stream is broken."""
        self.test = None
        self.is_child = False
        self._fd = fd
        self._complain = complain
        self._lock = threading.RLock()
        self._waiting = collections.deque()
        self._is_writing = False
        os.register_at_fork(after_in_child=self._become_child)

    def event(self, test_id=None, status=None, **fields):
        self._write(packet(test_id, status, time_ns=time.time_ns(), **fields))

    def file(self, test_id, name, content, mime=TEXT, eof=True, **fields):
        """One file, or with eof=False a part of one."""
        pieces = range(0, len(content), PIECE_BYTES) or (0,)
        for start in pieces:
            self.event(test_id, file_name=name, content=content[start:start + PIECE_BYTES], mime=mime,
                       eof=eof and start == pieces[-1], **fields)

    def text(self, test_id, name, text, **fields):
        self.file(test_id, name, clean(text).encode(), **fields)

    def _become_child(self):
        self.is_child = True

    def _write(self, data):
        # A signal's handler may print in the middle of this: its packet waits for the one begun.
        self._waiting.append(data)
        with self._lock:
            if self._is_writing or self.is_child:
                return
            self._is_writing = True
            try:
                while self._waiting:
                    self._write_whole(self._waiting.popleft())
            finally:
                self._is_writing = False

    def _write_whole(self, data):
        while data:
            try:
                data = data[os.write(self._fd, data):]
            except BlockingIOError:
                os.set_blocking(self._fd, True)  # somebody else's pipe, too
            except OSError as error:
                self._complain('the results cannot be written: %s' % error)
                os._exit(2)
