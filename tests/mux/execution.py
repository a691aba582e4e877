"""The rig of mux exec's tests: running it, its packets, its endpoint."""
import base64
import socket

from command import *

WORKER = """
import os, signal, sys, time
from subunit.v2 import StreamResultToBytes
stream = StreamResultToBytes(sys.stdout.buffer)
stream.status(test_id="first", test_status="inprogress")
stream.status(test_id="first", test_status="success")
stream.status(test_id="second", test_status="inprogress")
sys.stdout.flush()
"""


def shown(stream, check=True):
    done = subprocess.run([MUX, "cat", "--json"], input=stream, capture_output=True, check=check)
    return [json.loads(line) for line in done.stdout.splitlines()]


def content(event):
    return base64.b64decode(event["file_b64"] or "")


class Above:
    """The place that a running mux exec --to connects to: what goes up, and what is sent down."""

    def __init__(self, case, *arguments, trust=("--trust-network",)):
        self.case = case
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)
        self.process = case.start("exec", "--to", "127.0.0.1:%d" % listener.getsockname()[1], *trust,
                                  *arguments)
        self.socket, _ = listener.accept()
        listener.close()
        self.socket.settimeout(PATIENCE)
        case.addCleanup(self.socket.close)
        self.stream = b""

    def send(self, **fields):
        self.socket.sendall(packet(**fields))

    def type(self, text):
        self.send(file_name="stdin", file_bytes=text)

    def events(self):
        """So far; the last packet may be half there."""
        return shown(self.stream, check=False)

    def text(self, name="stdout"):
        return self.case.output(self.events(), name)

    def receive(self):
        chunk = self.socket.recv(1 << 20)
        self.stream += chunk
        return chunk

    def until(self, text, name="stdout"):
        """Until this was written."""
        while text not in self.text(name):
            self.case.assertTrue(self.receive(), "the end, without %r: %r" % (text, self.text(name)))

    def end(self, status=None):
        """All packets, to the end."""
        while self.receive():
            pass
        code = self.process.wait(PATIENCE)
        if status is not None:
            self.case.assertEqual(code, status, self.process.stderr.read())
        return shown(self.stream)


class ExecCase(Case):
    def execute(self, *arguments, status=None, env=None, stdin=subprocess.DEVNULL):
        """Its packets, what it said, and how it ended."""
        with subprocess.Popen([MUX, "exec", *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(os.environ, **(env or {}))) as process:
            self.pid = process.pid
            stream, said = process.communicate(timeout=PATIENCE)
        if status is not None:
            self.assertEqual(process.returncode, status, said)
        self.said = said.decode()
        return shown(stream) if stream else []

    def python(self, code, *options, **more):
        return self.execute(*options, "--", "/usr/bin/python3", "-c", WORKER + code, **more)

    def exit_of(self, events):
        ends = [event for event in events if event["file_name"] == "muxd.exit"]
        self.assertEqual(len(ends), 1, events)
        self.assertEqual(ends[0]["mime_type"], "application/json")
        return json.loads(content(ends[0]))

    def verdicts(self, events):
        return [(event["test_id"], event["test_status"]) for event in events
                if event["test_id"] and event["test_status"]]

    def output(self, events, name):
        return b"".join(content(event) for event in events if event["file_name"] == name)

    BEGUN = [("first", "inprogress"), ("first", "success"), ("second", "inprogress")]
