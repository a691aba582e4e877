"""Bundles: cat, top and route look through them, one level deep, and with --raw they do not."""
import base64
import random

from command import *

STREAM = '00112233445566778899aabbccddeeff'
MIME = 'application/x-muxd-bundle;s=%s;e=00000001;o=%016x;c=%08x'
MAX_BYTES = 4194303
HEAD_BYTES = 4096  # what a bundle may have beside its content


def bundle(content, route=None, mime=MIME % (STREAM, 12, 0x102e0bef), **fields):
    return packet(file_name='muxd.bundle', file_bytes=content, eof=True, mime_type=mime,
                  route_code=route, **fields)


FOO = packet(test_id='foo', test_status='exists')
BAR = packet(test_id='bar', test_status='fail', route_code='1')


class Bundles(Case):
    def shown(self, stream, *options, status=0):
        done = mux('cat', '--json', *options, stream=stream)
        return [json.loads(line) for line in self.fine(done, status).splitlines()]

    def ids(self, stream, *options):
        return [(event['test_id'], event['route_code']) for event in self.shown(stream, *options)]

    def test_packets(self):
        """The packets in order, under the bundle's route code and their own."""
        stream = FOO + bundle(FOO + BAR, '7/3') + BAR + bundle(BAR + FOO)
        self.assertEqual(self.ids(stream), [
            ('foo', None), ('foo', '7/3'), ('bar', '7/3/1'), ('bar', '1'), ('bar', '1'), ('foo', None)])

    def test_raw(self):
        stream = FOO + bundle(FOO + BAR, '7/3')
        self.assertEqual(self.ids(stream, '--raw'), [('foo', None), (None, '7/3')])
        self.assertEqual(self.fine(mux('route', '--raw', '--prefix', '9', stream=bundle(FOO, '7/3'))),
                         bundle(FOO, '9/7/3'))
        self.assertIn(b'bar', mux('top', stream=bundle(BAR)).stdout)
        self.assertEqual(mux('top', stream=bundle(BAR)).returncode, 4)
        self.assertEqual(mux('top', '--raw', stream=bundle(BAR)).returncode, 5)

    def test_route(self):
        """Every byte is that of the packets without a bundle."""
        stream = bundle(FOO + BAR, '7/3')
        plain = packet(test_id='foo', test_status='exists', route_code='7/3') + packet(
            test_id='bar', test_status='fail', route_code='7/3/1')
        for change in (('--prefix', 'a'), ('--strip',)):
            self.assertEqual(self.fine(mux('route', *change, stream=stream)),
                             self.fine(mux('route', *change, stream=plain)))

    def test_one_level(self):
        """What stands in a bundle is no bundle."""
        event, = self.shown(bundle(bundle(FOO, '1'), '2'))
        self.assertEqual((event['file_name'], event['route_code']), ('muxd.bundle', '2/1'))

    def test_malformed(self):
        """An attachment as any other."""
        good = MIME % (STREAM, 12, 0x102e0bef)
        for stream in (bundle(b'', '7'), bundle(FOO, '7', good[:-1]), bundle(FOO, '7', good.replace('=', ':', 1)),
                       bundle(FOO, '7', good.upper()), bundle(FOO, '7', MIME % (STREAM, 1 << 63, 0)),
                       bundle(FOO, '7', test_status='exists'), bundle(FOO, '7', test_id='foo')):
            event, = self.shown(stream)
            self.assertEqual((event['file_name'], event['route_code']), ('muxd.bundle', '7'))

    def test_damage(self):
        """Said under the bundle's route code; whole packets before and behind it are shown."""
        broken = FOO[:-1] + bytes([FOO[-1] ^ 1])
        events = self.shown(bundle(FOO + broken + FOO + b'junk', '7'), status=3)
        self.assertEqual([event['test_id'] for event in events],
                         ['foo', 'subunit.parser', 'subunit.parser', 'foo', 'subunit.parser', 'subunit.parser'])
        self.assertEqual({event['route_code'] for event in events}, {'7'})
        self.assertEqual([base64.b64decode(events[i]['file_b64']) for i in (1, 4)], [broken, b'junk'])
        self.assertEqual(mux('top', stream=bundle(broken)).returncode, 3)

    def test_largest(self):
        """A packet that fills its bundle still has room for the longest route code of one."""
        fields = dict(file_name='f', test_id='t', eof=True, route_code='r')
        room = MAX_BYTES - HEAD_BYTES - len(packet(file_bytes=bytes(1 << 20), **fields)) + (1 << 20)
        route = '/'.join(['x' * 255] * 15 + ['y' * 120])
        self.assertEqual(len(route), 3960)
        for size, id_ in ((room, 't'), (room + 1, None)):
            event, = self.shown(bundle(packet(file_bytes=bytes(size), **fields), route))
            self.assertEqual(event['test_id'], id_)
            self.assertEqual(event['route_code'], route + '/r' if id_ else route)

    def test_random(self):
        """Any content and any CRC: all of it is shown, as packets or damage."""
        draw = random.Random(7)
        for _ in range(40):
            content = bytearray(b''.join(draw.choice((FOO, BAR, b'x', b'\xb3')) for _ in range(draw.randrange(1, 9))))
            content[draw.randrange(len(content))] ^= draw.randrange(256)
            self.assertIn(mux('cat', stream=bundle(bytes(content), '3')).returncode, (0, 3))


if __name__ == '__main__':
    unittest.main()
