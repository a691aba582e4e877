"""The rig of the end-to-end tests: a muxd, workers, an upstream, two independent readers of streams."""
import base64
import collections
import errno
import io
import json
import os
import queue
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import subunit
from subunit.v2 import StreamResultToBytes

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "corpora"))
import oracle

MUXD = os.environ["MUXD"]
MUX = os.environ["MUX"]
IO = os.environ["MUXD_IO"]

# muxd leaves signals ignored that were ignored when it started: the tests must not depend on nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Seconds after which a wait counts as a hang. No test depends on how fast the machine is.
PATIENCE = 300
TEST_MOST = 900  # seconds for one test
NEVER = ("--drain-timeout", "3600")  # a muxd that something holds up at TERM does not end


def packet(**fields):
    """One packet as python-subunit writes it."""
    out = io.BytesIO()
    StreamResultToBytes(out).status(**fields)
    return out.getvalue()


class Collect:
    """A StreamResult that keeps events as dictionaries in the oracle's schema."""

    def __init__(self):
        self.events = []

    def startTestRun(self):
        pass

    def stopTestRun(self):
        pass

    def status(self, test_id=None, test_status=None, test_tags=None, runnable=True, file_name=None,
               file_bytes=None, eof=False, mime_type=None, route_code=None, timestamp=None):
        self.events.append(dict(
            test_id=test_id, test_status=test_status,
            test_tags=None if test_tags is None else sorted(test_tags), runnable=runnable,
            file_name=file_name,
            file_b64=None if file_bytes is None else base64.b64encode(bytes(file_bytes)).decode(),
            eof=eof, mime_type=mime_type, route_code=route_code,
            timestamp=None if timestamp is None else str(timestamp)))


def python_events(stream):
    """The events of a stream, by python-subunit."""
    collect = Collect()
    subunit.ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name="stdout").run(collect)
    return collect.events


def in_progress(events):
    """(route, test id) of tests that began and have not ended, in that order."""
    running = {}
    for event in events:
        key = (event["route_code"], event["test_id"])
        if event["test_status"] == "inprogress":
            running.setdefault(key)
        elif event["test_status"] not in (None, "exists"):
            running.pop(key, None)
    return list(running)


def take_failed(events):
    """Removes the failures that muxd reports for a dead worker's tests: (route, test id) of each."""
    taken = []
    while events and events[-1]["file_name"] == "muxd":
        event = events.pop()
        assert (event["test_status"], event["eof"]) == ("fail", True), event
        assert event["mime_type"] == "text/plain;charset=utf8", event
        assert "while this test was in progress" in text(event), event
        taken.insert(0, (event["route_code"], event["test_id"]))
    return taken


def by_segment(events):
    """Events by their first route segment, with that segment stripped."""
    links = collections.defaultdict(list)
    for event in events:
        route = event["route_code"]
        segment, slash, rest = (route or "").partition("/")
        links[segment if route is not None else None].append(
            dict(event, route_code=rest if slash else None))
    return links


def merge_chatter(events):
    """Joins neighbouring chatter events: muxd may cut chatter anywhere."""
    merged = []
    for event in events:
        chatter = event["file_name"] == "stdout" and event["test_id"] is None
        if chatter and merged and dict(merged[-1], file_b64=None) == dict(event, file_b64=None):
            both = base64.b64decode(merged[-1]["file_b64"]) + base64.b64decode(event["file_b64"])
            merged[-1] = dict(event, file_b64=base64.b64encode(both).decode())
        else:
            merged.append(event)
    return merged


def without_reasons(events):
    """Without the texts of parser errors, which the oracle does not fix."""
    return [dict(event, file_b64=None) if event["file_name"] == "Parser Error" else event
            for event in events]


def text(event):
    return base64.b64decode(event["file_b64"]).decode()


# Enough for most tests. ASan marks all of a node's tables at its start and end, and those of 16,384
# links take a second.
LINKS = "1024"


class Muxd:
    """A running muxd. stdout is kept in a file unless it is given. links=None: its own --max-links."""

    def __init__(self, *options, listen=("127.0.0.1:0",), stdout=None, stdin=subprocess.DEVNULL,
                 io_choice=IO, wrapper=(), links=LINKS, program=MUXD, **keywords):
        self.out = tempfile.TemporaryFile()
        argv = [*wrapper, program, "--io", io_choice, *options]
        if links and "--max-links" not in options:
            argv += ["--max-links", links]
        for endpoint in listen:
            argv += ["--listen", endpoint]
        self.process = subprocess.Popen(
            argv, stdin=stdin, stdout=self.out if stdout is None else stdout,
            stderr=subprocess.PIPE, text=True, **keywords)
        self.addresses = []
        self.log = []
        self.lines = queue.Queue()
        threading.Thread(target=self._read_log, daemon=True).start()
        for endpoint in listen:
            if endpoint != "-":
                self.addresses.append(self.wait_log(r"^listening on (.*)$")[1])

    def _read_log(self):
        for line in self.process.stderr:
            self.lines.put(line.rstrip("\n"))
        self.process.stderr.close()
        self.lines.put(None)

    def wait_log(self, pattern, patience=PATIENCE):
        """Waits for the next log line that matches the pattern; returns the match."""
        deadline = time.monotonic() + patience
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError("no %r in the log: %r" % (pattern, self.log)) from None
            if line is None:
                raise AssertionError("muxd ended without %r in the log: %r" % (pattern, self.log))
            self.log.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    @property
    def port(self):
        return int(self.addresses[0].rpartition(":")[2])

    def connect(self, address=None):
        return connect(address or self.addresses[0])

    def resident_bytes(self):
        with open("/proc/%d/statm" % self.process.pid) as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE):
        status = self.process.wait(patience)
        while True:
            line = self.lines.get(timeout=PATIENCE)
            if line is None:
                return status
            self.log.append(line)

    def end(self):
        """Sends TERM; returns the exit status."""
        self.signal()
        return self.wait()

    def stream(self):
        """The bytes in stdout's file. Never a seek: muxd writes at the same file position."""
        return os.pread(self.out.fileno(), os.fstat(self.out.fileno()).st_size, 0)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.out.close()


def connect(address):
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address[5:])  # blocking: with a time limit, a full backlog is an error at once
        sock.settimeout(PATIENCE)
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE)


def free_port():
    """A port of ::1 and 127.0.0.1 that nobody gets by chance: it lies below those that the kernel gives
    to port 0 and to connect(), so it stays free until it is bound, and between two that bind it."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first_given = int(file.read().split()[0])
    while True:
        port = random.randrange(first_given // 2, first_given)
        try:
            for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
                with socket.create_server((host, port), family=family):
                    pass
            return port
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return port  # no IPv6 here
            if error.errno != errno.EADDRINUSE:
                raise


class Upstream:
    """An upstream on TCP that can be killed and come back on the same port."""

    def __init__(self, receive_bytes=None, port=None):
        self.port = port or free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        if receive_bytes:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.listener.settimeout(PATIENCE)
        self.sock = None

    @property
    def endpoint(self):
        return "tcp:127.0.0.1:%d" % self.port

    def stop_listening(self):
        self.listener.close()

    def listen_again(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.listener.settimeout(PATIENCE)

    def accept(self):
        if self.sock:
            self.sock.close()
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(PATIENCE)
        return self.sock

    def read_until(self, enough, already=b""):
        """Reads until enough(bytes) or the end."""
        stream = bytearray(already)
        while not enough(stream):
            chunk = self.sock.recv(1 << 20)
            if not chunk:
                break
            stream += chunk
        return bytes(stream)

    def read_events(self, count):
        stream = self.read_until(lambda s: count_packets(s) >= count)
        return oracle.decode(stream)

    def close(self):
        if self.sock:
            self.sock.close()
        self.listener.close()


class Cable:
    """A proxy between a node and its upstream that can be cut (both ends get a reset) and mended."""

    def __init__(self, to, port=0):
        self.to = to
        self.listener = socket.create_server(("127.0.0.1", port))
        self.endpoint = "mux:127.0.0.1:%d" % self.listener.getsockname()[1]
        self.is_cut = False
        self.pairs = []
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                below, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                if self.is_cut:
                    reset(below)
                    continue
                above = connect(self.to)
                above.settimeout(None)
                self.pairs.append((below, above))
            for source, sink in ((below, above), (above, below)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def has_acknowledged(self):
        """The nodes below know that all they sent has arrived. Otherwise a cut leaves it in doubt."""
        port = ":%04X" % self.listener.getsockname()[1]
        with open("/proc/net/tcp") as file:
            sockets = [line.split() for line in file]
        return all(fields[4].startswith("00000000:") for fields in sockets
                   if fields[2].endswith(port))

    def cut(self):
        with self.lock:
            self.is_cut = True
            for pair in self.pairs:
                for sock in pair:
                    reset(sock)
            self.pairs = []

    def mend(self):
        with self.lock:
            self.is_cut = False

    def close(self):
        self.listener.close()
        self.cut()


TWO_ADDRESSES = "two-addresses"


class BlackHole:
    """A port of ::1 whose packets vanish because its backlog is full. The same port of 127.0.0.1 is
    free: a name with both has a dead address before a good one."""

    def __init__(self):
        self.listener = socket.socket(socket.AF_INET6)
        self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.port = free_port()
        self.listener.bind(("::1", self.port))
        self.listener.listen(0)
        self.held = []
        for _ in range(6):
            sock = socket.socket(socket.AF_INET6)
            sock.setblocking(False)
            sock.connect_ex(("::1", self.port))
            self.held.append(sock)

    @property
    def place(self):
        return "%s:%d" % (TWO_ADDRESSES, self.port)

    def close(self):
        for sock in (*self.held, self.listener):
            sock.close()


def reset(sock):
    """Closes the socket so that the peer gets a reset; ends other threads' calls on it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        pass
    sock.close()


def packet_ends(stream):
    """Where the whole packets of a stream of packets end."""
    ends, at = [], 0
    while at + 6 <= len(stream):
        width = (stream[at + 3] >> 6) + 1
        length = int.from_bytes(bytes([stream[at + 3] & 63]) + stream[at + 4:at + 3 + width], "big")
        if at + length > len(stream):
            break
        at += length
        ends.append(at)
    return ends


def count_packets(stream):
    return len(packet_ends(stream))


class Case(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        def too_long(number, frame):
            raise TimeoutError("the test takes longer than %d s" % TEST_MOST)
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(TEST_MOST)
        self.addCleanup(signal.alarm, 0)

    def same(self, events, expected, what=""):
        """Asserts equal lists of events; shows only the first difference."""
        for i, (one, other) in enumerate(zip(events, expected)):
            self.assertEqual(one, other, "event %d %s" % (i, what))
        self.assertEqual(len(events), len(expected), what)

    def muxd(self, *options, **keywords):
        node = Muxd(*options, **keywords)
        self.addCleanup(node.close)
        return node

    def upstream(self, **keywords):
        upstream = Upstream(**keywords)
        self.addCleanup(upstream.close)
        return upstream

    def black_hole(self):
        try:
            hole = BlackHole()
        except OSError as error:
            self.lacks("no IPv6 here: %s" % error)
        self.addCleanup(hole.close)
        return hole

    def two_addresses(self):
        """For muxd(wrapper=): a name for ::1 and 127.0.0.1, in a mount namespace of its own."""
        path = os.path.join(self.folder(), "hosts")
        with open(path, "w") as file:
            file.write("::1 %s\n127.0.0.1 %s\n" % (TWO_ADDRESSES, TWO_ADDRESSES))
        wrapper = ("unshare", "-m", "sh", "-c",
                   "mount --bind %s /etc/hosts && exec \"$@\"" % path, "sh")
        if subprocess.run([*wrapper, "true"], stderr=subprocess.DEVNULL).returncode:
            self.lacks("no right to make a mount namespace")
        return wrapper

    def lacks(self, what):
        """Skips a test for which this machine lacks something; in CI that is a failure."""
        if os.environ.get("MUXD_CI"):
            self.fail(what)
        self.skipTest(what)

    def socket(self, address):
        sock = connect(address)
        self.addCleanup(sock.close)
        return sock

    def folder(self):
        folder = tempfile.TemporaryDirectory(prefix="muxd-e2e-")
        self.addCleanup(folder.cleanup)
        return folder.name

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, "no longer waiting for " + what)
            time.sleep(0.01)

    def stats(self, path):
        with open(path) as file:
            return {name: entry["value"] for name, entry in json.load(file).items()}

    def fresh_stats(self, muxd, path):
        """The current counters, written because of a USR1."""
        if os.path.exists(path):
            os.unlink(path)
        muxd.signal(signal.SIGUSR1)
        self.until(lambda: os.path.exists(path), "the counters")
        return self.stats(path)

    def finish(self, sock):
        """Ends a worker's stream and waits until muxd has read it."""
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(sock.recv(1), b"")
        sock.close()
