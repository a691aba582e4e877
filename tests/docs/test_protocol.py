"""docs/protocol.md against the programs. Each packet is decoded twice. The worked example runs with a real
muxd: its peers send the packets of the document, and muxd must answer with those of the document."""
import ast
import base64
import glob
import io
import json
import os
import re
import subprocess
import unittest

from subunit.v2 import StreamResultToBytes

from document import blocks, rows
from harness import *

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
PROTOCOL = os.path.join(TOP, "docs/protocol.md")
# The document's values of fields that differ in each run: the nodes' identities, the secret for the
# leaf, the node's name, and the worker's address.
VARIABLE = ("1" * 32, "2" * 32, "3" * 32, "mid", "127.0.0.1:40112")


def decode(data):
    """The one packet in `data`, as the keywords of StreamResultToBytes.status()."""
    event, = python_events(data)
    fields = {key: event[key] for key in ("test_id", "test_status", "runnable", "file_name", "eof",
                                          "mime_type", "route_code")}
    if event["file_b64"] is not None:
        fields["file_bytes"] = base64.b64decode(event["file_b64"])
    return fields


def encode(fields):
    out = io.BytesIO()
    StreamResultToBytes(out).status(**fields)
    return out.getvalue()


class Stream:
    """One side of a connection, from which whole packets are read."""

    def __init__(self, sock):
        self.sock = sock
        self.rest = b""

    def packet(self):
        while not count_packets(self.rest):
            chunk = self.sock.recv(65536)
            if not chunk:
                raise AssertionError("the stream ends with %r" % self.rest)
            self.rest += chunk
        end = next(n for n in range(8, len(self.rest) + 1) if count_packets(self.rest[:n]))
        packet, self.rest = self.rest[:end], self.rest[end:]
        return packet

    def at_end(self):
        """The peer has ended the stream, and no byte is left."""
        self.rest += self.sock.recv(65536)
        return not self.rest


class Values:
    """The values of this run in place of the document's."""

    def __init__(self):
        self.real = {}

    def _text(self, fields):
        return fields.get("file_bytes", b"").decode(errors="surrogateescape")

    def to_real(self, data):
        """A packet of the document, with the values of this run."""
        if data[:1] != b"\xb3":
            return data
        fields = decode(data)
        text = self._text(fields)
        for ours, real in self.real.items():
            text = text.replace(ours, real)
        if "file_bytes" in fields:
            fields["file_bytes"] = text.encode(errors="surrogateescape")
        return encode(fields)

    def learn(self, expected, data):
        """Takes from `data` the values that stand in place of the document's in `expected`."""
        pattern = re.escape(self._text(decode(expected)))
        for i, value in enumerate(VARIABLE):
            group = "(?P<v%d>[0-9A-Za-z.:_-]+)" % i
            pattern = pattern.replace(re.escape(value), group, 1).replace(
                re.escape(value), "(?P=v%d)" % i)
        match = re.fullmatch(pattern, self._text(decode(data)))
        for name, real in (match.groupdict() if match else {}).items():
            self.real.setdefault(VARIABLE[int(name[1:])], real)


class Packets(Case):
    def test_each_decodes(self):
        """mux cat decodes each as the block `json` after it says, and python-subunit agrees."""
        found = blocks(PROTOCOL)
        pairs = [(one, two) for one, two in zip(found, found[1:])
                 if one.words == ["hex"] and two.words == ["json"]]
        self.assertGreater(len(pairs), 3)
        for one, two in pairs:
            with self.subTest(line=one.line):
                data = one.bytes()
                done = subprocess.run([MUX, "cat", "--json"], input=data, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
                self.assertIn(done.returncode, (0, 3))  # 3: damage, or not one packet
                shown = [json.loads(line) for line in done.stdout.splitlines()]
                self.assertEqual(shown, [json.loads(line) for line in two.text.splitlines()])
                self.assertEqual([event["route_code"] for event in merge_chatter(python_events(data))],
                                 [event.get("route_code") for event in shown])

    def test_routes(self):
        """Blocks that show what a node does to a packet: --prefix and --strip do the same."""
        found = [block for block in blocks(PROTOCOL) if block.words[:2] == ["hex", "route"]]
        self.assertGreater(len(found), 2)
        before = None
        for block in found:
            with self.subTest(line=block.line):
                if block.words[2] != "before":
                    done = subprocess.run([MUX, "route", *block.words[2:]], input=before,
                                          stdout=subprocess.PIPE)
                    self.assertEqual(done.returncode, 0)
                    self.assertEqual(done.stdout.hex(" "), block.bytes().hex(" "))
                before = block.bytes()


class Example(Case):
    """The worked example. Its node `mid` is the muxd under test; the test plays all others."""

    def setUp(self):
        super().setUp()
        self.values = Values()
        self.above = self.upstream()
        self.mid = self.muxd("--upstream", "mux:127.0.0.1:%d" % self.above.port,
                             "--window", "0", "--drain-timeout", "3600", "--node-grace", "3600")
        self.streams = {"top": Stream(self.above.accept())}
        self.events = {
            "the worker connects": lambda: self.connect("worker"),
            "the worker's connection ends": lambda: self.end("worker"),
            "the leaf connects": lambda: self.connect("leaf"),
            "the leaf's connection ends": lambda: self.end("leaf"),
            "mid gets the signal TERM": lambda: self.mid.signal(),
            "mid ends": self.mid_ends,
        }

    def connect(self, name):
        self.streams[name] = Stream(self.socket(self.mid.addresses[0]))

    def end(self, name):
        stream = self.streams.pop(name)
        stream.sock.shutdown(socket.SHUT_WR)
        self.assertTrue(stream.at_end())
        stream.sock.close()

    def mid_ends(self):
        self.assertTrue(self.streams["top"].at_end())
        self.streams["top"].sock.close()
        self.assertEqual(self.mid.wait(), 0)

    def said(self, block, receiver):
        """The next packet that muxd sends to that peer is the block's."""
        expected = block.bytes()
        data = self.streams[receiver].packet()
        self.values.learn(expected, data)
        self.assertEqual(data.hex(" "), self.values.to_real(expected).hex(" "),
                         "line %d of the document: %r" % (block.line, decode(data)))

    def test_example(self):
        packets = 0
        for block in blocks(PROTOCOL):
            if block.words == ["event"]:
                self.events[block.text.strip()]()
            elif block.words[:1] == ["hex"] and block.words[2:3] == ["to"]:
                sender, receiver = block.words[1], block.words[3]
                packets += 1
                if block.bytes()[:1] == b"\xb3":  # decode() and encode() lose nothing of it
                    self.assertEqual(encode(decode(block.bytes())).hex(" "), block.bytes().hex(" "))
                if sender == "mid":
                    self.said(block, receiver)
                else:
                    self.streams[sender].sock.sendall(self.values.to_real(block.bytes()))
        self.assertGreater(packets, 20)
        self.assertEqual(len(self.values.real), len(VARIABLE), self.values.real)


class Control(Case):
    """The document has exactly the keys of the control socket's answers."""

    def keys(self, document):
        """The keys in the table whose heading names this document."""
        found = None
        for cells in rows(PROTOCOL):
            if cells[0].startswith("key"):
                found = [] if cells[0] == "key of " + document else found and tuple(found)
            elif isinstance(found, list):
                found.append(cells[0])
            elif found:
                break
        return list(found)

    def flat(self, answer, before=""):
        for key, value in answer.items():
            if isinstance(value, dict):
                yield from self.flat(value, before + key + ".")
            else:
                yield before + key

    def test_keys(self):
        path = os.path.join(self.folder(), "ctl")
        muxd = self.muxd("--control", "unix:" + path)
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t", test_status="inprogress"))
        self.until(lambda: muxd.stream(), "the packet")
        asking = self.socket("unix:" + path).makefile("rw")
        asking.write("status\nlinks\r\ncounters\ntail 0 9\n")
        asking.flush()
        status, links, counters, view = (json.loads(asking.readline()) for _ in range(4))
        asking = self.socket("unix:" + path).makefile("rw")
        asking.write("nonsense\n")
        asking.flush()
        wrong, = (json.loads(line) for line in asking)
        self.assertEqual(list(self.flat(status)), self.keys("status"))
        self.assertEqual([list(link) for link in links["links"]], [self.keys("a link")])
        self.assertEqual(list(links["kept"]), self.keys("what is kept"))
        self.assertEqual(list(counters["muxd_received_bytes_total"]), self.keys("a counter"))
        self.assertEqual(list(view), self.keys("a view"))
        self.assertEqual(list(wrong), ["error"])


class Limits(unittest.TestCase):
    """A limit in a table beside its constant's name has the constant's value."""

    SUFFIX = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "s": 10**9, "ms": 10**6}

    def constants(self):
        defined = {}
        for pattern in ("mux/**/*.h", "mux/**/*.c", "transport/rdma/*.h", "tools/node/control*.h",
                        "tools/agent/*.h"):
            for path in glob.glob(os.path.join(TOP, pattern), recursive=True):
                with open(path) as file:
                    for name, value in re.findall(r"#define (\w+) +(\S.*)", file.read()):
                        defined.setdefault(name, re.sub(r"/\*.*", "", value).strip())
        return defined

    def value(self, name, defined):
        text = re.sub(r"\(size_t\)|\(uint64_t\)|UINT64_C|(?<=\d)u\b", "", defined[name])
        text = re.sub(r"[A-Z_]{3,}", lambda match: str(self.value(match[0], defined)), text)
        return eval(compile(ast.parse(text, mode="eval"), name, "eval"), {"__builtins__": {}})

    def test_limits_are_the_constants(self):
        defined = self.constants()
        checked = 0
        for cells in rows(PROTOCOL):
            if len(cells) == 3 and re.fullmatch(r"[A-Z_]{6,}", cells[2]):
                number, _, unit = cells[0].replace(",", "").partition(" ")
                with self.subTest(name=cells[2]):
                    self.assertTrue(cells[2] in defined, "there is no such constant")
                    self.assertEqual(float(number) * self.SUFFIX[unit], self.value(cells[2], defined))
                checked += 1
        self.assertGreater(checked, 10)


if __name__ == "__main__":
    unittest.main()
