"""The port itself: its answers, its state after muxd's end, and messages when there is none."""
import random
import struct

import frames
from port import *

RESTARTS = 10
IDLE_SECONDS = 2
TAP, TAP_FAR4, TAP_PORT4 = "dtap9", "10.9.1.2", "10.9.1.1"


def echo(family, target):
    """Sends an echo request and returns the payload of the answer."""
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(PATIENCE)
        payload, six = os.urandom(1000), family == socket.AF_INET6
        message = frames.icmp(128 if six else 8, 0, struct.pack("!HH", 7, 1) + payload)  # the kernel sums ICMPv6
        sock.sendto(message, (target, 0))
        while True:
            answer, _ = sock.recvfrom(4096)
            header = 0 if six else (answer[0] & 15) * 4
            if answer[header] == (129 if six else 0):
                return payload, answer[header + 8:]


class Noise:
    """Foreign TCP on the loopback interface, which a packet socket receives until it is bound."""

    def __init__(self):
        self.stop = threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.serve, self.send)]
        for thread in self.threads:
            thread.start()

    def serve(self):
        sock, _ = self.server.accept()
        while sock.recv(65536):
            pass
        sock.close()

    def send(self):
        sock = socket.create_connection(self.server.getsockname())
        while not self.stop.is_set():
            sock.send(b"x" * 1000)
            time.sleep(0.0002)
        sock.close()

    def close(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        self.server.close()


class Device(PortCase):
    def test_echo(self):
        self.port()
        self.assertEqual(*echo(socket.AF_INET, PORT4))
        self.assertEqual(*echo(socket.AF_INET6, PORT6))

    def test_resynced(self):
        """Ten times, while other programs use the loopback interface; the port is left as it was."""
        noise = Noise()
        self.addCleanup(noise.close)
        for i in range(RESTARTS):
            muxd = self.port("--exit-after", "1" if i % 2 else "1000")
            sock = self.socket(WORKERS_AT)
            sock.sendall(packet(test_id="t%d" % i))
            if i % 2:
                self.finish(sock)
                self.assertEqual(muxd.wait(), 0)
            else:
                self.until(muxd.stream, "the packet")
                self.assertEqual(muxd.end(), 0)
            events = [e["test_id"] for e in python_events(muxd.stream()) if e["test_id"]]
            self.assertEqual(events[:1], ["t%d" % i])
            port, = json.loads(ip("-json", "-details", "link", "show", NEAR))
            self.assertEqual(port["promiscuity"], 0)
            self.assertNotIn("PROMISC", port["flags"])

    def test_killed_and_restarted(self):
        """kill -9; the next muxd, which does not know its workers' connections, resets them."""
        for _ in range(3):
            muxd = self.port()
            sock = self.socket(WORKERS_AT)
            sock.sendall(packet(test_id="before"))
            self.until(muxd.stream, "the packet")
            muxd.close()
        muxd = self.port()
        with self.assertRaises(ConnectionResetError):
            for _ in range(100):
                sock.sendall(packet(test_id="after"))
                time.sleep(0.1)
        sock = self.socket(WORKERS_AT)
        sock.sendall(packet(test_id="new"))
        self.until(muxd.stream, "the new one")
        self.assertEqual(muxd.end(), 0)

    def test_idle(self):
        """An idle port takes little of a core, unless busy polling is configured."""
        shares = []
        for options in ((), ("--busy-poll-us", "1000000")):
            muxd = self.port(*options)
            sock = self.socket(WORKERS_AT)
            sock.sendall(packet(test_id="t"))
            self.until(muxd.stream, "the packet")
            time.sleep(0.1)
            before = cpu_seconds(muxd.process.pid)
            for _ in range(IDLE_SECONDS * 4):  # within the second of busy polling there is always something
                sock.sendall(packet(test_id="t"))
                time.sleep(0.25)
            shares.append((cpu_seconds(muxd.process.pid) - before) / IDLE_SECONDS)
            self.assertEqual(muxd.end(), 0)
        idle, busy = shares  # of a core, which other processes may use most of
        self.assertLess(2 * idle, busy)

    def test_tap(self):
        """A device that muxd makes itself, and that vanishes with it."""
        muxd = self.port(listen=("dpdk:net_tap0,iface=%s,ip=%s/24:%d" % (TAP, TAP_PORT4, TCP_PORT),))
        ip("addr", "add", TAP_FAR4 + "/24", "dev", TAP)
        ip("link", "set", TAP, "up")
        sent = worker_stream("w", random.Random(1), 1000)
        sock = self.socket("%s:%d" % (TAP_PORT4, TCP_PORT))
        sock.sendall(sent)
        self.finish(sock)
        self.assertEqual(*echo(socket.AF_INET, TAP_PORT4))
        self.assertEqual(muxd.end(), 0)
        self.same_by_worker(muxd.stream(), [sent])
        self.assertNotIn(TAP, ip("link"))

    def refused(self, endpoint, *options, **keywords):
        """The line that muxd prints when it cannot use the port."""
        done = subprocess.run([MUXD, *options, "--listen", endpoint], capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, **keywords)
        self.assertIn(done.returncode, (1, 2))
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_no_such_device(self):
        self.assertIn("net_af_packet0", self.refused("dpdk:net_af_packet0,iface=none9,ip=10.9.0.1/24:7533"))
        self.assertIn("net_nonsense0", self.refused("dpdk:net_nonsense0,ip=10.9.0.1/24:7533"))
        self.assertIn("iface=", self.refused("dpdk:net_af_packet0,ip=10.9.0.1/24:7533"))
        self.assertIn("0000:ff:1f.7", self.refused("dpdk:0000:ff:1f.7,ip=10.9.0.1/24:7533"))

    def test_no_permission(self):
        """Without permission for packet sockets: one message for each address."""
        dropped = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
        done = subprocess.run([*dropped, MUXD, "--listen", LISTEN], capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), LISTEN.count("ip="), done.stderr)
        self.assertRegex(done.stderr, "(?i)permi|root|capabilit")

    def test_wrong_specifications(self):
        """Wrong specifications are reported before muxd starts anything."""
        for rest in ("", ":7533", "net_af_packet0", "net_af_packet0:7533", "net_af_packet0,ip=:7533",
                     "net_af_packet0,ip=10.9.0.1:7533", "net_af_packet0,ip=10.9.0.1/33:7533",
                     "net_af_packet0,ip=10.9.0.1/24,mac=1:7533", "net_af_packet0,ip=10.9.0.1/24,gw=x:7533",
                     "net_af_packet0,ip=10.9.0.1/24:x", "net_af_packet0,ip=10.9.0.1/24:65536",
                     "net_af_packet0,ip=fd09::1/129:7533", ",ip=10.9.0.1/24:7533"):
            self.assertRegex(self.refused("dpdk:" + rest), "dpdk", rest)

    def test_ports_are_listed(self):
        done = subprocess.run([MUXD, "--list-ports"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("net_af_packet", done.stdout)
        self.assertIn("net_tap", done.stdout)


if __name__ == "__main__":
    unittest.main()
