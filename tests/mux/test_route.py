"""mux route: the same packets under another route code."""
import os
import random

from command import *

MAX_BYTES = 4194303


def prefixed(expected, segment):
    return events.merged(events.routed(event, segment) for event in expected)


class Prefix(Case):
    def test_bytes(self):
        """The bytes are those of python-subunit."""
        found = 0
        for path in cases('valid', 'real'):
            wanted = corpus.load(path + '.mux7.bin')
            if wanted is not None:
                found += 1
                with self.subTest(os.path.relpath(path, corpus.CORPORA)):
                    stream = corpus.load(path + '.bin')
                    self.assertTrue(self.fine(mux('route', '--prefix', '7', stream=stream)) == wanted)
        self.assertGreater(found, 5)

    def test_events(self):
        """Packets, chatter and damage arrive as whole packets under the prefix."""
        for path in cases('valid', 'real', 'corrupt'):
            with self.subTest(os.path.relpath(path, corpus.CORPORA)):
                stream = corpus.load(path + '.bin')
                before = as_events(mux('cat', '--json', stream=stream).stdout)
                routed = self.fine(mux('route', '--prefix', 'w', stream=stream))
                after = as_events(self.fine(mux('cat', '--json', stream=routed)))
                self.same(after, prefixed(before, 'w'))

    def test_two_for_the_largest(self):
        """A packet of the greatest length does not fit with a prefix: its content comes in two packets."""
        stream = self.largest(file_name='f', eof=True, test_status='fail', test_tags={'t'})
        routed = self.fine(mux('route', '--prefix', 'host7', stream=stream))
        first, last = (json.loads(line) for line in
                       self.fine(mux('cat', '--json', stream=routed)).splitlines())
        self.assertEqual([first['test_status'], first['eof'], first['test_tags'],
                          first['route_code']], [None, False, None, 'host7'])
        self.assertEqual([last['test_status'], last['eof'], last['test_tags'],
                          last['route_code']], ['fail', True, ['t'], 'host7'])

    def largest(self, **fields):
        room = MAX_BYTES - len(packet(file_bytes=b'', **fields)) - 10
        stream = packet(file_bytes=bytes(room), **fields)
        stream = packet(file_bytes=bytes(room + MAX_BYTES - len(stream)), **fields)
        self.assertEqual(len(stream), MAX_BYTES)
        return stream

    def test_nothing_to_split(self):
        """A name that fills the packet: reported as damage, under the prefix, with all bytes."""
        length = MAX_BYTES - len(packet(test_id='x' * 70000)) + 70000
        stream = packet(test_id='x' * length)
        self.assertEqual(len(stream), MAX_BYTES)
        routed = self.fine(mux('route', '--prefix', '7', stream=stream))
        # two packets with the data: one has no room for them and the other fields
        first, last, error = as_events(self.fine(mux('cat', '--json', stream=routed)))
        self.assertTrue(first.file_bytes + last.file_bytes == stream)
        self.assertEqual([first.eof, last.eof, error.test_status], [False, True, 'fail'])
        self.assertEqual({event.route_code for event in (first, last, error)}, {'7'})


class Strip(Case):
    def test_undoes_prefix(self):
        for path in cases('valid', 'real'):
            stream = corpus.load(path + '.bin')
            kept = corpus.load(path + '.mux7.bin')
            if kept is None or b'"route_code": ""' in corpus.load(path + '.jsonl'):
                continue  # an empty route code is not restored
            with self.subTest(os.path.relpath(path, corpus.CORPORA)):
                self.assertTrue(self.fine(mux('route', '--strip', stream=kept)) == stream)

    def test_routes(self):
        for before, after in ((None, None), ('a', None), ('a/', None), ('a/b', 'b'),
                              ('a/b/c', 'b/c'), ('/b', 'b')):
            stream = packet(test_id='t', test_status='fail', route_code=before)
            self.assertEqual(self.fine(mux('route', '--strip', stream=stream)),
                             packet(test_id='t', test_status='fail', route_code=after), before)

    def test_chatter_and_damage(self):
        """They become packets without a route code."""
        broken = bytearray(packet(test_id='broken'))
        broken[-1] ^= 1
        routed = self.fine(mux('route', '--strip', stream=b'noise\n' + broken))
        got = as_events(self.fine(mux('cat', '--json', stream=routed)))
        self.same(got, events.merged([events.chatter(b'noise\n'), *events.damage(bytes(broken), b'')]))


class Hostile(Case):
    def test_random_bytes(self):
        """For any input the output consists of packets only."""
        rng = random.Random(11)
        good = packet(test_id='good', test_status='success')
        for option in (['--strip'], ['--prefix', 'p']):
            for size in (10, 1000, 100000):
                noise = bytes(rng.choice(b'\xb3\x29\x01\x00\n\xff\x7f' + good) for _ in range(size))
                routed = self.fine(mux('route', *option, stream=noise + b'\n' + good))
                shown = self.fine(mux('cat', '--json', stream=routed))  # 0: no damage in it
                again = self.fine(mux('route', *option, stream=routed))
                self.assertEqual(len(self.fine(mux('cat', '--json', stream=again)).splitlines()),
                                 len(shown.splitlines()))

    def test_largest_chatter(self):
        """A stream without any newline."""
        noise = b'x' * 5000000
        routed = self.fine(mux('route', '--prefix', '7', stream=noise))
        got = as_events(self.fine(mux('cat', '--json', stream=routed)))
        self.same(got, [events.routed(events.chatter(noise), '7')])


if __name__ == '__main__':
    unittest.main()
