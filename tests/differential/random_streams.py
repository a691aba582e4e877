"""Random streams through libmux against two witnesses: python-subunit and oracle.py.

usage: random_streams.py STREAM_PROBE [--seed SEED] [--only NUMBER]

Half of the runs are well formed and compared with python-subunit: the events, and the bytes after
prefixing. The other half are hostile and compared with oracle.py. The seed is printed; --seed repeats
the same streams, --only NUMBER one of them.
"""
import argparse
import itertools
import os
import random
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'corpora'))

import events
import gen
import hostile
import oracle
import probe

FAITHFUL_STREAMS = 3000
HOSTILE_STREAMS = 9000  # both together use about 40 s of CPU, mostly in the witnesses
MODES_PER_STREAM = 3
GENERATED_MAX_BYTES = 200000  # the oracle takes a second for every million

STATUS = gen.STAT
WORDS = ('a', 'test_x', 'mod.Case.test_y', 'caf\u00e9', '\u6d4b\u8bd5', '\U0001f600', 'x\u00b3', ' ',
         'line\nbreak', '0', '\U0010ffff', '\ue000', '\ud7ff', '\x7f\x01')
EDGES = (0, 1, 2, 7, 8, 9, 46, 47, 50, 53, 54, 55, 56, 62, 63, 64, 65, 127, 128, 255, 256)
RARE_EDGES = (4096, 16360, 16370, 16372, 16383, 16384, 65536, 70000)


class Failed(Exception):
    pass


def expect(what, got, expected):
    text = events.difference(got, expected)
    if text:
        raise Failed('%s: %s' % (what, text))


def length(rnd):
    return rnd.choice(RARE_EDGES if rnd.random() < 0.02 else EDGES)


def text(rnd):
    if rnd.random() < 0.3:
        return ('abc\u00e9\u20ac'[rnd.randrange(5)] * length(rnd))
    return ''.join(rnd.choice(WORDS) for _ in range(rnd.randrange(4)))


def content(rnd):
    return bytes(rnd.randrange(256) for _ in range(8)) * (length(rnd) // 8) + b'z' * rnd.randrange(8)


# ---- well formed, for python-subunit -------------------------------------------------------------

def written_event(rnd):
    """Arguments that python's writer writes faithfully and deterministically."""
    event = dict(test_status=rnd.choice(STATUS), runnable=rnd.random() < 0.8, eof=rnd.random() < 0.2)
    if rnd.random() < 0.7:
        event['test_id'] = text(rnd)
    if rnd.random() < 0.3:
        event['test_tags'] = [text(rnd)]
    if rnd.random() < 0.3:
        event['mime_type'] = text(rnd) or 'm'  # an empty one is not written
    if rnd.random() < 0.4:
        event['file_name'] = text(rnd)
        event['file_bytes'] = content(rnd)
    if rnd.random() < 0.4:
        event['route_code'] = '/'.join(text(rnd) for _ in range(rnd.randrange(1, 4)))
    if rnd.random() < 0.6:
        event['timestamp'] = gen.ts(rnd.choice((0, 1, 1700000000, 2**32 - 1, rnd.randrange(2**32))),
                                    rnd.choice((0, 1, 16, 17, 4194, 4195, 999999)))
    return event


def python_reads(stream):
    read, died = gen.decode_bytes(stream)
    if died:
        raise Failed('python-subunit died, this stream should not have been made: %s' % died)
    return events.merged(map(events.from_json, read))


def compare_with_python(libmux, stream, mode, seed):
    got = events.merged(map(events.as_python_reads, libmux.read(stream, mode, seed)))
    expect('reading, mode %d' % mode, got, python_reads(stream))


def expect_bytes(what, got, expected):
    if got != expected:
        raise Failed('%s:\n  got      %.2000s\n  expected %.2000s' % (what, got.hex(), expected.hex()))


def written_stream(libmux, rnd):
    """A stream from python's writer, of which the bytes are compared."""
    arguments = [written_event(rnd) for _ in range(rnd.randrange(1, 8))]
    stream = gen.py(arguments)
    for mode in rnd.sample(probe.MODES, MODES_PER_STREAM):
        seed = rnd.randrange(2**32)
        compare_with_python(libmux, stream, mode, seed)
        expect_bytes('encoded', libmux.ask('e', stream, mode, seed), stream)
        prefixed = libmux.ask('p', stream, mode, seed)
        expect_bytes('prefixed', prefixed, gen.py(arguments, '7'))
        if all(argument.get('route_code') != '' for argument in arguments):
            expect_bytes('stripped', libmux.ask('s', prefixed, mode, seed), stream)


def any_width(rnd, value):
    """A number in its least width or a larger one."""
    least = 1 if value < 64 else 2 if value < 16384 else 3 if value < 4194304 else 4
    return gen.vi(value, rnd.randrange(least, 5) if rnd.random() < 0.3 else least)


def any_string(rnd, value):
    encoded = value.encode()
    return any_width(rnd, len(encoded)) + encoded


def built_packet(rnd):
    """A packet that python does not write but reads: over-long numbers, many tags, empty fields."""
    flags = 0x2000 | rnd.randrange(8)
    body = b''
    for bit, field in ((0x200, lambda: struct.pack('>I', rnd.randrange(2**32)) +
                        any_width(rnd, rnd.choice((0, 1, 499, 500, 1500, 2500, 999999499)))),
                       (0x800, lambda: any_string(rnd, text(rnd))),
                       (0x80, lambda: built_tags(rnd)),
                       (0x20, lambda: any_string(rnd, text(rnd))),
                       (0x40, lambda: built_file(rnd)),
                       (0x400, lambda: any_string(rnd, text(rnd)))):
        if rnd.random() < 0.5:
            flags |= bit
            body += field()
    flags |= rnd.choice((0, 0x100)) | rnd.choice((0, 0, 0x10))
    return gen.raw(flags, body, lw=rnd.choice((None, None, 3 if len(body) > 16000 else 2, 3)))


def built_tags(rnd):
    tags = [text(rnd) for _ in range(rnd.choice((0, 1, 2, 3, 3, 70)))]
    return any_width(rnd, len(tags)) + b''.join(any_string(rnd, tag) for tag in tags)


def built_file(rnd):
    inner = content(rnd)
    if rnd.random() < 0.2:
        inner = gen.raw(0x2901, gen.s('nested')) * rnd.randrange(1, 4)
    return any_string(rnd, text(rnd)) + any_width(rnd, len(inner)) + inner


def sane_chatter(rnd):
    """Whole characters only: python's reader does not resynchronise after others."""
    return ''.join(rnd.choice(WORDS + ('log line\n', '\n')) for _ in range(rnd.randrange(1, 30))).encode()


def built_stream(libmux, rnd):
    parts = [sane_chatter(rnd) if rnd.random() < 0.2 else built_packet(rnd)
             for _ in range(rnd.randrange(1, 8))]
    stream = b''.join(parts)
    for mode in rnd.sample(probe.MODES, MODES_PER_STREAM):
        compare_with_python(libmux, stream, mode, rnd.randrange(2**32))
    expected = [events.routed(event, '7') for event in python_reads(stream)]
    expect('prefixed', python_reads(libmux.ask('p', stream, probe.WHOLE)), expected)


# ---- hostile, for oracle.py ----------------------------------------------------------------------

def oracle_reads(stream):
    return list(map(events.from_json, oracle.decode(stream)))


def compare_with_oracle(libmux, rnd, stream):
    expected = oracle_reads(stream)
    for mode in rnd.sample(probe.MODES, MODES_PER_STREAM):
        expect('reading, mode %d' % mode, libmux.read(stream, mode, rnd.randrange(2**32)),
               events.merged(expected))
    prefixed = oracle_reads(libmux.ask('p', stream, rnd.choice(probe.MODES)))
    routed = [events.routed(event, '7') for event in expected]
    expect('prefixed', events.merged(prefixed), events.merged(routed))


def hostile_stream(libmux, rnd):
    bases = [built_packet(rnd) for _ in range(3)] + [gen.G, gen.H]
    stream = hostile.stream(rnd, bases)
    compare_with_oracle(libmux, rnd, stream)


# ---- the run -------------------------------------------------------------------------------------

def generated_streams(rnd):
    """All of gen.py's cases, also those that are not stored in tests/corpora."""
    made = itertools.chain(((case[0], case[1]) for case in gen.corrupt_cases(rnd)),
                           ((case[0], case[1]) for case in gen.valid_raw()))
    return [(name, stream) for name, stream in made if len(stream) < GENERATED_MAX_BYTES]


def jobs(seed):
    """The jobs in order: a name, a function of libmux, and random numbers of its own."""
    for _ in range(FAITHFUL_STREAMS // 2):
        yield 'written by python', written_stream
        yield 'built', built_stream
    for _ in range(HOSTILE_STREAMS):
        yield 'hostile', hostile_stream
    for name, stream in generated_streams(random.Random(seed)):
        yield name, lambda libmux, rnd, stream=stream: compare_with_oracle(libmux, rnd, stream)


def run_all(libmux, seed, only):
    count = 0
    for number, (name, job) in enumerate(jobs(seed)):
        if only is not None and number != only:
            continue
        count += 1
        try:
            job(libmux, random.Random('%d/%d' % (seed, number)))
        except (Failed, probe.Died) as failure:
            print('FAILED: %s: %s\nrepeat with --seed %d --only %d' % (name, failure, seed, number))
            return 1
    print('%d streams' % count)
    return 0 if count else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('program', help='stream_probe')
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument('--only', type=int)
    arguments = parser.parse_args()
    print('seed %d' % arguments.seed, flush=True)
    with probe.Probe(arguments.program) as libmux:
        return run_all(libmux, arguments.seed, arguments.only)


if __name__ == '__main__':
    sys.exit(main())
