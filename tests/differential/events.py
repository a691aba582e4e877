"""Events as tuples that can be compared, from any reader; see tests/corpora/README.md."""
import base64
import collections

Event = collections.namedtuple(
    'Event', 'test_id test_status test_tags runnable file_name file_bytes eof mime_type route_code timestamp')


def from_json(entry):
    """One line of the corpora, or one of oracle.py's events."""
    content = entry['file_b64']
    tags = entry['test_tags']
    timestamp = entry['timestamp']
    return Event(entry['test_id'], entry['test_status'], None if tags is None else tuple(tags),
                 entry['runnable'], entry['file_name'],
                 None if content is None else base64.b64decode(content), entry['eof'],
                 entry['mime_type'], entry['route_code'],
                 None if timestamp is None else tuple(timestamp))


def chatter(content):
    return Event(None, None, None, True, 'stdout', content, False, None, None, None)


def damage(content, why):
    """The pair of events of rule 6."""
    return [Event('subunit.parser', None, None, True, 'Packet data', content, True,
                  'application/octet-stream', None, None),
            Event('subunit.parser', 'fail', None, True, 'Parser Error', why, True,
                  'text/plain;charset=utf8', None, None)]


def merged(events):
    """Joins neighbours of which only the bytes differ; drops the texts of errors."""
    result = []
    run = []  # contents of the events that became result[-1]
    for event in events:
        if event.test_id == 'subunit.parser' and event.file_name == 'Parser Error':
            event = event._replace(file_bytes=b'')
        content = event.file_bytes
        bare = event._replace(file_bytes=None)
        if result and content is not None and run and result[-1] == bare:
            run.append(content)
            continue
        close(result, run)
        result.append(bare)
        run = [] if content is None else [content]
    close(result, run)
    return result


def close(result, run):
    if run:
        result[-1] = result[-1]._replace(file_bytes=b''.join(run))


def as_python_reads(event):
    """python-subunit rounds nanoseconds to microseconds, half to even, and makes a set of the tags."""
    if event.timestamp is not None:
        seconds, nanoseconds = event.timestamp
        microseconds, rest = divmod(nanoseconds, 1000)
        if rest > 500 or (rest == 500 and microseconds % 2):
            microseconds += 1
        carry, microseconds = divmod(microseconds, 1000000)
        event = event._replace(timestamp=(seconds + carry, microseconds))
    if event.test_tags is not None:
        event = event._replace(test_tags=tuple(sorted(set(event.test_tags))))
    return event


def carried(event):
    """Carries whole seconds out of the nanoseconds, which a packet may contain."""
    if event.timestamp is None:
        return event
    carry, nanoseconds = divmod(event.timestamp[1], 1000000000)
    return event._replace(timestamp=(event.timestamp[0] + carry, nanoseconds))


def routed(event, segment):
    route = event.route_code
    return event._replace(route_code=segment if route is None else segment + '/' + route)


def difference(got, expected):
    """A description of the first event that differs, or None."""
    for index in range(max(len(got), len(expected))):
        a = got[index] if index < len(got) else None
        b = expected[index] if index < len(expected) else None
        if a != b:
            return 'event %d of %d (expected %d):\n  got      %.600r\n  expected %.600r' % (
                index, len(got), len(expected), a, b)
    return None
