"""The links that are measured: emulated with network namespaces and veth, or real ones to bench/peer."""
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PREFIX = "muxd-bench-"
PEER_PORT = 7534
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
SAID_BYTES = 1 << 16
PATIENCE = 60  # seconds for one line of our programs; a run that takes longer has failed


# A connection that is refused over a link shows that it is up and neighbours are resolved.
REFUSED = """
import socket, sys
for _ in range(20):
    try:
        socket.create_connection((sys.argv[1], 9), timeout=0.5)
    except ConnectionRefusedError:
        sys.exit(0)
    except OSError:
        pass
sys.exit("no way to " + sys.argv[1])
"""


class Failed(Exception):
    """A run without a figure, with the reason."""


class Lines:
    """A program that exchanges lines with us, here or on the peer."""

    def __init__(self, reader, writer):
        self.writer = writer
        self.lines = queue.Queue()
        threading.Thread(target=self._read, args=(reader,), daemon=True).start()

    def _read(self, reader):
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # only the main thread handles them, and may block them
        try:
            for line in reader:
                self.lines.put(line.strip())
        except (OSError, ValueError):
            pass
        self.lines.put(None)

    def line(self, patience=PATIENCE, or_end=False):
        try:
            line = self.lines.get(timeout=patience)
        except queue.Empty:
            raise Failed(f"{self.name}: no answer in {patience} s") from None
        if line is None and not or_end:
            raise Failed(f"{self.name} ended early: {self.said()}")
        if line and line.startswith("wrong:"):
            raise Failed(f"{self.name}: {line}")
        return line

    def go(self):
        self.writer.write("go\n")
        self.writer.flush()


class Local(Lines):
    """A process on this host; its CPU time, with its children's, is known at its end."""

    def __init__(self, argv, cpu, namespace=None):
        self.name = os.path.basename(argv[2] if argv[0] == "env" else argv[0])
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*inside, "taskset", "-c", str(cpu), *argv], text=True, stderr=self.errors,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.usage = None
        super().__init__(self.process.stdout, self.process.stdin)

    def said(self):
        """The end of its stderr. Without seek(): the program shares the file's offset."""
        written = os.pread(self.errors.fileno(), SAID_BYTES, 0).decode(errors="replace")
        return "; ".join(written.strip().splitlines()[-3:])

    def go_first(self):
        """
        For latency: the program does not wait for its core, which other tasks use for milliseconds, too.
        Without permission for that it waits.
        """
        try:
            os.sched_setscheduler(self.pid, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            pass

    def cpu_seconds(self):
        return time.clock_gettime(~self.pid << 3 | 2)  # the process's own clock, CPUCLOCK_SCHED

    def wait(self, patience):
        """Reaps it and keeps its usage; False: it is still running."""
        until = time.monotonic() + patience
        while self.usage is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.usage = usage
                self.process.returncode = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                return False
            else:
                time.sleep(0.005)
        return True

    def stop(self, patience=5):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.usage is None:
                os.kill(self.pid, number)
                self.wait(patience)
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            try:
                stream.close()
            except OSError:
                pass


class Remote(Lines):
    """A program on the other host, started by its bench/peer: one connection for each program."""

    def __init__(self, host, argv):
        self.name = f"{argv[0]} on {host}"
        self.socket = socket.create_connection((host, PEER_PORT), timeout=10)
        self.socket.settimeout(None)
        stream = self.socket.makefile("rw")
        stream.write(json.dumps(argv) + "\n")
        stream.flush()
        super().__init__(stream, stream)

    def said(self):
        return "see the output of bench/peer there"

    def go_first(self):
        pass

    def stop(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout


def read(path, default=""):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return default


def cpus():
    """The CPUs of (the relay, the load and the sink): different ones if there are two."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def steer(interface, cpu, *inside):
    """
    Makes this CPU handle the interface's receive work, as each machine does for its own interfaces. By default
    the sender's CPU does it for a veth, so that a relay would pay for the TCP of its peers.
    """
    digits = f"{1 << cpu:x}"
    words = [digits[max(0, end - 8):end] for end in range(len(digits), 0, -8)]
    run(*inside, "sh", "-c", f"echo {','.join(reversed(words))} >/sys/class/net/{interface}/queues/rx-0/rps_cpus")


class Emulated:
    """
    Two namespaces, `farm` with the workers and the upstream, `hub` with the relay, and two equal
    cables: workers to relay, relay to upstream. Inside the hub the first has the link's name.
    """

    KINDS = {
        "ib0": (65520, None, "IPoIB connected mode, unshaped"),
        "ib0-sdr": (65520, "8gbit", "IPoIB connected mode, shaped to 4X SDR's 8 Gbit/s"),
        "ib0-datagram": (2044, None, "IPoIB datagram mode, unshaped"),
        "eth0": (1500, "1gbit", "gigabit Ethernet, shaped to 1 Gbit/s"),
    }
    emulated = True
    steered = False  # it costs an interrupt between CPUs for each packet

    def __init__(self, name):
        self.name = name
        self.interface = name.split("-")[0]
        self.mtu, self.rate, self.what = self.KINDS[name]
        self.farm, self.hub = (f"{PREFIX}{os.getpid()}-{side}" for side in ("farm", "hub"))
        self.farm_address, self.hub_address, self.sink_address = "10.77.1.1", "10.77.1.2", "10.77.2.1"

    def __enter__(self):
        relay_cpu, load_cpu = cpus()
        sweep()
        try:
            for namespace in (self.farm, self.hub):
                add_namespace(namespace)
            for interface, subnet in ((self.interface, 1), ("up0", 2)):
                run("ip", "-n", self.farm, "link", "add", interface, "type", "veth", "peer", "name",
                    interface, "netns", self.hub)
                for namespace, host, cpu in ((self.farm, 1, load_cpu), (self.hub, 2, relay_cpu)):
                    self._configure(namespace, interface, f"10.77.{subnet}.{host}/24")
                    if self.steered and relay_cpu != load_cpu:
                        steer(interface, cpu, "ip", "netns", "exec", namespace)
            for address in (self.hub_address, "10.77.2.2"):  # up, with resolved neighbours
                run("ip", "netns", "exec", self.farm, sys.executable, "-c", REFUSED, address)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _configure(self, namespace, interface, address):
        run("ip", "-n", namespace, "link", "set", interface, "mtu", str(self.mtu), "up")
        run("ip", "-n", namespace, "addr", "add", address, "dev", interface)
        if self.rate:
            run("ip", "netns", "exec", namespace, "tc", "qdisc", "add", "dev", interface, "root",
                "tbf", "rate", self.rate, "burst", "512kb", "latency", "40ms")

    def __exit__(self, *_):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # a second Ctrl-C waits for the removal
        try:
            remove(self.farm, self.hub)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def on_hub(self, argv, cpu):
        return Local(argv, cpu, self.hub)

    def on_farm(self, argv, cpu):
        return Local(argv, cpu, self.farm)

    def facts(self):
        return {"name": self.name, "emulated": True, "mtu": self.mtu, "what": self.what}


class Loopback:
    """A namespace that has nothing but its loopback interface: what a relay costs without a cable."""

    name = interface = "lo"
    emulated = True
    farm_address = hub_address = sink_address = "127.0.0.1"

    def __init__(self):
        self.namespace = f"{PREFIX}{os.getpid()}-lo"

    def __enter__(self):
        sweep()
        add_namespace(self.namespace)
        return self

    def __exit__(self, *_):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        try:
            remove(self.namespace)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def on_hub(self, argv, cpu):
        return Local(argv, cpu, self.namespace)

    on_farm = on_hub

    def facts(self):
        return {"name": self.name, "emulated": True, "mtu": 65536, "what": "loopback"}


class Hardware:
    """The real interface NAME; the workers and the upstream are on HOST, where bench/peer runs."""

    emulated = False

    def __init__(self, name, host):
        self.name = self.interface = name
        self.farm_address = self.sink_address = host
        try:
            route = run("ip", "-o", "route", "get", socket.gethostbyname(host))
        except (OSError, subprocess.SubprocessError) as error:
            raise SystemExit(f"bench/run: --link {name}={host}: no way to this IPv4 host: {error}") from None
        found = re.search(r"dev (\S+).* src (\S+)", route)
        if not found or found[1] != name:
            raise SystemExit(f"bench/run: --link {name}={host}: {host} is not reached over {name}")
        self.hub_address = found[2]
        try:
            socket.create_connection((host, PEER_PORT), timeout=5).close()
        except OSError as error:
            raise SystemExit(f"bench/run: no bench/peer at {host}, port {PEER_PORT}: {error}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def on_hub(self, argv, cpu):
        return Local(argv, cpu)

    def on_farm(self, argv, _cpu):
        argv = argv[2:] if argv[0] == "env" else argv  # the peer has its own
        return Remote(self.farm_address, [os.path.basename(argv[0]), *argv[1:]])

    def facts(self):
        base = f"/sys/class/net/{self.name}/"
        infiniband = read(base + "type") == "32"  # ARPHRD_INFINIBAND
        what = f"IPoIB {read(base + 'mode', 'datagram')} mode" if infiniband else "Ethernet"
        return {"name": self.name, "emulated": False, "mtu": int(read(base + "mtu")), "what": what,
                "speed_mbit": read(base + "speed")}


def add_namespace(name):
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    # otherwise a new interface's address is tentative for a second, and bind() must wait; and closed
    # connections must not keep their ports from the next ten thousand
    run("ip", "netns", "exec", name, "sh", "-c", "cd /proc/sys/net && echo 0 >ipv6/conf/default/accept_dad && "
        "echo 10000 65000 >ipv4/ip_local_port_range && echo 1000 >ipv4/tcp_max_tw_buckets")


def remove(*namespaces):
    """Removes namespaces, and with them their links; missing ones are fine."""
    for namespace in namespaces:
        pids = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True)
        for pid in pids.stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def sweep():
    """Removes the namespaces of a run that was killed."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        owner = re.fullmatch(PREFIX + r"(\d+)-\w+", name)
        if owner and not os.path.exists(f"/proc/{owner[1]}"):
            remove(name)
