"""Good workers, and the account of the packets and verdicts that muxd must deliver for them."""
import os
import random
import socket
import struct
import threading
import time
import zlib
from collections import deque

from packets import *

PATIENCE = 60  # seconds in which each promise must be kept: generous


class Broken(Exception):
    """A promise."""


class Account:
    """Reads the stream and compares it with the packets that each good worker has sent."""

    def __init__(self):
        self.lock = threading.Lock()
        self.reader = Reader()
        self.newcomers, self.by_route = {}, {}
        self.slow = []  # routes of strangers that do not read
        self.broken = None
        self.good = self.verdicts = 0
        self.longest_wait = 0.0  # of a good packet, seconds

    def break_promise(self, text):
        if not self.broken:
            self.broken = text

    def read(self, file):
        """Reads the stream to its end."""
        try:
            while data := os.read(file.fileno(), 1 << 18):
                events = self.reader.feed(data)
                with self.lock:
                    for event in events:
                        self.take(event)
            if self.reader.data:
                self.break_promise("the stream ends inside a packet: %d bytes" % len(self.reader.data))
        except Malformed as error:
            self.break_promise("the stream is malformed: %s" % error)
        except Broken as error:
            self.break_promise(str(error))

    def take(self, event):
        worker = self.newcomers.pop(event.test_id, None)
        if worker:
            worker.route = event.route
            self.by_route[event.route] = worker
        worker = self.by_route.get(event.route)
        if worker and event.file == b"muxd":
            self.verdicts += 1
            worker.judged(event)
        elif worker:
            self.good += 1
            worker.arrived(event)
        elif event.test_id == b"slow" and len(self.slow) < 1000:
            self.slow.append(event.route)

    def late(self):
        """Breaks when a worker has waited for longer than PATIENCE."""
        with self.lock:
            for worker in [*self.newcomers.values(), *self.by_route.values()]:
                since = worker.oldest()
                if since and time.monotonic() - since > PATIENCE:
                    self.break_promise("%s waits for longer than %d s: %s" % (worker, PATIENCE, worker.awaits()))

    def settled(self):
        with self.lock:
            return not any(worker.oldest() for worker in [*self.newcomers.values(), *self.by_route.values()])


class Worker(threading.Thread):
    """Sends the packets of behave() until `stop` is set, and ends in order."""
    numbers = iter(range(1 << 60))

    def __init__(self, account, address, seed, stop):
        super().__init__(daemon=True)
        self.account, self.address, self.stop = account, address, stop
        self.number = next(Worker.numbers)
        self.rng = random.Random("%s.%d" % (seed, self.number))
        self.route = None
        self.sent = deque()  # (when, id, status, checksum of the content)
        self.running = set()
        self.dead_since = None
        self.left_half = False

    def __str__(self):
        return "%s %d (route %s)" % (type(self).__name__, self.number,
                                     self.route.decode() if self.route else "none yet")

    # ---- the account's side, with its lock ----

    def arrived(self, event):
        if self.left_half and not self.sent and event.test_id == b"subunit.parser":
            return
        if not self.sent:
            raise Broken("%s: came though it was not sent, or twice: %s" % (self, describe(event)))
        when, test_id, status, checksum = self.sent.popleft()
        self.account.longest_wait = max(self.account.longest_wait, time.monotonic() - when)
        if (event.test_id, event.status, zlib.crc32(event.content or b"")) != (test_id, status, checksum):
            raise Broken("%s: expected %s %s, but there came %s" % (self, test_id, status, describe(event)))
        if status == "inprogress":
            self.running.add(test_id)
        elif status:
            self.running.discard(test_id)

    def judged(self, event):
        if event.status != "fail":
            raise Broken("%s: told of a worker: %s" % (self, describe(event)))
        if not self.dead_since:
            raise Broken("%s lives, and its test was failed: %s" % (self, describe(event)))
        if event.test_id not in self.running:
            raise Broken("%s: failed twice, or never begun: %s" % (self, describe(event)))
        self.running.remove(event.test_id)

    def oldest(self):
        """The time since which it has waited for something."""
        if self.sent:
            return self.sent[0][0]
        return self.dead_since if self.running else None

    def awaits(self):
        if self.sent:
            return "%d packets, the first of them %s" % (len(self.sent), self.sent[0][1])
        return "the verdict on %s" % sorted(self.running)[:3]

    # ---- its own side ----

    def run(self):
        try:
            self.sock = self.connect()
            with self.account.lock:
                self.account.newcomers[b"join.%d" % self.number] = self
            self.send("join.%d" % self.number)
            self.behave()
            self.end()
        except OSError as error:
            if not self.stop.is_set() or self.sent:
                self.account.break_promise("%s: %s" % (self, error))

    def connect(self):
        family = socket.AF_UNIX if self.address.startswith("unix:") else socket.AF_INET
        sock = socket.socket(family)
        sock.settimeout(PATIENCE)
        host, _, port = self.address.rpartition(":")
        sock.connect(port if family == socket.AF_UNIX else (host, int(port)))
        return sock

    def send(self, test_id, status=None, content=None):
        self.send_all([(test_id, status, content)])

    def send_all(self, packets):
        data, now = b"", time.monotonic()
        with self.account.lock:
            for test_id, status, content in packets:
                data += packet(test_id=test_id, status=status, file=None if content is None else "log",
                               content=content or b"")
                self.sent.append((now, test_id.encode(), status, zlib.crc32(content or b"")))
        self.sock.sendall(data)

    def end(self):
        self.sock.shutdown(socket.SHUT_WR)
        while self.sock.recv(65536):
            pass
        self.sock.close()

    def wait_until_arrived(self):
        while not self.account.broken:
            with self.account.lock:
                if not self.sent:
                    return
            time.sleep(0.02)


class Steady(Worker):
    """Begins and ends one test after the other, all the time."""

    def behave(self):
        for i in iter(range(1 << 60).__iter__().__next__, None):
            if self.stop.is_set() or self.account.broken:
                return
            self.send("g%d.%d" % (self.number, i), "inprogress")
            self.stop.wait(self.rng.uniform(0, 0.1))
            self.send("g%d.%d" % (self.number, i), "success", self.rng.randbytes(self.rng.randrange(200)))


class Long(Worker):
    """One test that lasts the whole time: it must never be reported as failed."""

    def behave(self):
        self.send("g%d.long" % self.number, "inprogress")
        while not self.stop.wait(1) and not self.account.broken:
            self.send("g%d.long" % self.number, None, b"still there")
        self.send("g%d.long" % self.number, "success")


class Bursts(Worker):
    """Writes a thousand packets at once, then pauses."""

    def behave(self):
        begin = 0
        while not self.stop.wait(self.rng.uniform(0, 2)) and not self.account.broken:
            count = self.rng.randrange(1, 1000)
            self.send_all([("g%d.%d" % (self.number, begin + i), "success", None) for i in range(count)])
            begin += count


class Large(Worker):
    """Attachments up to the largest size, with small packets between them."""

    def behave(self):
        for i in range(1 << 60):
            if self.stop.wait(self.rng.uniform(0, 1)) or self.account.broken:
                return
            size = self.rng.choice((1000, 100000, 1000000, MOST - 100))
            self.send("g%d.%d" % (self.number, i), "success", self.rng.randbytes(size))
            self.send("g%d.%d.small" % (self.number, i))


class Mortal(Worker):
    """Dies in the middle of tests, after the beginning of each has arrived."""

    def behave(self):
        names = ["g%d.%d" % (self.number, i) for i in range(self.rng.randrange(1, 12))]
        self.send_all([(name, "inprogress", None) for name in names])
        if len(names) > 2:
            self.send(names[0], "success")
        self.wait_until_arrived()
        self.stop.wait(self.rng.uniform(0, 2))

    def end(self):
        with self.account.lock:
            self.dead_since = time.monotonic()
            self.left_half = self.rng.random() < 0.3
        if self.left_half:
            self.sock.sendall(packet(test_id="g.half", file="log", content=bytes(3000))[:self.rng.randrange(1, 3000)])
        if self.rng.random() < 0.5 and self.sock.family == socket.AF_INET:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Listener(Steady):
    """Reads numbered packets that come down: each once and in order."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.told = self.heard = 0
        self.told_at = deque()

    def connect(self):
        sock = super().connect()
        threading.Thread(target=self.listen, args=(sock,), daemon=True).start()
        return sock

    def listen(self, sock):
        reader = Reader()
        try:
            while data := sock.recv(65536):
                for event in reader.feed(data):
                    if event.test_id != b"down.%d" % self.heard or event.route is not None:
                        raise Broken("%s: expected down.%d, but there came down %s" %
                                     (self, self.heard, describe(event)))
                    self.heard += 1
                    with self.account.lock:
                        self.told_at.popleft()
        except (Broken, Malformed) as error:
            self.account.break_promise(str(error))
        except OSError:
            pass

    def end(self):
        while self.heard < self.told and not self.account.broken:
            time.sleep(0.02)
        self.sock.close()

    def tell(self):
        """The next packet for this worker; empty while its route is not known."""
        with self.account.lock:
            if not self.route or self.stop.is_set():
                return b""
            self.told += 1
            self.told_at.append(time.monotonic())
        return packet(test_id="down.%d" % (self.told - 1), route=self.route)

    def oldest(self):
        return super().oldest() or (self.told_at[0] if self.told_at else None)

    def awaits(self):
        return super().awaits() if self.sent else "down.%d" % self.heard


def describe(event):
    content = event.content[:100] if event.content is not None else None
    return "%s %s, file %s %s" % (event.test_id, event.status, event.file, content)
