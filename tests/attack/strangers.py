#!/usr/bin/python3
"""
usage: strangers.py SEED KINDS ADDRESS...

Strangers of every kind (or of KINDS, separated by commas, or of all but -KINDS), many at a time, each
with a seed of its own, until stdin ends. Prints the number of each kind.
"""
import collections
import os
import random
import re
import socket
import struct
import sys
import threading
import time

from packets import *

CROWD = 40  # strangers at a time
RATE = 16000000  # bytes a second of all together: the reader of the stream is python, too

over = threading.Event()


class Gone(Exception):
    """The attack is over."""


class Budget:
    """Limits the rate of all strangers together."""

    def __init__(self, rate):
        self.rate = rate
        self.lock = threading.Lock()
        self.next = time.monotonic()

    def take(self, count):
        with self.lock:
            now = time.monotonic()
            self.next = max(self.next, now - 0.2) + count / self.rate
            wait = self.next - now
        if wait > 0 and over.wait(min(wait, 5)):
            raise Gone


budget = Budget(RATE)


class Stranger:
    def __init__(self, seed, addresses):
        self.rng = random.Random(seed)
        self.addresses = addresses
        self.socks = []

    def connect(self):
        address = self.rng.choice(self.addresses)
        sock = socket.socket(socket.AF_UNIX if address.startswith("unix:") else socket.AF_INET)
        sock.settimeout(5)
        if address.startswith("unix:"):
            sock.connect(address[5:])
        else:
            host, _, port = address.rpartition(":")
            sock.connect((host, int(port)))
        self.socks.append(sock)
        return sock

    def send(self, sock, data, piece=None):
        """Sends in pieces. A peer that takes nothing for 5 s, or closes, ends the stranger."""
        for at in range(0, len(data), piece or 65536):
            part = data[at:at + (piece or 65536)]
            budget.take(len(part) + 200)
            sock.sendall(part)

    def pause(self, most):
        if over.wait(self.rng.uniform(0, most)):
            raise Gone

    def hold(self, seconds):
        if over.wait(seconds):
            raise Gone

    def leave(self):
        """Closes its connections, some with a reset."""
        for sock in self.socks:
            if self.rng.random() < 0.4 and sock.family == socket.AF_INET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def size(self, least, most):
        """A random size; small sizes are more likely."""
        return int(least * (most / least) ** self.rng.random())

    def bytes(self, count):
        return self.rng.randbytes(count)

    def text(self, count):
        return "".join(self.rng.choices("abcxyz0189/._ \t\u00e9\u4e16\u202e\U0001f600", k=count))

    def good(self):
        """A packet such as workers send, with random fields; no good worker has its id."""
        rng = self.rng
        chance = lambda value: value if rng.random() < 0.4 else None
        file = chance("log")
        return packet(test_id="s" + self.text(rng.randrange(60)), status=rng.choice(STATUS),
                      tags=chance([self.text(rng.randrange(9)) for _ in range(rng.randrange(5))]),
                      mime=chance("text/plain"), file=file,
                      content=self.bytes(self.size(1, 20000)) if file else b"",
                      route=chance("/".join(rng.choices("0123", k=3))), eof=rng.random() < 0.2,
                      time=chance((rng.randrange(1 << 32), rng.randrange(1 << 30))))

    def large(self, size):
        return packet(test_id="s", file="log", content=self.bytes(size))

    # ---- the kinds ----

    def silent(self):
        for _ in range(self.rng.randrange(1, 20)):
            self.connect()
        self.pause(4)

    def random_bytes(self):
        self.send(self.connect(), self.bytes(self.size(1, 300000)), self.size(1, 65536) + 20)
        self.pause(1)

    def chatter(self):
        sock = self.connect()
        for _ in range(self.rng.randrange(100)):
            self.send(sock, self.text(self.size(1, 20000)).encode() + b"\n" * self.rng.randrange(2))
            self.pause(0.05)

    def half(self):
        whole = self.large(self.size(10, 4100000))
        sock = self.connect()
        self.send(sock, whole[:self.size(1, len(whole) - 1)])
        self.pause(4)

    def drip(self):
        whole = self.large(self.size(1000, 4100000))
        sock = self.connect()
        at = self.size(1, min(len(whole) - 1, 300000))
        self.send(sock, whole[:at])
        for _ in range(100):
            self.send(sock, whole[at:at + 1])
            at += 1
            self.pause(0.1)

    def byte_by_byte(self):
        self.send(self.connect(), b"".join(self.good() for _ in range(3))[:2000], 1)

    def huge_names(self):
        sock = self.connect()
        for _ in range(self.rng.randrange(1, 4)):
            self.send(sock, packet(test_id="s" * self.size(100, 2000000), status="inprogress"))
        self.pause(1)

    def many_tests(self):
        """Begins thousands of tests, ends some, and vanishes."""
        sock = self.connect()
        size, count = self.size(1, 500), self.rng.randrange(1, 3000)
        for start in range(0, count, 100):
            self.send(sock, b"".join(packet(test_id="s%d.%s" % (i, "x" * size), status="inprogress")
                                     for i in range(start, min(count, start + 100))))
        for i in range(0, count, self.rng.randrange(2, 50)):
            self.send(sock, packet(test_id="s%d.%s" % (i, "x" * size), status="success"))

    def identity(self):
        rng = self.rng
        return rng.choice(("%032x" % rng.getrandbits(128), "ab" * 16, "", "0", "xyz", "f" * 33,
                           "\u00e9" * 8, "%032x" % 1))

    def hellos(self):
        sock = self.connect()
        for _ in range(self.rng.randrange(1, 5)):
            self.send(sock, hello(self.identity(), self.rng.choice(("n", "", "x" * 100, "a b", "\u202e")),
                                  self.rng.choice(("1", "1", "1", "0", "2", "99999999999", "x"))))
            self.pause(0.2)

    def malformed_hello(self):
        content = self.rng.choice((b"", b"version", b"version=1", b"identity=ab\n", b"=\n" * 5000,
                                   b"version=1\nidentity=ab\nidentity=cd\n", self.bytes(500)))
        self.send(self.connect(), packet(file="muxd.hello", content=content, eof=True) + self.good())
        self.pause(1)

    def hello_and_go(self):
        for _ in range(self.rng.randrange(2, 60)):
            sock = self.connect()
            self.send(sock, hello("%032x" % self.rng.getrandbits(128)))
            if self.rng.random() < 0.5:
                self.socks.remove(sock)
                sock.close()

    def node(self):
        """A node with workers in the middle of tests; then silence, or goodbye."""
        sock = self.connect()
        self.send(sock, hello("%032x" % self.rng.getrandbits(128)))
        for i in range(self.rng.randrange(1, 200)):
            self.send(sock, packet(test_id="s%d" % i, status="inprogress", route="/".join(
                self.rng.choices(("0", "1", "x" * 50), k=self.rng.randrange(1, 20)))))
        if self.rng.random() < 0.5:
            self.send(sock, GOODBYE + (self.good() if self.rng.random() < 0.3 else b""))
        self.pause(1)

    def node_that_lies(self):
        """muxd trusts a node's strings: it sends strings of any bytes, and wrong checksums."""
        sock = self.connect()
        self.send(sock, hello("%032x" % self.rng.getrandbits(128)))
        for _ in range(30):
            self.send(sock, packet(test_id=self.bytes(20), status="inprogress", route=self.bytes(9),
                                   wrong_crc=self.rng.random() < 0.2))

    def goodbye_first(self):
        self.send(self.connect(), GOODBYE * self.rng.randrange(1, 4) + self.good())

    def half_closed(self):
        sock = self.connect()
        self.send(sock, self.good() * self.rng.randrange(3))
        sock.shutdown(self.rng.choice((socket.SHUT_WR, socket.SHUT_RD)))
        self.pause(3)

    def does_not_read(self):
        """Asks for packets down (tests/attack/run sends them to the test "slow"), reads few or none."""
        sock = self.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.send(sock, packet(test_id="slow"))
        for _ in range(self.rng.randrange(10)):
            self.pause(1)
            if self.rng.random() < 0.3:
                sock.settimeout(0.1)
                try:
                    sock.recv(1000)
                except TimeoutError:
                    pass

    def nested(self):
        inner = self.good()
        for _ in range(self.rng.randrange(1, 30)):
            inner = packet(test_id="s", file="f", content=self.rng.choice((b"", b"x", inner)) + inner)
            if len(inner) > 1000000:
                break
        sock = self.connect()
        self.send(sock, inner[:self.rng.randrange(1, len(inner))] if self.rng.random() < 0.6 else inner)
        self.pause(3)

    def half_with_whole_inside(self):
        """Half a packet with whole packets inside up to its end, which muxd searches after 2 s."""
        sock = self.connect()
        part = lambda: self.rng.choice((self.good(), self.good(), self.large(self.size(10, 200000))))
        half = self.large(self.size(5000, 4000000))
        for _ in range(self.rng.randrange(1, 4)):
            inside = b"".join(part() for _ in range(self.rng.randrange(1, 10)))
            beginning = self.large(self.size(20, 1000000))[:self.size(1, 3000)]
            self.send(sock, half[:self.size(1, 3000)] + inside[self.rng.choice((0, 0, 0, 1)):] +
                      beginning * self.rng.randrange(2))
            self.hold(2.5)
            self.pause(3)
            half = b""

    def jam(self):
        """Half large packets on many connections, each with another byte now and then."""
        count, size, burst = self.rng.randrange(20, 200), self.size(50000, 4100000), self.size(1000, 250000)
        half = self.large(size)
        for _ in range(count):
            sock = self.connect()
            sock.setblocking(False)
            budget.take(min(burst, 20000))
            sock.send(half[:burst])
        for _ in range(self.rng.randrange(200)):
            self.hold(0.1)
            for sock in list(self.socks):
                try:
                    sock.send(b"x")
                except BlockingIOError:
                    pass
                except OSError:
                    self.socks.remove(sock)
                    sock.close()

    def fill_the_table(self):
        """Begins tens of thousands of tests, as a worker or as a node, and stays."""
        sock = self.connect()
        if self.rng.random() < 0.5:
            self.send(sock, hello("%032x" % self.rng.getrandbits(128)))
        for start in range(0, self.size(1000, 60000), 500):
            self.send(sock, b"".join(packet(test_id="s%d" % i, status="inprogress")
                                     for i in range(start, start + 500)))
        self.hold(5)

    def spy(self):
        """Uses the identity from muxd's answer as its own on another connection."""
        first, second = self.connect(), None
        self.send(first, hello("%032x" % self.rng.getrandbits(128)))
        found = re.search(rb"identity=([0-9a-f]+)", first.recv(4096))
        if not found:
            return
        for _ in range(3):
            second = self.connect()
            self.send(second, hello(found[1].decode()) + packet(test_id="s", status="inprogress", route="0"))
            self.pause(1)

    def storm(self):
        for _ in range(self.rng.randrange(20, 150)):
            sock = self.connect()
            if self.rng.random() < 0.7:
                self.socks.remove(sock)
                sock.close()

    def largest(self):
        sock = self.connect()
        for _ in range(self.rng.randrange(1, 4)):
            data = bytearray(self.large(MOST - 16))
            self.send(sock, bytes(data), self.size(20000, 1000000))

    def mutated(self):
        sock = self.connect()
        for _ in range(self.rng.randrange(1, 40)):
            data = bytearray(self.good())
            for _ in range(self.rng.randrange(4)):
                data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
            if self.rng.random() < 0.2:
                del data[self.rng.randrange(len(data)):]
            self.send(sock, bytes(data))

    def wrong_strings(self):
        bad = self.rng.choice((b"a\0b", b"\xff", b"\xed\xa0\x80", b"\xc0\x80"))
        sock = self.connect()
        for field in ("test_id", "mime", "route"):
            self.send(sock, packet(**{field: bad}))
        self.send(sock, packet(test_id="s", tags=[bad] * self.size(1, 20000)))
        self.send(sock, packet(tags=[""] * self.size(1, 1000000)))

    def forger(self):
        """Sends verdicts on others' tests; its own segment shows that they are not its own."""
        sock = self.connect()
        for _ in range(50):
            self.send(sock, packet(test_id="g%d.%d" % (self.rng.randrange(9), self.rng.randrange(99)),
                                   status="fail", file="muxd", content=b"died", eof=True,
                                   route=self.rng.choice((None, "0", "1", "2/0"))))

    def honest(self):
        sock = self.connect()
        for _ in range(self.rng.randrange(1, 100)):
            self.send(sock, self.good())


KINDS = [name for name, value in vars(Stranger).items()
         if callable(value) and not name.startswith("_") and
         name not in ("connect", "send", "pause", "leave", "size", "bytes", "text", "good", "large", "identity", "hold")]


def chosen(words):
    names = words.lstrip("-").split(",") if words else []
    if unknown := set(names) - set(KINDS):
        sys.exit("no such kind: %s; there are %s" % (", ".join(unknown), ", ".join(KINDS)))
    return [kind for kind in KINDS if not names or (kind in names) != words.startswith("-")]


def visit(seed, kinds, addresses, counts):
    stranger = Stranger(seed, addresses)
    kind = stranger.rng.choice(kinds)
    counts[kind] += 1
    try:
        getattr(stranger, kind)()
    except (OSError, Gone):
        pass  # refused, closed or not read: all are allowed
    finally:
        stranger.leave()


def main():
    seed, kinds, addresses = int(sys.argv[1]), chosen(sys.argv[2]), sys.argv[3:]
    counts, lock, numbers = collections.Counter(), threading.Lock(), iter(range(1 << 60))

    def crowd():
        while not over.is_set():
            with lock:
                number = next(numbers)
            visit("%d.%d" % (seed, number), kinds, addresses, counts)

    threads = [threading.Thread(target=crowd, daemon=True) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    sys.stdin.buffer.read()
    over.set()
    for thread in threads:
        thread.join(20)
    print(", ".join("%d %s" % (counts[kind], kind) for kind in kinds))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
