"""Subunit v2 for the attack: a writer that can also write invalid packets, and a strict reader."""
import struct
import zlib

STATUS = (None, "exists", "inprogress", "success", "uxsuccess", "skip", "fail", "xfail")
MOST = 4194303  # the largest packet, in bytes


def number(value):
    if value < 1 << 6:
        return bytes([value])
    if value < 1 << 14:
        return struct.pack(">H", 0x4000 | value)
    if value < 1 << 22:
        return bytes([0x80 | value >> 16]) + struct.pack(">H", value & 0xFFFF)
    return struct.pack(">I", 0xC0000000 | value)


def string(text):
    data = text.encode() if isinstance(text, str) else text
    return number(len(data)) + data


def packet(test_id=None, status=None, tags=None, mime=None, file=None, content=b"", route=None, eof=False,
           time=None, wrong_crc=False):
    flags = 0x2100 | STATUS.index(status) | (0x0010 if eof else 0)
    body = b""
    if time is not None:
        flags |= 0x0200
        body += struct.pack(">I", time[0]) + number(time[1])
    if test_id is not None:
        flags |= 0x0800
        body += string(test_id)
    if tags is not None:
        flags |= 0x0080
        body += number(len(tags)) + b"".join(map(string, tags))
    if mime is not None:
        flags |= 0x0020
        body += string(mime)
    if file is not None:
        flags |= 0x0040
        body += string(file) + string(content)
    if route is not None:
        flags |= 0x0400
        body += string(route)
    least = 3 + len(body) + 4
    length = least + (1 if least <= 62 else 2 if least <= 16381 else 3)
    head = b"\xb3" + struct.pack(">H", flags) + number(length) + body
    return head + struct.pack(">I", zlib.crc32(head) ^ wrong_crc)


def hello(identity, name="stranger", version="1"):
    text = "version=%s\nidentity=%s\nname=%s\n" % (version, identity, name)
    return packet(file="muxd.hello", content=text, mime="text/plain;charset=utf8", eof=True)


GOODBYE = packet(file="muxd.goodbye", eof=True)


class Malformed(Exception):
    pass


class Event:
    """One packet's fields; strings as bytes, absent fields as None."""
    __slots__ = ("route", "test_id", "status", "file", "content", "eof")


class Reader:
    """Reads a stream that must consist of whole packets."""

    def __init__(self):
        self.data = bytearray()
        self.packets = self.bytes = 0

    def feed(self, data):
        """Returns the events of the packets that are now whole."""
        self.data += data
        self.bytes += len(data)
        at, events = 0, []
        with memoryview(self.data) as view:
            while len(view) - at >= 8:
                length = self.length(view, at)
                if len(view) - at < length:
                    break
                events.append(self.event(view[at:at + length]))
                at += length
        del self.data[:at]
        self.packets += len(events)
        return events

    def length(self, view, at):
        if view[at] != 0xB3 or view[at + 1] >> 4 != 2 or view[at + 2] & 8:
            raise Malformed("no packet begins with %s" % bytes(view[at:at + 16]).hex())
        length, _ = self.number(view, at + 3)
        if not 8 <= length <= MOST:
            raise Malformed("a packet of %d bytes" % length)
        return length

    def number(self, view, at):
        width = (view[at] >> 6) + 1
        value = view[at] & 0x3F
        for byte in view[at + 1:at + width]:
            value = value << 8 | byte
        return value, at + width

    def string(self, view, at):
        length, at = self.number(view, at)
        if at + length > len(view) - 4:
            raise Malformed("a string runs past its packet")
        return bytes(view[at:at + length]), at + length

    def event(self, view):
        if zlib.crc32(view[:-4]) != struct.unpack(">I", view[-4:])[0]:
            raise Malformed("bad checksum in a packet of %d bytes" % len(view))
        flags = view[1] << 8 | view[2]
        _, at = self.number(view, 3)
        event = Event()
        event.status = STATUS[flags & 7]
        event.eof = bool(flags & 0x0010)
        event.route = event.test_id = event.file = event.content = None
        if flags & 0x0200:
            _, at = self.number(view, at + 4)
        if flags & 0x0800:
            event.test_id, at = self.string(view, at)
        if flags & 0x0080:
            count, at = self.number(view, at)
            for _ in range(count):
                _, at = self.string(view, at)
        if flags & 0x0020:
            _, at = self.string(view, at)
        if flags & 0x0040:
            event.file, at = self.string(view, at)
            event.content, at = self.string(view, at)
        if flags & 0x0400:
            event.route, at = self.string(view, at)
        if at != len(view) - 4:
            raise Malformed("bytes between the last field and the checksum")
        return event
