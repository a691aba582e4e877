"""Streams that are still being written: packets are shown at once, in bounded memory."""
import os
import select
import time

from command import *

HEAD = packet(test_id='t' * 100, test_status='success')


class Live(Case):
    def read_line(self, process):
        """The next whole line, while the input stays open."""
        line = b''
        while not line.endswith(b'\n'):
            line += self.read_some(process)
        return line

    def read_some(self, process, most=1):
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        self.assertTrue(ready, 'nothing came')
        data = os.read(process.stdout.fileno(), most)
        self.assertTrue(data, 'it ended')
        return data

    def end(self, process, status=0):
        process.stdin.close()
        rest = process.stdout.read()
        self.assertEqual((process.wait(PATIENCE), process.stderr.read()), (status, b''))
        return rest

    def test_packets_as_they_come(self):
        cat = self.start('cat')
        for name in ('one', 'two'):
            cat.stdin.write(packet(test_id=name))
            self.assertEqual(self.read_line(cat), b'-  event  %s\n' % name.encode())
        self.assertEqual(self.end(cat), b'')

    def test_packet_with_pauses(self):
        """A packet may take any time: it does not become chatter."""
        cat = self.start('cat')
        for i in range(0, len(HEAD), 40):
            cat.stdin.write(HEAD[i:i + 40])
            time.sleep(0.1)
        self.assertEqual(self.end(cat), b'-  success  ' + b't' * 100 + b'\n')

    def test_prompt(self):
        """Chatter without a newline is shown after a silence."""
        cat = self.start('cat', '--json')
        cat.stdin.write(b'(Pdb) ')
        self.same([events.from_json(json.loads(self.read_line(cat)))], [events.chatter(b'(Pdb) ')])
        cat.stdin.write(HEAD)
        self.assertEqual(json.loads(self.read_line(cat))['test_id'], 't' * 100)
        self.assertEqual(self.end(cat), b'')

    def test_no_event_a_byte(self):
        """Chatter that comes byte by byte is joined."""
        cat = self.start('cat', '--json')
        for i in range(100):
            cat.stdin.write(b'x')
            time.sleep(0.001)
        cat.stdin.write(HEAD)
        lines = self.end(cat).splitlines()
        self.assertLess(len(lines), 50)
        self.same(as_events(b'\n'.join(lines[:-1])), [events.chatter(b'x' * 100)])

    def test_route(self):
        """Packets are passed on when the input pauses, chatter after its silence."""
        route = self.start('route', '--prefix', '7')
        route.stdin.write(HEAD)
        wanted = packet(test_id='t' * 100, test_status='success', route_code='7')
        self.assertEqual(self.read_exactly(route, len(wanted)), wanted)
        route.stdin.write(b'prompt>')
        wanted = packet(file_name='stdout', file_bytes=b'prompt>', route_code='7')
        self.assertEqual(self.read_exactly(route, len(wanted)), wanted)
        self.assertEqual(self.end(route), b'')

    def test_encode(self):
        encode = self.start('encode')
        for name in ('one', 'two'):
            encode.stdin.write(b'{"runnable": true, "test_')
            time.sleep(0.05)
            encode.stdin.write(b'id": "%s"}\n' % name.encode())
            wanted = packet(test_id=name)
            self.assertEqual(self.read_exactly(encode, len(wanted)), wanted)
        self.assertEqual(self.end(encode), b'')

    def read_exactly(self, process, length):
        data = b''
        while len(data) < length:
            data += self.read_some(process, length - len(data))
        return data

    def test_input_that_does_not_block(self):
        """An inherited descriptor may be non-blocking: mux waits without using the CPU."""
        for arguments, status in ((['cat'], 3), (['encode'], 0)):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            process = self.start(*arguments, stdin=reader)
            os.close(reader)
            time.sleep(1)
            with open('/proc/%d/stat' % process.pid) as file:
                ticks = sum(map(int, file.read().rpartition(')')[2].split()[11:13]))
            os.close(writer)
            self.assertEqual(process.wait(PATIENCE), status)
            self.assertLess(ticks / os.sysconf('SC_CLK_TCK'), 0.7)

    def test_memory(self):
        """200 MB that are hard to frame, in memory that does not grow with them."""
        hostile = (b'\xb3\x29\x01\xbf\xff\xff' * 100000 + b'\xb3' * 500000 + b'x' * 1000000 +
                   HEAD[:-1] + bytes([HEAD[-1] ^ 1]) + packet(file_name='f', file_bytes=bytes(4000000)))
        with open(os.devnull, 'wb') as null:
            cat = self.start('cat', stdout=null)
            for _ in range(200000000 // len(hostile)):
                cat.stdin.write(hostile)
            with open('/proc/%d/status' % cat.pid) as file:
                peak_kib = next(int(line.split()[1]) for line in file if line.startswith('VmHWM'))
            cat.stdin.close()
            self.assertEqual((cat.wait(PATIENCE), cat.stderr.read()), (3, b''))
        self.assertLess(peak_kib, 64 * 1024)


if __name__ == '__main__':
    unittest.main()
