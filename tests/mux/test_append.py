"""Appending to a file whose last writer died inside a packet."""
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

    def __init__(self, stream):
        self.seen = []
        subunit.ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name='stdout').run(self)

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
