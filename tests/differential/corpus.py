"""Every stream of tests/corpora through libmux, cut in every way, against the answers stored there.

usage: corpus.py STREAM_PROBE
"""
import glob
import json
import lzma
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CORPORA = os.path.join(HERE, '..', 'corpora')

import events
import probe

LEAST_CASES = 3148  # with fewer the corpora are incomplete
SEEDS = (1, 2)      # for random cuts
LARGE_BYTES = 1000000  # a stream of this size is cut at random only once


class Failures:
    def __init__(self):
        self.count = 0

    def report(self, name, what, text):
        self.count += 1
        print('FAILED %s, %s: %s' % (name, what, text), flush=True)


def load(path):
    """The bytes of a file, which may be compressed; None when there is none."""
    if os.path.exists(path):
        with open(path, 'rb') as file:
            return file.read()
    if os.path.exists(path + '.xz'):
        with lzma.open(path + '.xz') as file:
            return file.read()
    return None


def lines(data):
    return [json.loads(line) for line in data.splitlines()]


def names(folder):
    """The cases of a folder, without suffixes."""
    found = set()
    for path in glob.glob(os.path.join(CORPORA, folder, '*.bin*')):
        base = path[:-3] if path.endswith('.xz') else path
        if not base.endswith('.mux7.bin'):
            found.add(base[:-4])
    return sorted(found)


def ways(stream):
    for mode in probe.MODES:
        seeds = SEEDS if mode & 3 == probe.RANDOM and len(stream) < LARGE_BYTES else SEEDS[:1]
        for seed in seeds:
            yield mode, seed


def compare(libmux, failures, name, stream, expected, convert=None):
    """Compares the events of every way to cut the stream; `convert` reduces them to what the witness
    can express."""
    for mode, seed in ways(stream):
        try:
            got = libmux.read(stream, mode, seed)
        except probe.Died as died:
            sys.exit('FAILED %s: %s' % (name, died))
        if convert:
            got = events.merged(map(convert, got))
        text = events.difference(got, expected)
        if text:
            failures.report(name, 'mode %d seed %d' % (mode, seed), text)


def expected_events(path):
    """The expected events, and a function that converts ours to their form."""
    own = load(path + '.muxd.jsonl')
    if own is not None:
        return events.merged(map(events.from_json, lines(own))), None
    entries = lines(load(path + '.jsonl'))
    assert not any('exc' in entry for entry in entries), path
    return events.merged(map(events.from_json, entries)), events.as_python_reads


def check_bytes(libmux, failures, path, stream):
    """Of python's packets: encoding and prefixing must give python's bytes, and stripping inverts it."""
    name = os.path.relpath(path, CORPORA)
    prefixed = load(path + '.mux7.bin')
    if prefixed is None:
        return
    for mode, seed in ways(stream):
        if libmux.ask('e', stream, mode, seed) != stream:
            failures.report(name, 'mode %d' % mode, 'encoded anew it is not the same')
        if libmux.ask('p', stream, mode, seed) != prefixed:
            failures.report(name, 'mode %d' % mode, 'prefixed it is not what python makes of it')
        undone = libmux.ask('s', prefixed, mode, seed)
        if not has_empty_route(stream, libmux) and undone != stream:
            failures.report(name, 'mode %d' % mode, 'prefixed and stripped it is not the same')


def has_empty_route(stream, libmux):
    """Stripping "7/" leaves no route: an empty route is not restored."""
    return any(event.route_code == '' for event in libmux.read(stream, probe.WHOLE))


def check_largest(libmux, failures):
    """The largest packets do not fit with a prefix: two packets carry the content, nothing is lost."""
    for name in ('huge', 'raw_maxlen4194303'):
        stream = load(os.path.join(CORPORA, 'valid', name + '.bin'))
        before = libmux.read(stream, probe.WHOLE)
        split = libmux.ask('p', stream, probe.WHOLE)
        after = libmux.read(split, probe.WHOLE)
        text = events.difference(after, [events.routed(event, '7') for event in before])
        if text or len(split) < len(stream):
            failures.report(name, 'split', text or 'too short')


def check_folder(libmux, failures, folder):
    cases = names(folder)
    for path in cases:
        stream = load(path + '.bin')
        expected, convert = expected_events(path)
        compare(libmux, failures, os.path.relpath(path, CORPORA), stream, expected, convert)
        check_bytes(libmux, failures, path, stream)
    return len(cases)


def check_fuzz(libmux, failures):
    cases = lines(load(os.path.join(CORPORA, 'fuzz', 'fuzz.jsonl')))
    for case in cases:
        expected = events.merged(map(events.from_json, case['muxd']))
        compare(libmux, failures, 'fuzz %d' % case['id'], bytes.fromhex(case['hex']), expected)
    return len(cases)


def check_upstream(libmux, failures):
    """The packets of python-subunit's own tests, with python's answers except where muxd differs."""
    with open(os.path.join(CORPORA, 'upstream_vectors.json')) as file:
        vectors = json.load(file)['vectors']
    sys.path.insert(0, CORPORA)
    import oracle
    for vector in vectors:
        stream = bytes.fromhex(vector['hex'])
        expected = events.merged(map(events.from_json, oracle.decode(stream)))
        compare(libmux, failures, 'upstream ' + vector['name'], stream, expected)
        if vector['direction'] == 'both':
            kept = events.merged(upstream_event(entry) for entry in vector['events'])
            compare(libmux, failures, 'upstream ' + vector['name'], stream, kept,
                    events.as_python_reads)
            if 'tags' not in vector['name'] and libmux.ask('e', stream, 0) != stream:
                failures.report(vector['name'], 'encoding', 'not the same bytes')
    return len(vectors)


def upstream_event(entry):
    content = entry['file_bytes_hex']
    tags, timestamp = entry['test_tags'], entry['timestamp']
    return events.Event(entry['test_id'], entry['test_status'], tags and tuple(tags),
                        entry['runnable'], entry['file_name'],
                        None if content is None else bytes.fromhex(content), entry['eof'],
                        entry['mime_type'], entry['route_code'], timestamp and tuple(timestamp))


def main(program):
    failures = Failures()
    with probe.Probe(program) as libmux:
        cases = sum(check_folder(libmux, failures, folder) for folder in ('valid', 'real', 'corrupt'))
        cases += check_fuzz(libmux, failures)
        cases += check_upstream(libmux, failures)
        check_largest(libmux, failures)
    print('%d cases, %d failures' % (cases, failures.count))
    return 1 if failures.count or cases < LEAST_CASES else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
