"""Proves that the sink finds faults: feeds it streams with one fault each."""
import socket
import struct
import subprocess
import time
import zlib

WORKERS = 2
PATIENCE = 10


def packet(route, number, last=False, spoil=0):
    """A packet as bench/packet.h describes it, made independently of bench/packet.c."""
    test = b"a.test.of.the.checker.that.is.long.enough.for.its.length.%08x" % (number // 2)
    tag = b"%c%08x" % (b"e" if last else b"s", number)
    fields = struct.pack(">II", 1700000000, 0xC0000000) + bytes([0x40, len(test)]) + test
    fields += bytes([1, len(tag)]) + tag + bytes([len(route)]) + route
    head = struct.pack(">BHH", 0xB3, 0x2F80 | (3 if number % 2 else 2), 0x4000 | 5 + len(fields) + 4)
    return head + fields + struct.pack(">I", zlib.crc32(head + fields) ^ spoil)


def good(counts=(6, 6)):
    """Both workers' packets in turn; worker w begins at place 2w."""
    stream = [[packet(b"%d" % worker, 2 * worker + i) for i in range(counts[worker])]
              for worker in range(WORKERS)]
    mixed = [one for pair in zip(*stream) for one in pair]
    return mixed + [packet(b"%d" % worker, counts[worker], last=True) for worker in range(WORKERS)]


def cases():
    """(description, stream, whether it is right)"""
    whole = good()

    def changed(index, *replacement):
        return whole[:index] + list(replacement) + whole[index + 1:]

    yield "a whole stream", whole, True
    yield "a wrong CRC", changed(4, packet(b"0", 2, spoil=1)), False
    yield "another worker's route", changed(4, packet(b"1", 2)), False
    yield "a route of no worker", changed(4, packet(b"2", 2)), False
    yield "a route of two segments", changed(4, packet(b"0/0", 2)), False
    yield "swapped routes", changed(4, packet(b"1", 2))[:5] + [packet(b"0", 5)] + whole[6:], False
    yield "a missing packet", changed(4), False
    yield "a worker's first packet missing", changed(0), False
    yield "a missing packet before the last", changed(10), False
    yield "a missing last packet", whole[:-1], False
    yield "a doubled packet", changed(4, whole[4], whole[4]), False
    yield "a doubled last packet", whole + whole[-1:], False
    yield "a packet after the end", whole + whole[:1], False
    yield "reordered packets", whole[:2] + [whole[4], whole[3], whole[2]] + whole[5:], False
    yield "half a packet at the end", whole + [whole[0][:20]], False
    yield "bytes between packets", changed(4, b"chatter", whole[4]), False


def verdict(sink, port, stream):
    argv = [sink, "--listen", str(port), "--workers", str(WORKERS)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"".join(stream))
        out = process.communicate(timeout=PATIENCE)[0]
        return out.splitlines()[-1]
    finally:
        process.kill()
        process.wait()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def check(sink):
    """Raises when the checker accepts a wrong stream or rejects the right one."""
    begin = time.monotonic()
    count = 0
    for what, stream, right in cases():
        said = verdict(sink, free_port(), stream)
        if (said == "closed") != right or (not right and not said.startswith("wrong:")):
            raise SystemExit(f"bench/run: self-test: {what}: the sink says {said!r}")
        count += 1
    return f"the checker judges {count} cases correctly ({time.monotonic() - begin:.1f} s)"
