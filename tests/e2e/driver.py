"""A driver: the upstream of a tree, which hands out jobs to its agents and hears what becomes of them."""
import threading

from harness import *

from subunit.v2 import StreamResultToBytes

PART_BYTES = 60000  # of a job that needs several packets


def varint(data, at):
    more = data[at] >> 6
    return int.from_bytes(data[at:at + more + 1], "big") & ((1 << (8 * more + 6)) - 1), at + more + 1


def fields(packet):
    """A packet's fields that matter here."""
    flags = packet[1] << 8 | packet[2]
    _, at = varint(packet, 3)
    event = dict(status=flags & 7, test_id=None, file=None, content=b"", route="")

    def string():
        nonlocal at
        length, at = varint(packet, at)
        at += length
        return packet[at - length:at]

    if flags & 0x0200:
        _, at = varint(packet, at + 4)
    if flags & 0x0800:
        event["test_id"] = string().decode()
    if flags & 0x0080:
        count, at = varint(packet, at)
        for _ in range(count):
            string()
    if flags & 0x0020:
        string()
    if flags & 0x0040:
        event["file"], event["content"] = string().decode(), string()
    if flags & 0x0400:
        event["route"] = string().decode()
    return event


def packets(data):
    """The whole packets in front, and the rest."""
    found, at = [], 0
    while len(data) - at >= 6:
        length, _ = varint(data, at + 3)
        if len(data) - at < length:
            break
        found.append(data[at:at + length])
        at += length
    return found, data[at:]


class Driver:
    """Listens on a unix socket for the tree's top. `events` has all that came, in order."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(PATIENCE)
        self.endpoint = "unix:" + path
        self.events = []
        self.news = threading.Condition()

    def accept(self):
        self.sock, _ = self.listener.accept()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        rest = b""
        while chunk := self.sock.recv(1 << 18):
            found, rest = packets(rest + chunk)
            with self.news:
                self.events += map(fields, found)
                self.news.notify_all()

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.reader.join()
        self.sock.close()
        self.listener.close()

    def wait(self, condition, what, patience=PATIENCE):
        """Until the condition of the events is true; its value."""
        with self.news:
            value = self.news.wait_for(lambda: condition(self.events), patience)
            if not value:
                raise AssertionError("no %s among %r" % (what, self.events[-40:]))
            return value

    def send(self, route, **packet):
        self.sock.sendall(encoded(route_code=route, runnable=False, **packet))

    def order(self, route, do, version=1):
        self.send(route, file_name="muxd.control", eof=True,
                  file_bytes=json.dumps(dict(v=version, do=do)).encode())

    def type(self, route, text):
        self.send(route, file_name="stdin", file_bytes=text)

    def job(self, route, name, command, **keys):
        self.text(route, name, json.dumps(dict(dict(v=1, run="run", job=name, command=command),
                                               **keys)).encode())

    def text(self, route, name, text):
        """A job's bytes, in as many packets as they need."""
        for at in range(0, len(text), PART_BYTES):
            self.send(route, test_id=name, file_name="muxd.job", eof=at + PART_BYTES >= len(text),
                      file_bytes=text[at:at + PART_BYTES],
                      test_tags={"at=%d" % at} if at else None)

    # ---- what came ----

    def messages(self, file, events=None):
        """Those of nodes: with a test id or a status it is a result, by whatever worker."""
        return [(event["route"], json.loads(event["content"]))
                for event in (self.events if events is None else events)
                if event["file"] == file and event["test_id"] is None and not event["status"]]

    def answers(self, name, events=None):
        return [answer for _, answer in self.messages("muxd.job", events) if answer["job"] == name]

    def answer(self, name, *states):
        """The first answer about this job in one of these states (else: ended or refused)."""
        states = states or ("ended", "refused")
        return self.wait(lambda events: next((answer for answer in self.answers(name, events)
                                              if answer["state"] in states), None),
                         "answer %s about %s" % (states, name))

    def want(self, condition=lambda want: True, after=0):
        """(route, want): the first after so many events that is as it should be."""
        return self.wait(lambda events: next(((route, want) for route, want in
                                              self.messages("muxd.want", events[after:])
                                              if condition(want)), None), "want")

    def file(self, route, name):
        return b"".join(event["content"] for event in self.events
                        if event["route"] == route and event["file"] == name)


def encoded(**keywords):
    out = io.BytesIO()
    StreamResultToBytes(out).status(**keywords)
    return out.getvalue()


class Agent:
    """A running mux agent."""

    def __init__(self, *options, **keywords):
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen([MUX, "agent", *options], stdin=subprocess.DEVNULL,
                                        stderr=self.said, **keywords)

    def log(self):
        return os.pread(self.said.fileno(), 1 << 20, 0).decode()

    def keepers(self):
        """{pid: command line} of what it has started itself."""
        return processes(self.process.pid)

    def close(self):
        """Its keepers see that it is gone, and end."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.said.close()


def processes(parent):
    """{pid: command line} of the children that have not ended."""
    found = {}
    for entry in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % entry) as file:
                state, ppid = file.read().rpartition(")")[2].split()[:2]
            with open("/proc/%s/cmdline" % entry, "rb") as file:
                line = file.read()
        except (OSError, ValueError):
            continue
        if int(ppid) == parent and state not in "ZX":
            found[int(entry)] = line
    return found


def lives(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
