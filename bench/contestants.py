"""The programs that are measured, how each is started, and the work of muxd that it does not do."""
import os
import resource
import shutil
import subprocess

LISTEN_PORT = 7533
SINK_PORT = 7600
PYTHON = "/usr/bin/python3"  # the one that has Debian's python3-subunit
HERE = os.path.dirname(os.path.abspath(__file__))


class Contestant:
    """
    `framing` is how load and sink wrap packets for it (bench/packet.h); `less` names the work of muxd
    that it does not do; `slow` means that it gets fewer packets.
    """

    name = less = program = ""
    framing = "subunit"
    slow = False
    emulated_only = False
    workers_most = 1 << 20
    packet_most = 1 << 30
    sink_connects = False

    def found(self, _build):
        return bool(shutil.which(self.program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"))

    def fits(self, link, cell):
        return ((link.emulated or not self.emulated_only) and cell.workers <= self.workers_most and
                cell.bytes <= self.packet_most)

    def command(self, build, link, cell, scratch):
        raise NotImplementedError


class Muxd(Contestant):
    program = "muxd"

    def __init__(self, io):
        self.name, self.io = ("muxd" if io == "uring" else f"muxd-{io}"), io

    def found(self, _build):
        return True

    def command(self, build, link, cell, scratch):
        return [f"{build}/tools/muxd/muxd", "--listen", f"{link.interface}:{LISTEN_PORT}",
                "--upstream", f"{link.sink_address}:{SINK_PORT}", "--io", self.io]


class Null(Contestant):
    name = "null"
    less = "does not parse, no routes, tears packets apart"
    framing = "bytes"

    def found(self, _build):
        return True

    def command(self, build, link, cell, scratch):
        return [f"{build}/bench/bench-null", str(LISTEN_PORT), link.sink_address, str(SINK_PORT),
                str(cell.workers)]


class Haproxy(Contestant):
    name = program = "haproxy"
    less = "TCP mode: does not parse, one upstream connection for each worker"
    framing = "stream"
    # it ends at once where the limit of open files is below two for each worker
    workers_most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 64

    def command(self, build, link, cell, scratch):
        path = os.path.join(scratch, "haproxy.cfg")
        with open(path, "w") as file:
            file.write(f"""global
  nbthread 1
  maxconn {cell.workers + 16}
defaults
  mode tcp
  timeout connect 10s
  timeout client 1m
  timeout server 1m
listen relay
  bind :{LISTEN_PORT} backlog 16384
  server sink {link.sink_address}:{SINK_PORT}
""")
        return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", path]


class Socat(Contestant):
    name = program = "socat"
    less = "does not parse, a process and an upstream connection for each worker"
    framing = "stream"
    workers_most = 64

    def command(self, build, link, cell, scratch):
        return ["socat", "-b65536", f"TCP-LISTEN:{LISTEN_PORT},fork,reuseaddr,backlog=128",
                f"TCP:{link.sink_address}:{SINK_PORT}"]


class Natural(Contestant):
    name = "python"
    less = "python-subunit's own parts: a thread for each worker, a queue, a writer"
    slow = True
    workers_most = 256

    def found(self, _build):
        if not os.path.exists(PYTHON):
            return False
        asked = [PYTHON, "-c", "import subunit, testtools"]
        return subprocess.run(asked, stderr=subprocess.DEVNULL).returncode == 0

    def command(self, build, link, cell, scratch):
        return [PYTHON, f"{HERE}/natural.py", str(LISTEN_PORT), link.sink_address, str(SINK_PORT),
                str(cell.workers)]


class Rsyslog(Contestant):
    name = "rsyslog"
    program = "rsyslogd"
    less = "octet-counted text records: no packets, no CRC, no routes (each record names its worker)"
    framing = "syslog"
    workers_most = 256
    packet_most = 1024

    def command(self, build, link, cell, scratch):
        path = os.path.join(scratch, "rsyslog.conf")
        with open(path, "w") as file:
            file.write(f"""module(load="imptcp" threads="1")
global(workDirectory="{scratch}")
main_queue(queue.type="LinkedList" queue.size="100000" queue.workerThreads="1")
template(name="raw" type="string" string="%rawmsg%")
input(type="imptcp" port="{LISTEN_PORT}" ruleset="relay")
ruleset(name="relay" queue.type="Direct") {{
  action(type="omfwd" target="{link.sink_address}" port="{SINK_PORT}" protocol="tcp"
         TCP_Framing="octet-counted" template="raw")
}}
""")
        return ["/usr/sbin/rsyslogd", "-n", "-i", os.path.join(scratch, "rsyslog.pid"), "-f", path]


class Nats(Contestant):
    name = "nats"
    program = "nats-server"
    less = "messages with a subject: does not parse, no CRC; publishers get no back-pressure"
    framing = "nats"
    workers_most = 256
    packet_most = 1 << 19
    sink_connects = True

    def command(self, build, link, cell, scratch):
        path = os.path.join(scratch, "nats.conf")
        with open(path, "w") as file:
            file.write(f"port: {LISTEN_PORT}\nmax_pending: 4GB\nwrite_deadline: \"60s\"\n")
        return ["nats-server", "-c", path]


class Direct(Contestant):
    """No relay: the limit of link, load and sink, these two on a core each, or on one."""

    framing = "stream"

    def __init__(self, name, one_core):
        self.name, self.one_core = name, one_core
        self.emulated_only = one_core
        self.less = "no relay at all: load and sink alone; its CPU is the sink's"
        if one_core:
            self.less += ". They share a core, as beside a relay: no relay can surpass this here"

    def found(self, _build):
        return True


ALL = [Muxd("uring"), Muxd("epoll"), Null(), Haproxy(), Socat(), Natural(), Rsyslog(), Nats(), Direct("direct", False),
       Direct("one core", True)]
BY_NAME = {contestant.name: contestant for contestant in ALL}
