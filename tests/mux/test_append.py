"""Appending to a file whose last writer died inside a packet."""
import random

import subunit

from command import *

SMALL = packet(test_id='half', test_status='success')
BODY = packet(test_id='half', file_name='f', file_bytes=b'\xb3+\x01' * 200, timestamp=None)
LARGE = packet(test_id='half', file_name='f', file_bytes=bytes(range(256)) * 300, mime_type='a/b')
ROUTED = packet(test_id='half', test_status='fail', test_tags={'a', 'b'}, route_code='1/2')
AFTER = packet(test_id='after', runnable=False)
BEFORE = packet(test_id='before', test_status='success')


class Ids:
    """The test ids that python-subunit reads."""

    def __init__(self, source):
        """A stream, or a file: of that python reads chatter in pieces, otherwise byte by byte."""
        self.seen = []
        source = io.BytesIO(source) if isinstance(source, bytes) else source
        subunit.ByteStreamToStreamResult(source, non_subunit_name='stdout').run(self)

    def startTestRun(self):
        pass

    def stopTestRun(self):
        pass

    def status(self, test_id=None, **rest):
        if test_id not in (None, 'subunit.parser'):
            self.seen.append(test_id)


class Append(Case):
    def append(self, path, **keywords):
        """Appends two packets with mux encode >> path; returns its stderr."""
        with open(path, 'ab') as file:
            done = subprocess.run([MUX, 'encode'], input=b'{"test_id": "after"}\n' * 2, stdout=file,
                                  stderr=subprocess.PIPE, timeout=PATIENCE, **keywords)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr.decode()

    def ids(self, path):
        """The test ids, which both readers must read alike."""
        with open(path, 'rb') as file:
            stream = file.read()
        seen = [event['test_id'] for event in map(json.loads, mux('cat', '--json', path).stdout.splitlines())
                if event['test_id'] not in (None, 'subunit.parser')]
        self.assertEqual(seen, Ids(stream).seen)
        return seen

    def test_any_cut(self):
        """No whole packet is lost, and no byte of the half packet is removed."""
        for whole, cuts in ((SMALL, range(1, len(SMALL))), (BODY, (*range(1, 12), len(BODY) - 1)),
                            (LARGE, (*range(1, 12), 40000, len(LARGE) - 1)),
                            (ROUTED, range(3, len(ROUTED), 3))):
            for cut in cuts:
                with self.subTest(len(whole), cut=cut):
                    path = self.file(BEFORE + whole[:cut])
                    said = self.append(path)
                    self.assertIn('mux encode: stdout: it ended inside a packet', said)
                    self.assertEqual(self.ids(path), ['before', 'after', 'after'])
                    with open(path, 'rb') as file:
                        self.assertTrue(file.read().startswith(BEFORE + whole[:cut]))

    def test_only_a_half_packet(self):
        path = self.file(LARGE[:50000])
        self.assertIn('after 50000 bytes', self.append(path))
        self.assertEqual(self.ids(path), ['after', 'after'])

    def test_whole(self):
        """No message, and only the packets are written."""
        for stream in (b'', BEFORE, BEFORE * 1000 + LARGE):
            path = self.file(stream)
            self.assertEqual(self.append(path), '')
            with open(path, 'rb') as file:
                self.assertEqual(file.read(), stream + AFTER * 2)

    def test_no_subunit(self):
        """A message; the file's content stays as it is."""
        for stream in (b'a diary\n' * 1000, b'no newline'):
            path = self.file(stream)
            self.assertIn('hold no packet', self.append(path))
            with open(path, 'rb') as file:
                self.assertEqual(file.read(), stream + AFTER * 2)

    def test_huge(self):
        """Only the end is read; packets are found although attachments look like packets."""
        false = packet(test_id='x', file_name='f', file_bytes=b'\xb3\x21\x04\xbf\x00\x00' * 50000)
        path = self.file(b'')
        size = 1 << 36
        with open(path, 'r+b') as file:
            file.truncate(size)
            file.seek(size)
            file.write(false * 80 + BEFORE + LARGE[:300])
        begin = os.times()
        self.assertIn('after 300 bytes', self.append(path))
        end = os.times()
        self.assertLess(end.children_user + end.children_system -
                        begin.children_user - begin.children_system, 20)  # the whole file would take minutes
        tail = BEFORE + LARGE[:300] + bytes(len(LARGE) - 300) + AFTER * 2
        with open(path, 'rb') as file:
            file.seek(-len(tail), os.SEEK_END)
            self.assertEqual(file.read(), tail)

    def start_append(self, tail):
        """A file that ends so, and a mux encode that appends two packets to it."""
        path = self.file(tail)
        with open(path, 'ab') as file:
            writer = self.start('encode', stdin=subprocess.PIPE, stdout=file)
        writer.stdin.write(b'{"test_id": "after"}\n' * 2)
        writer.stdin.close()
        return path, writer

    def python_ids(self, path):
        """What python-subunit sees of a file in both ways of reading; an exception ends it."""
        for binary in True, False:
            with open(path, 'rb') as file:
                try:
                    yield Ids(file.read() if binary else file).seen
                except Exception as error:
                    yield [repr(error)]

    def check_append(self, tail, path, writer, most_bytes):
        said = writer.stderr.read().decode()
        writer.stderr.close()
        status = writer.wait(PATIENCE)
        with open(path, 'rb') as file:
            stream = file.read()
        if len(stream) > most_bytes:
            return
        if status == 0:
            self.assertTrue(stream.startswith(tail) and stream.endswith(AFTER * 2), said)
            seen = [json.loads(line)['test_id'] for line in mux('cat', '--json', path).stdout.splitlines()]
            for ids in seen, *self.python_ids(path):
                self.assertEqual(ids[-2:], ['after', 'after'], said)
            return
        self.assertIn("end python-subunit's reader", said)
        self.assertEqual(stream, tail)
        with open(path, 'ab') as file:
            file.write(b'\x10' * 16 + AFTER * 2)
        self.assertIn(True, [ids[-2:] != ['after'] * 2 for ids in self.python_ids(path)], said)

    def check_tails(self, tails, most_bytes=1 << 30, at_a_time=20):
        for first in range(0, len(tails), at_a_time):
            started = [(tail, *self.start_append(tail)) for tail in tails[first:first + at_a_time]]
            for tail, path, writer in started:
                with self.subTest(tail=tail.hex()):
                    self.check_append(tail, path, writer, most_bytes)

    def test_what_looks_like_a_packet(self):
        """To one reader or to both. What no reader can get past is refused."""
        self.check_tails([b'\xb3' * 3, b'\xb3\x19\x02\x40\xff', b'\xb3\x29\x02\xff',
                          b'\xb3\x29\x02\xbf\xff\xff' + b'q' * 10, b'\xb3\x29\x02\xbf\xff\xff',
                          b'\xb3\x29\x02\x02', b'\xb3\x29\x02\x80\x00\x09', b'1 m\xc2\xb3', b'1 m\xb3',
                          b'\xe2\x82', b'\xe2\x82\xac\xe2', b'\xe2A', b'\xf0\x9f\x98',
                          BEFORE + b'5 m\xc2\xb3', b'5 m\xc2\xb3\n' + BEFORE * 3])

    def test_chance(self):
        """Short tails of what is dangerous, and beginnings of a packet behind it. Long padding is left
        to the test above: where python takes it for chatter, it needs seconds."""
        seed = int(os.environ.get('APPEND_SEED', 1))
        choose = random.Random(seed)
        alphabet = [b'\xb3'] * 6 + [bytes([byte]) for byte in (
            *b'\x20\x21\x28\x29\x2f\x19\xb3\x00\x02\x08\x10', *b'\x3f\x40\x7f\x80\xc0\xff', *b'\xc2\xe2\xed\xf0\xf4',
            *b'aq\n')] + [b'\xb3\x29\x02', b'\xb3\x20', b'\xb3\x23\x41\x40']

        def tail():
            odd = b''.join(choose.choices(alphabet, k=choose.randrange(1, 10)))
            half = choose.choice((b'', b'', SMALL, ROUTED))
            return choose.choice((b'', BEFORE)) + odd + half[:choose.randrange(len(half) + 1)]
        self.check_tails([tail() for _ in range(int(os.environ.get('APPEND_TAILS', 120)))], 100000)

    def test_a_file_that_cannot_be_read(self):
        path = self.file(BEFORE)
        os.chmod(path, 0o200)
        other = {'user': 65534, 'group': 65534, 'extra_groups': []} if os.geteuid() == 0 else {}
        self.assertIn('its end cannot be looked at (Permission denied)', self.append(path, **other))

    def test_pipes_and_devices(self):
        """They have no end to read."""
        self.assertEqual(self.append('/dev/null'), '')

    def test_at_the_same_time(self):
        """Of several writers that begin to append, one ends the half packet, once."""
        path = self.file(BEFORE + LARGE[:50000])
        with open(path, 'ab') as file:
            writers = [self.start('encode', stdout=file) for _ in range(4)]
            for writer in writers:
                writer.stdin.write(b'{"test_id": "after"}\n' * 2)
                writer.stdin.close()
            for writer in writers:
                self.assertEqual(writer.wait(PATIENCE), 0)
        self.assertEqual(sum(b'ended as damage' in w.stderr.read() for w in writers), 1)
        self.assertEqual(self.ids(path), ['before'] + ['after'] * 8)
        self.assertEqual(os.path.getsize(path), len(BEFORE) + len(LARGE) + 8 * len(AFTER))

    def test_route(self):
        path = self.file(SMALL[:-3])
        with open(path, 'ab') as file:
            done = subprocess.run([MUX, 'route', '--prefix', '7'], input=packet(test_id='after') * 2,
                                  stdout=file, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b'mux route: stdout: it ended inside a packet', done.stderr)
        self.assertEqual(self.ids(path), ['after', 'after'])


if __name__ == '__main__':
    unittest.main()
