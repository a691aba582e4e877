"""Hostile streams, such as a broken or malicious worker could send. All choices come from `rnd`."""
import struct
import zlib

PARTS_MOST = 12

INTERESTING = bytes((0xB3, 0xB3, 0x20, 0x28, 0x29, 0x2F, 0x0A, 0x00, 0x08, 0x3F, 0x40, 0x7F, 0x80,
                     0xBF, 0xC2, 0xC0, 0xE2, 0x82, 0xED, 0xA0, 0xF0, 0x9F, 0xF4, 0xF5, 0xFF, 0x41))

TEXTS = (b'some chatter\n', b'no newline', 'x\u00b3y\n'.encode(), b'area 5 m\xb3 ok\n', b'\xe2\x82',
         b'\xe2\x82\n', b'\xf0\x9f\x98', b'\xe2A\x80', b'\xff\xfe', b'\xed\xa0\x80\xb3', b'\xc2\xb3',
         b'\xe0\xb3\xb3', b'\xf4\xb3\xb3\xb3', b'\xf5\xb3', b'\xc1\xb3', b'\n', b'\r\n', b'\x00' * 40)


def noise(rnd, most):
    return bytes(rnd.choice(INTERESTING) for _ in range(rnd.randrange(1, most)))


def number(rnd):
    """A number in any width, mostly small."""
    width = rnd.choice((1, 1, 1, 1, 2, 2, 3, 4))
    value = rnd.choice((0, 1, 2, 3, 7, 8, 20, 63, rnd.randrange(64), rnd.randrange(1 << (8 * width - 2))))
    value = min(value, (1 << (8 * width - 2)) - 1)
    return (value | (width - 1) << (8 * width - 2)).to_bytes(width, 'big')


def header(rnd, length):
    """A header with this LENGTH, in any width that can hold it."""
    flags = 0x2000 | rnd.getrandbits(12) & ~8
    width = rnd.choice([w for w in (1, 2, 3) if length < 1 << (8 * w - 2)])
    return b'\xb3' + struct.pack('>H', flags) + (length | (width - 1) << (8 * width - 2)).to_bytes(width, 'big')


def candidate(rnd):
    """A valid header with any body: most are refuted sooner or later, some are packets."""
    body = b''.join(rnd.choice((number(rnd), noise(rnd, 6), b'abc'[:rnd.randrange(4)]))
                    for _ in range(rnd.randrange(8)))
    bytes_before_body = rnd.choice((4, 5, 6))
    length = bytes_before_body + len(body) + 4 + rnd.choice((0, 0, 0, 0, -1, 1, 20, 3000))
    packet = header(rnd, max(0, length)) + body
    crc = zlib.crc32(packet) ^ rnd.choice((0, 0, 0, 1, 0x80000000))
    return packet + struct.pack('>I', crc)


def long_candidate(rnd):
    """A large LENGTH with fields that stay valid for long: the bytes after it wait or belong to it."""
    length = rnd.choice((300, 5000, 70000, 4194303))
    body = struct.pack('>I', 5)[rnd.randrange(5):] + number(rnd)
    return header(rnd, length) + body + b'b' * rnd.choice((0, 10, 400, 5000))


def refuted_late(rnd):
    """A test id that fills the packet but for its last bytes, which then do or do not fit."""
    inner = b''.join((b'\xb3\x29\x01\x0c\x03foo\x08U_\x1b', noise(rnd, 30),
                      b't' * rnd.randrange(200))[:rnd.randrange(1, 4)])
    tail = rnd.choice((b'', b'\x00', b'\x01', b'\x40', b'\x05ab', b'\x02ab'))
    flags = rnd.choice((0x2801, 0x2C01, 0x2860, 0x2880))
    body = bytes([0x80, len(inner) >> 8, len(inner) & 255]) + inner + tail
    packet = b'\xb3' + struct.pack('>H', flags) + bytes([0x80, 0, 0]) + body
    length = len(packet) + 4
    packet = packet[:4] + struct.pack('>H', length) + packet[6:]
    return packet + struct.pack('>I', zlib.crc32(packet) ^ rnd.choice((0, 0, 7)))


def long_line(rnd):
    """Chatter around the sizes at which the framer reports or cuts it."""
    unit = rnd.choice((b'x', b'\xe2\x82\xac', b'\xf0\x9f\x98\x80', b'\xc2\xb3', b'\x80', b'\xb3', b'\xb3\x20'))
    size = rnd.choice((60, 64, 65, 1020, 1024, 1025, 1030, 4096, 4100))
    if rnd.random() < 0.01:
        size = 65536
    return b'a' * rnd.randrange(4) + unit * ((size + rnd.randrange(-2, 3)) // len(unit))


def damaged(rnd, packet):
    """A packet with a few errors, often with a corrected CRC."""
    damaged_packet = bytearray(packet)
    for _ in range(rnd.randrange(1, 4)):
        at = rnd.randrange(len(damaged_packet))
        way = rnd.randrange(5)
        if way == 0:
            damaged_packet[at] ^= 1 << rnd.randrange(8)
        elif way == 1:
            damaged_packet[at] = rnd.choice(INTERESTING)
        elif way == 2:
            del damaged_packet[at:at + rnd.randrange(1, 20)]
        elif way == 3:
            damaged_packet[at:at] = noise(rnd, 12)
        else:
            damaged_packet[1:3] = struct.pack('>H', 0x2000 | rnd.getrandbits(12))
        if len(damaged_packet) < 8:
            break
    if len(damaged_packet) >= 8 and rnd.random() < 0.6:
        damaged_packet[-4:] = struct.pack('>I', zlib.crc32(bytes(damaged_packet[:-4])))
    return bytes(damaged_packet)


def attachment(rnd, bases):
    """A stream as the content of a packet, sometimes with a CRC that is wrong: it must stay inside."""
    inner = b''.join(rnd.choice(bases) for _ in range(rnd.randrange(1, 4)))[:16000]
    body = b'\x01f' + (len(inner) | 0x800000).to_bytes(3, 'big') + inner
    length = 6 + len(body) + 4
    packet = b'\xb3\x20\x40' + (length | 0x800000).to_bytes(3, 'big') + body
    return packet + struct.pack('>I', zlib.crc32(packet) ^ rnd.choice((0, 0, 1)))


def part(rnd, bases):
    base = rnd.choice(bases)
    return rnd.choice((
        lambda: base,
        lambda: base,
        lambda: damaged(rnd, base),
        lambda: damaged(rnd, base),
        lambda: base[:rnd.randrange(len(base))],
        lambda: rnd.choice(TEXTS),
        lambda: noise(rnd, 40),
        lambda: b'\xb3' * rnd.randrange(1, 30),
        lambda: candidate(rnd),
        lambda: candidate(rnd),
        lambda: refuted_late(rnd),
        lambda: attachment(rnd, bases),
        lambda: long_candidate(rnd) if rnd.random() < 0.3 else candidate(rnd),
        lambda: long_line(rnd) if rnd.random() < 0.2 else rnd.choice(TEXTS),
    ))()


def stream(rnd, bases):
    whole = b''.join(part(rnd, bases) for _ in range(rnd.randrange(1, PARTS_MOST)))
    return whole[:rnd.randrange(len(whole) + 1)] if rnd.random() < 0.2 else whole
