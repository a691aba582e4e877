"""mux top: a run summed up."""
import datetime

from command import *


class Top(Case):
    def test_a_run(self):
        stream = (packet(test_id='a', test_status='inprogress', route_code='0') +
                  packet(test_id='a', test_status='success', route_code='0') +
                  packet(test_id='b', test_status='inprogress', route_code='1/2') +
                  packet(test_id='b', file_name='traceback', file_bytes=b'Boom\n',
                         mime_type='text/plain', route_code='1/2') +
                  packet(test_id='b', test_status='fail', route_code='1/2') +
                  packet(test_id='c', test_status='inprogress', route_code='1/2') +
                  packet(test_id='d', test_status='exists', route_code='1/2'))
        output = self.fine(mux('top', stream=stream), 4).decode()
        self.assertEqual(output.splitlines(), [
            'FAIL  b  worker 1/2', '    Boom',
            '2 workers, tests: 1 passed, 1 failed, 0 skipped, 1 running'])

    def test_exit_codes(self):
        """The worst outcome of the run decides."""
        def test(status, name='t'):
            return packet(test_id=name, test_status=status)
        began, fine = test('inprogress'), test('inprogress') + test('success')
        damage = packet(test_id='a')[:-1] + b'?'
        for stream, code in (
                (fine, 0), (test('skip'), 0), (test('xfail'), 0), (test('exists') + fine, 0),
                (fine + test('fail', 'u'), 4), (fine + test('uxsuccess', 'u'), 4),
                (fine + test('inprogress', 'u'), 4), (began, 4), (test('fail') + fine, 4),
                (test('exists'), 5), (test('exists') + b'chatter\n', 5),
                (packet(file_name='f', file_bytes=b'x'), 5),
                (fine + damage, 3), (test('fail') + damage, 3)):
            self.fine(mux('top', stream=stream), code)
        for stream in (b'', b'chatter\n', damage):  # test_looks.py checks the messages
            self.assertEqual(mux('top', stream=stream).returncode, 3)

    def test_prompts(self):
        """Who waits, in which test, since when; and when that is over."""
        def prompt(waits, route, **more):
            event = dict(version=1, waits=waits, prompt='(Pdb) ', since_ns=10**18 + 5 * 10**8, **more)
            return packet(file_name='muxd.prompt', file_bytes=json.dumps(event).encode(), route_code=route,
                          mime_type='application/json', eof=True,
                          timestamp=datetime.datetime.fromtimestamp(10**9 + 13, datetime.timezone.utc))
        stream = (prompt(True, '3/0', test='pkg.test_x') + prompt(True, '4\x1b[2J') + prompt(False, '3/0') +
                  prompt(False, '5') + packet(file_name='muxd.exit', file_bytes=b'{}', route_code='4\x1b[2J') +
                  packet(file_name='muxd.prompt', file_bytes=b'\xff', route_code='6') +
                  b''.join(prompt(True, str(i)) for i in range(100, 200)))
        lines = self.fine(mux('top', stream=stream), 5).decode().splitlines()
        self.assertEqual(lines[:4], ['3/0 waits at (Pdb) in pkg.test_x for 12 s', '4\\x1b[2J waits at (Pdb) for 12 s',
                                     '3/0 waits no longer, after 12 s', '4\\x1b[2J waits no longer, after 12 s'])
        self.assertEqual(len([line for line in lines if 'waits at' in line]), 2 + 64)

    def test_damage(self):
        output = self.fine(mux('top', stream=packet(test_id='a')[:-1] + b'?' + packet(test_id='b')),
                           3).decode()
        self.assertIn('0 failed', output)
        self.assertIn('1 x damage', output)

    def test_a_lost_node(self):
        """No test has failed because of it, but it is shown."""
        stream = packet(file_name='muxd', file_bytes=b'node leaf is unreachable',
                        mime_type='text/plain;charset=utf8')
        output = self.fine(mux('top', stream=stream), 5).decode()
        self.assertIn('NOTICE', output)
        self.assertIn('node leaf is unreachable', output)
        self.assertIn('0 failed', output)

    def test_corpora(self):
        for path in cases('valid', 'real', 'corrupt'):
            done = mux('top', stream=corpus.load(path + '.bin'))
            self.assertIn(done.returncode, (0, 3, 4, 5), path)
            self.harmless(done.stdout)

    def test_more_running_than_are_shown(self):
        """Tests beyond the table are counted, and so are their ends."""
        names = ['t%d' % i for i in range(6000)]
        begin = b''.join(packet(test_id=n, test_status='inprogress') for n in names)
        end = b''.join(packet(test_id=n, test_status='success') for n in names)
        output = self.fine(mux('top', stream=begin), 4).decode()
        self.assertIn('6000 running', output)
        output = self.fine(mux('top', stream=begin + end)).decode()
        self.assertIn('6000 passed', output)
        self.assertIn(' 0 running', output)

    def test_reader_that_pauses(self):
        """A pager gets the whole output, however late it reads."""
        names = ['t%d' % i for i in range(20000)]
        stream = b''.join(packet(test_id=n, test_status='fail') for n in names)
        with tempfile.NamedTemporaryFile() as file:
            file.write(stream)
            file.flush()
            with subprocess.Popen([MUX, 'top', file.name], stdout=subprocess.PIPE) as process:
                time.sleep(1)
                self.assertIsNone(process.poll())
                lines = process.communicate(timeout=60)[0].decode().splitlines()
            self.assertEqual(process.returncode, 4)
        self.assertEqual(lines[:-1], ['FAIL  %s  worker -' % n for n in names])
        self.assertIn('20000 failed', lines[-1])

    def test_input_that_cannot_be_read(self):
        done = mux('top', '/nonexistent')
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'/nonexistent', done.stderr)
        self.assertEqual(mux('top', 'a', 'b').returncode, 2)


if __name__ == '__main__':
    unittest.main()
