"""mux send: all bytes, both ways, over every kind of socket, and messages when they cannot be sent."""
import os
import random
import select
import socket
import struct
import threading
import time

from command import *

LARGE = random.Random(5).randbytes(20000000)  # no socket's buffers hold it


class Server(threading.Thread):
    """Accepts one connection and calls `serve` with it; close() raises the exceptions of `serve`."""

    def __init__(self, listener, serve):
        super().__init__(daemon=True)
        self.listener, self.serve, self.result, self.error = listener, serve, None, None
        listener.settimeout(PATIENCE)
        self.start()

    def run(self):
        try:
            sock, _ = self.listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                self.result = self.serve(sock)
        except Exception as error:
            self.error = error

    def close(self):
        self.join(PATIENCE)
        self.listener.close()
        if self.error:
            raise self.error
        return self.result


def receive_all(sock):
    data = bytearray()
    while True:
        chunk = sock.recv(1 << 20)
        if not chunk:
            return bytes(data)
        data += chunk


def exchange(down):
    """A server that sends `down` while it receives; its result is what it received."""
    def serve(sock):
        sender = threading.Thread(target=sock.sendall, args=(down,), daemon=True)
        sender.start()
        data = receive_all(sock)
        sender.join(PATIENCE)
        return data
    return serve


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


class Sending(Case):
    def tcp4(self):
        listener = socket.create_server(('127.0.0.1', 0))
        return listener, '127.0.0.1:%d' % listener.getsockname()[1]

    def tcp6(self):
        try:
            listener = socket.create_server(('::1', 0), family=socket.AF_INET6)
        except OSError as error:
            self.skipTest('no IPv6 here: %s' % error)
        return listener, 'tcp:[::1]:%d' % listener.getsockname()[1]

    def unix(self):
        path = os.path.join(self.folder(), 'socket')
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        return listener, 'unix:' + path

    def serve(self, serve, place=None):
        listener, endpoint = (place or self.tcp4)()
        return Server(listener, serve), endpoint

    def both_ways(self, place):
        server, endpoint = self.serve(exchange(LARGE[::-1]), place)
        done = mux('send', endpoint, stream=LARGE)
        self.assertTrue(server.close() == LARGE)
        self.assertTrue(self.fine(done) == LARGE[::-1])


class Whole(Sending):
    def test_tcp4(self):
        self.both_ways(self.tcp4)

    def test_tcp6(self):
        self.both_ways(self.tcp6)

    def test_unix(self):
        self.both_ways(self.unix)

    def test_file(self):
        """A file's bytes unchanged, subunit or not."""
        server, endpoint = self.serve(receive_all)
        self.assertEqual(self.fine(mux('send', endpoint, self.file(b'not subunit\0\xb3'))), b'')
        self.assertEqual(server.close(), b'not subunit\0\xb3')

    def test_empty(self):
        server, endpoint = self.serve(receive_all)
        self.assertEqual(self.fine(mux('send', endpoint)), b'')
        self.assertEqual(server.close(), b'')

    def test_every_address(self):
        """One answering address of a name is enough."""
        server, endpoint = self.serve(receive_all)
        done = mux('send', 'localhost:' + endpoint.rpartition(':')[2], stream=b'x')
        self.assertEqual((done.returncode, server.close()), (0, b'x'), done.stderr)

    def test_answer_after_the_end(self):
        """Bytes that come back after everything was sent are read to their end."""
        def serve(sock):
            data = receive_all(sock)
            for _ in range(10):
                time.sleep(0.05)
                sock.sendall(b'late.')
            return data
        for place in (self.tcp4, self.unix):
            server, endpoint = self.serve(serve, place)
            self.assertEqual(self.fine(mux('send', endpoint, stream=b'x')), b'late.' * 10)
            self.assertEqual(server.close(), b'x')

    def test_half_closed_peer(self):
        """After the end a peer may half-close, and then read."""
        def serve(sock):
            time.sleep(0.3)
            sock.sendall(b'bye')
            sock.shutdown(socket.SHUT_WR)
            time.sleep(0.3)
            return receive_all(sock)
        for place in (self.tcp4, self.unix):
            server, endpoint = self.serve(serve, place)
            self.assertEqual(self.fine(mux('send', endpoint, stream=b'x' * 10000)), b'bye')
            self.assertEqual(server.close(), b'x' * 10000)

    def peak_bytes(self, stream):
        """Peak memory with a slow peer, which gets everything in the end."""
        go_on = threading.Event()

        def serve(sock):
            go_on.wait(PATIENCE)
            return receive_all(sock)
        server, endpoint = self.serve(serve)
        with open(self.file(stream), 'rb') as file:
            send = self.start('send', endpoint, stdin=file)
            time.sleep(0.3)
            self.assertIsNone(send.poll())
            with open('/proc/%d/status' % send.pid) as status:
                peak_kib = next(int(line.split()[1]) for line in status
                                if line.startswith('VmHWM'))
            go_on.set()
            self.assertEqual(send.wait(PATIENCE), 0)
        self.assertTrue(server.close() == stream)
        return peak_kib * 1024

    def test_slow_peer(self):
        """With a slow peer nothing is lost, and memory does not grow with the stream."""
        self.assertLess(self.peak_bytes(3 * LARGE) - self.peak_bytes(LARGE), len(LARGE))

    def test_slow_stdout(self):
        """Bytes that come back wait for stdout; the way up goes on meanwhile."""
        received = threading.Event()

        def serve(sock):
            sender = threading.Thread(target=sock.sendall, args=(LARGE,), daemon=True)
            sender.start()
            data = receive_all(sock)
            received.set()
            sender.join(PATIENCE)
            return data
        server, endpoint = self.serve(serve)
        send = self.start('send', endpoint)
        send.stdin.write(LARGE)
        send.stdin.close()
        self.assertTrue(received.wait(PATIENCE))
        down = bytearray()
        while len(down) < len(LARGE):
            chunk = os.read(send.stdout.fileno(), 1 << 20)
            self.assertTrue(chunk, 'it ended after %d bytes' % len(down))
            down += chunk
        self.assertEqual(send.wait(PATIENCE), 0)
        self.assertTrue(server.close() == LARGE and down == LARGE)

    def test_live(self):
        """Both ways at once while stdin stays open."""
        def serve(sock):
            for _ in range(3):
                sock.sendall(sock.recv(100).upper())
            return receive_all(sock)
        server, endpoint = self.serve(serve)
        send = self.start('send', endpoint)
        for word in (b'one', b'two', b'three'):
            send.stdin.write(word)
            ready, _, _ = select.select([send.stdout], [], [], PATIENCE)
            self.assertTrue(ready)
            self.assertEqual(os.read(send.stdout.fileno(), 100), word.upper())
        send.stdin.close()
        self.assertEqual(send.wait(PATIENCE), 0)
        server.close()

    def test_peer_that_does_not_close(self):
        """Everything is acknowledged and nothing comes back: mux ends by itself."""
        ended = threading.Event()

        def serve(sock):
            data = receive_all(sock)
            ended.wait(PATIENCE)
            return data
        server, endpoint = self.serve(serve)
        self.assertEqual(self.fine(mux('send', endpoint, stream=b'x')), b'')
        ended.set()
        self.assertEqual(server.close(), b'x')


    def test_peer_that_drips(self):
        """The peer has everything, and goes on sending a byte now and then: mux says so and ends."""
        ended = threading.Event()

        def serve(sock):
            data = receive_all(sock)
            try:
                while not ended.wait(0.5):
                    sock.sendall(b'.')
            except OSError:
                pass
            return data
        server, endpoint = self.serve(serve)
        done = mux('send', endpoint, stream=b'x')
        ended.set()
        self.assertEqual(server.close(), b'x')
        self.assertEqual((done.returncode, done.stderr.decode()),
                         (0, 'mux send: %s: has all, but goes on sending a little: left\n' % endpoint))
        self.assertRegex(done.stdout, rb'^\.+$')

    def test_unix_socket_that_is_busy(self):
        """mux waits for a socket with a full backlog, and reads stdin meanwhile."""
        path = os.path.join(self.folder(), 'socket')
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        listener.listen(0)
        first = socket.socket(socket.AF_UNIX)
        first.connect(path)
        send = self.start('send', 'unix:' + path)
        send.stdin.write(b'x' * 1000000)  # more than a pipe holds
        self.assertRegex(send.stderr.readline(), b'trying unix:')
        listener.accept()[0].close()
        first.close()
        server = Server(listener, receive_all)
        send.stdin.close()
        self.assertEqual(send.wait(PATIENCE), 0)
        self.assertEqual(len(server.close()), 1000000)


class Down(Sending):
    def test_terminal(self):
        """On a terminal bytes that come back are counted, not shown."""
        server, endpoint = self.serve(exchange(packet(test_id='t') * 10000))
        master, slave = self.terminal()
        done = subprocess.run([MUX, 'send', endpoint], input=b'x', stdout=slave,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
        os.close(slave)
        self.assertEqual(server.close(), b'x')
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr.decode(), 'mux send: %d bytes came back and were dropped: '
                         'stdout: a terminal takes no packets\n' % (len(packet(test_id='t')) * 10000))
        with self.assertRaises(OSError):  # hung up, and nothing was written
            os.read(master, 1)

    def test_stdout_that_does_not_block(self):
        """Another process made the pipe non-blocking: mux waits for it, and everything arrives."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        server, endpoint = self.serve(exchange(LARGE))
        send = self.start('send', endpoint, stdout=writer)
        send.stdin.write(b'x')
        send.stdin.close()
        self.until(lambda: not select.select([], [writer], [], 0)[1], 'a full pipe')
        os.close(writer)
        with open(reader, 'rb') as file:
            self.assertTrue(file.read() == LARGE)
        self.assertEqual(send.wait(PATIENCE), 0, send.stderr.read())
        self.assertEqual(server.close(), b'x')

    def test_stdout_broken(self):
        """Bytes that come back are counted and the stream still goes up, but it is an error."""
        with open('/dev/full', 'wb') as full:
            server, endpoint = self.serve(exchange(b'y' * 1000))
            done = subprocess.run([MUX, 'send', endpoint], input=LARGE, stdout=full,
                                  stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertTrue(server.close() == LARGE)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.decode(), 'mux send: 1000 bytes came back and were dropped: '
                         'stdout: No space left on device\n')


class Refused(Sending):
    def failure(self, endpoint, *patterns, stream=LARGE, status=1):
        done = mux('send', endpoint, stream=stream)
        self.assertEqual(done.returncode, status, done.stderr)
        for pattern in patterns:
            self.assertRegex(done.stderr.decode(), pattern)
        return done

    def test_refused(self):
        """Address, operation, reason."""
        listener, endpoint = self.tcp4()
        listener.close()
        self.failure(endpoint, '^mux send: %s: connect: Connection refused\n$' % endpoint)

    def test_refused_at_every_address(self):
        """Each address that was tried is named."""
        listener, endpoint = self.tcp4()
        listener.close()
        port = endpoint.rpartition(':')[2]
        self.failure('localhost:' + port, r'127\.0\.0\.1:%s: connect: Connection refused' % port)

    def test_no_socket(self):
        self.failure('unix:/nonexistent/socket',
                     '^mux send: unix:/nonexistent/socket: connect: No such file or directory\n$')

    def test_no_such_place(self):
        self.failure('nowhere.invalid:1', "'nowhere.invalid' is neither an interface")
        for endpoint, why in (('127.0.0.1:x', "'x' is no port number"), ('::1', 'several colons'),
                              ('unix:', 'no path'), ('file:x', 'is no network address'),
                              ('-', 'is no network address'), ('', 'names no place')):
            with self.subTest(endpoint):
                self.failure(endpoint, '^mux send: ', why, status=2)

    def test_missing_file(self):
        done = mux('send', '127.0.0.1:1', '/nonexistent/x')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, b'mux send: /nonexistent/x: No such file or directory\n')

    def test_unreadable_file(self):
        listener, endpoint = self.tcp4()  # mux may connect or not
        self.addCleanup(listener.close)
        done = mux('send', endpoint, '/')
        self.assertEqual((done.returncode, done.stderr), (1, b'mux send: /: Is a directory\n'))

    def test_reset(self):
        """A lost connection is reported, never exit 0."""
        def serve(sock):
            sock.recv(100)
            reset(sock)
        server, endpoint = self.serve(serve)
        self.failure(endpoint, '^mux send: %s: (send|receive): (Connection reset|Broken pipe)'
                     % endpoint)
        server.close()

    def test_gone_with_bytes_unread(self):
        """A peer that closes before it has read all."""
        for place in (self.tcp4, self.unix):
            def serve(sock):
                sock.recv(100)
                time.sleep(0.3)
            server, endpoint = self.serve(serve, place)
            self.failure(endpoint, '^mux send: ', stream=b'x' * 10000)
            server.close()

    def test_gone_after_half_close(self):
        """A peer on this machine that closed one way, then, with bytes unread, the other."""
        def serve(sock):
            time.sleep(0.3)
            sock.shutdown(socket.SHUT_WR)
            time.sleep(0.3)
        server, endpoint = self.serve(serve, self.unix)
        self.failure(endpoint, '^mux send: %s: send: Connection reset by peer\n$' % endpoint,
                     stream=b'x' * 10000)
        server.close()

    def test_gone_while_stdin_waits(self):
        """Reported at once, not with the next bytes: a worker may wait for packets down."""
        for place in (self.tcp4, self.unix):
            server, endpoint = self.serve(lambda sock: sock.recv(100), place)
            send = self.start('send', endpoint)
            send.stdin.write(b'first')
            self.assertEqual(server.close(), b'first')
            self.assertEqual(send.wait(PATIENCE), 1)
            self.assertEqual(send.stderr.read().decode(), 'mux send: %s: receive: the other side '
                             'closed before the stream\'s end\n' % endpoint)


if __name__ == '__main__':
    unittest.main()
