"""Addresses to listen on that are missing, late, lost, in use or named twice; who may connect."""
import grp
import os
import signal
import socket
import stat
import subprocess

from harness import *


class Space:
    """A network namespace of its own, with a loopback interface that is up."""

    made = 0

    def __init__(self, case):
        Space.made += 1
        self.name = "muxd-e2e-%d-%d" % (os.getpid(), Space.made)
        if os.geteuid() or subprocess.run(["ip", "netns", "add", self.name],
                                          stderr=subprocess.DEVNULL).returncode:
            case.lacks("no right to make a network namespace")
        case.addCleanup(subprocess.run, ["ip", "netns", "del", self.name])
        self.wrapper = ("ip", "netns", "exec", self.name)
        self.ip("link set lo up")

    def ip(self, *commands):
        subprocess.run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(commands) + "\n",
                       text=True, check=True)

    def cable(self, name):
        """Makes an interface; the other end of its cable is not up, so there is no carrier."""
        self.ip("link add %s type veth peer name far-%s" % (name, name), "link set %s up" % name)

    def connect(self, address):
        """Whether a process in the namespace can connect to "HOST:PORT"."""
        host, _, port = address.rpartition(":")
        code = ("import socket, sys; "
                "socket.create_connection((sys.argv[1], int(sys.argv[2])), 10).close()")
        return subprocess.run([*self.wrapper, "/usr/bin/python3", "-c", code, host.strip("[]"),
                               port], stderr=subprocess.DEVNULL).returncode == 0


class Base(Case):
    def node(self, *options, space=None, wrapper=(), **keywords):
        return self.muxd(*options, listen=(), wrapper=(*(space.wrapper if space else ()), *wrapper),
                         **keywords)

    def hosts(self, text):
        """A wrapper that gives /etc/hosts another content."""
        path = os.path.join(self.folder(), "hosts")
        with open(path, "w") as file:
            file.write(text)
        return ("unshare", "-m", "sh", "-c", "mount --bind %s /etc/hosts && exec \"$@\"" % path,
                "sh")

    def run_to_end(self, *options, space=None, **keywords):
        node = self.node(*options, space=space, **keywords)
        return node.wait(), node.log


class Addresses(Base):
    def test_a_name_with_an_address_that_is_not_there(self):
        """Such as localhost in a container without IPv6."""
        space = Space(self)
        subprocess.run([*space.wrapper, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"],
                       check=True)
        node = self.node("--listen", "localhost", space=space,
                         wrapper=self.hosts("127.0.0.1 localhost\n::1 localhost\n"))
        node.wait_log(r"^muxd: listening on the rest; what is missing is tried again$")
        self.assertIn("listening on 127.0.0.1:7533", node.log)
        self.assertIn("muxd: --listen localhost: [::1]:7533: bind: Cannot assign requested address: "
                      "no interface has this address", node.log)
        self.assertTrue(space.connect("127.0.0.1:7533"))
        subprocess.run([*space.wrapper, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0",
                        "net.ipv6.conf.lo.disable_ipv6=0"], check=True)
        space.ip("link set lo down", "link set lo up")
        node.wait_log(r"^listening on \[::1\]:7533$")
        self.assertEqual(node.end(), 0)

    def test_an_address_that_is_not_there_alone(self):
        status, log = self.run_to_end("--listen", "192.0.2.77:7533", "--listen", "[2001:db8::7]:1",
                                      space=Space(self))
        self.assertEqual(status, 1)
        self.assertEqual(len(log), 2, log)
        for line in log:
            self.assertIn("no interface has this address", line)

    def test_named_twice(self):
        wrapper = self.hosts("127.0.0.1 localhost\n127.0.0.1 build7 localhost\n")
        for port in (7533, 0):
            node = self.node("--listen", "localhost:%d" % port, space=Space(self), wrapper=wrapper)
            node.wait_log("^listening on 127.0.0.1:")
            self.assertEqual(node.end(), 0)
            self.assertEqual(len(node.log), 1, node.log)
        place = "unix:" + os.path.join(self.folder(), "s")
        node = self.node("--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--listen", place,
                         "--listen", place, "--listen", "tcp:127.0.0.1:0")
        node.wait_log("^listening on unix:")
        self.assertEqual(node.end(), 0)
        self.assertEqual(sum("listening on" in line for line in node.log), 2, node.log)
        self.assertEqual(sum("is named twice" in line for line in node.log), 2, node.log)

    def test_one_address_and_all(self):
        """":7533" includes the other addresses, in whatever order they are given."""
        for listen in ((":7533", "lo", "127.0.0.1"), ("127.0.0.1", "lo", ":7533")):
            space = Space(self)
            node = self.node(*(word for place in listen for word in ("--listen", place)),
                             space=space)
            node.wait_log(r"^listening on \[::\]:7533$")
            self.assertTrue(space.connect("127.0.0.1:7533"))
            self.assertTrue(space.connect("[::1]:7533"))
            self.assertEqual(node.end(), 0)
            self.assertEqual(sorted(line for line in node.log if "listening" in line),
                             ["listening on 0.0.0.0:7533", "listening on [::]:7533"])
            self.assertTrue(any("is among the addresses of 0.0.0.0:7533" in line
                                for line in node.log), node.log)

    def test_more_addresses_than_places(self):
        space = Space(self)
        for d in range(3):
            space.cable("d%d" % d)
            space.ip("link set d%d addrgenmode none" % d, "addr flush dev d%d scope link" % d,
                     *("addr add 10.%d.0.%d/32 dev d%d" % (d, i, d) for i in range(1, 101)))
        node = self.node("--listen", "d0", space=space)
        node.wait_log("anybody who can reach")
        self.assertEqual(node.end(), 0)
        self.assertEqual(sum(line.startswith("listening on 10.0.0.") for line in node.log), 100)
        node = self.node("--listen", "d0", "--listen", "d1", "--listen", "d2", space=space)
        node.wait_log("^muxd: --listen d2: no room for 10.2.0.[0-9]+:7533 and what follows: muxd "
                      "listens on 256 addresses at most; --listen :7533 takes all$")
        node.wait_log("anybody who can reach")
        self.assertEqual(node.end(), 0)
        self.assertEqual(sum(line.startswith("listening on") for line in node.log), 256)


class Interfaces(Base):
    def test_an_interface_that_comes_and_goes(self):
        """It is absent, comes without an address, gets one, loses it, goes, and comes again."""
        space = Space(self)
        upstream = os.path.join(self.folder(), "out")
        node = self.node("--listen", "ib0", "--upstream", "file:" + upstream, space=space)
        node.wait_log(r"^muxd: --listen ib0: there is no interface ib0 \(but lo\): waiting for it$")
        space.cable("ib0")
        node.wait_log(r"^muxd: ib0 is Ethernet \(MTU 1500")
        space.ip("link set far-ib0 up")
        node.wait_log(r"^listening on \[fe80::[0-9a-f:]+%ib0\]:7533$")
        space.ip("addr add 10.99.0.1/24 dev ib0")
        node.wait_log(r"^listening on 10\.99\.0\.1:7533$")
        self.assertTrue(space.connect("10.99.0.1:7533"))
        space.ip("addr add 10.99.1.1/24 dev ib0 label ib0:2")
        node.wait_log(r"^listening on 10\.99\.1\.1:7533$")
        space.ip("addr del 10.99.0.1/24 dev ib0")
        node.wait_log(r"^muxd: no longer listening on 10\.99\.0\.1:7533: the address is gone$")
        self.assertFalse(space.connect("10.99.0.1:7533"))
        space.ip("link del ib0")
        node.wait_log(r"^muxd: --listen ib0: there is no interface ib0 \(but lo\): waiting for it$")
        space.cable("ib0")
        space.ip("addr add 10.99.0.1/24 dev ib0")
        node.wait_log(r"^listening on 10\.99\.0\.1:7533$")
        self.assertTrue(space.connect("10.99.0.1:7533"))
        self.assertEqual(node.end(), 0)

    def test_a_link_outlives_its_address(self):
        """A listener that is closed leaves its connections open."""
        space = Space(self)
        space.cable("ib0")
        space.ip("addr add 10.99.0.1/24 dev ib0")
        node = self.node("--listen", "ib0", space=space)
        node.wait_log(r"^listening on 10\.99\.0\.1:7533$")
        code = ("import socket, sys; s = socket.create_connection(('10.99.0.1', 7533)); "
                "sys.stdout.write('here\\n'); sys.stdout.flush(); sys.stdin.readline(); "
                "s.sendall(bytes.fromhex(sys.argv[1])); s.shutdown(1); s.recv(1)")
        worker = subprocess.Popen([*space.wrapper, "/usr/bin/python3", "-c", code,
                                   packet(test_id="t").hex()], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(worker.kill)
        self.assertEqual(worker.stdout.readline(), "here\n")
        space.ip("addr del 10.99.0.1/24 dev ib0")
        node.wait_log(r"^muxd: no longer listening on 10\.99\.0\.1:7533")
        space.ip("addr add 10.99.0.1/24 dev ib0")
        node.wait_log(r"^listening on 10\.99\.0\.1:7533$")
        worker.communicate("go on\n", timeout=PATIENCE)
        self.until(lambda: count_packets(node.stream()) == 1, "the packet")
        self.assertEqual(node.end(), 0)

    def test_without_carrier(self):
        """IPv6 addresses stay tentative: muxd listens on IPv4, and on the rest once there is a carrier."""
        space = Space(self)
        space.cable("ib0")
        space.ip("addr add 10.99.0.1/24 dev ib0", "addr add fd99::1/64 dev ib0")
        node = self.node("--listen", "ib0", space=space)
        node.wait_log(r"^muxd: listening on the rest; what is missing is tried again$")
        self.assertIn("listening on 10.99.0.1:7533", node.log)
        self.assertIn("muxd: --listen ib0: [fd99::1]:7533: bind: Cannot assign requested address: "
                      "not yet, while its interface has no carrier or looks for duplicates",
                      node.log)
        space.ip("link set far-ib0 up")
        node.wait_log(r"^listening on \[fd99::1\]:7533$")
        self.assertEqual(node.end(), 0)

    def test_only_tentative_addresses(self):
        """A tentative address alone is no failure, whether its interface or itself is named."""
        space = Space(self)
        space.cable("ib0")
        space.ip("addr add fd99::1/64 dev ib0")
        nodes = [self.node("--listen", place, space=space) for place in ("ib0", "[fd99::1]:7000")]
        for node in nodes:
            node.wait_log(r"^muxd: listening on nothing yet; what is missing is tried again$")
        space.ip("link set far-ib0 up")
        nodes[0].wait_log(r"^listening on \[fd99::1\]:7533$")
        nodes[1].wait_log(r"^listening on \[fd99::1\]:7000$")
        for node in nodes:
            self.assertEqual(node.end(), 0)

    def test_an_address_that_another_machine_has(self):
        space, other = Space(self), Space(self)
        space.cable("ib0")
        space.ip("link set far-ib0 netns " + other.name)
        other.ip("addr add fd99::1/64 dev far-ib0 nodad", "link set far-ib0 up")
        space.ip("addr add 10.99.0.1/24 dev ib0", "addr add fd99::1/64 dev ib0")
        self.until(lambda: "dadfailed" in subprocess.run(
            ["ip", "-n", space.name, "-6", "addr", "show", "ib0"], capture_output=True,
            text=True).stdout, "the duplicate to be found")
        node = self.node("--listen", "ib0", space=space)
        node.wait_log(r"^muxd: --listen ib0: \[fd99::1\]:7533: .*: another machine has this address")
        self.assertIn("listening on 10.99.0.1:7533", node.log)
        self.assertEqual(node.end(), 0)

    def test_unknown_names(self):
        """muxd waits for a name that is usual for an interface; others are hosts, or mistyped."""
        for name in ("ib0", "ibp3s0", "eth1:7000", "enp65s0f0np0", "bond0.100", "hsn0"):
            node = self.node("--listen", name, space=Space(self))
            node.wait_log("waiting for it$")
            self.assertEqual(node.end(), 0)
        for name in ("ibo", "nosuch0", "engine1", "eth0.example", "storage"):
            status, log = self.run_to_end("--listen", name, space=Space(self))
            self.assertEqual(status, 1, (name, log))
            self.assertIn("neither an interface (lo) nor a host name", log[0])
        node = self.node("--listen", "nosuch0", "--listen", "lo", space=Space(self))
        node.wait_log("^muxd: --listen nosuch0: ")
        node.wait_log(r"^listening on 127\.0\.0\.1:7533$")
        self.assertEqual(node.end(), 0)


class InUse(Base):
    def test_by_another_process(self):
        """The message names the holder where it can be known; the upstream's file is left alone."""
        path = os.path.join(self.folder(), "s")
        upstream = os.path.join(self.folder(), "out")
        first = self.muxd(listen=("127.0.0.1:0", "unix:" + path))
        for place in first.addresses:
            status, log = self.run_to_end("--listen", place, "--upstream", "file:" + upstream)
            self.assertEqual(status, 1)
            self.assertIn("bind: Address already in use", log[-1])
            self.assertIn(place, log[-1])
        self.assertIn("process %d listens there" % first.process.pid, log[-1])
        self.assertFalse(os.path.exists(upstream))
        node = self.node("--listen", first.addresses[0], "--listen", "127.0.0.1:0", "--listen",
                         first.addresses[1])
        node.wait_log(r"^listening on 127\.0\.0\.1:")
        node.wait_log("is in use: waiting for it")
        self.assertEqual(first.end(), 0)
        found = {node.wait_log("^listening on (.*)$")[1] for _ in range(2)}
        self.assertEqual(found, set(first.addresses))
        self.assertEqual(node.end(), 0)

    def test_by_a_muxd_that_was_killed(self):
        """A muxd started at once listens, though the kernel has not yet closed all sockets."""
        path = os.path.join(self.folder(), "s")
        listen = ("127.0.0.1:%d" % free_port(), "unix:" + path)
        node = self.muxd(listen=listen)
        for _ in range(10):
            self.until(lambda: connect(listen[0]).close() or True, "muxd to accept")
            node.signal(signal.SIGKILL)
            node.process.wait()
            node = self.muxd(listen=listen)
            self.assertEqual(sorted(node.addresses), sorted(listen))
        self.assertEqual(node.end(), 0)

    def test_a_race_for_a_stale_socket(self):
        """Of several that start at once one listens, and the others name it."""
        folder = self.folder()
        path = os.path.join(folder, "s")
        for _ in range(8):
            stale = socket.socket(socket.AF_UNIX)
            stale.bind(path)
            stale.close()
            nodes = [self.node("--listen", "unix:" + path) for _ in range(4)]
            self.until(lambda: sum(n.process.poll() is None for n in nodes) == 1, "one muxd to be left")
            winner = next(n for n in nodes if n.process.poll() is None)
            winner.wait_log("^listening on unix:")
            for node in nodes:
                if node is not winner:
                    self.assertEqual(node.wait(), 1)
                    self.assertIn("process %d listens there" % winner.process.pid, node.log[-1])
            sock = self.socket("unix:" + path)
            sock.sendall(packet(test_id="t"))
            self.until(lambda: count_packets(winner.stream()) == 1, "the packet")
            self.assertEqual(os.listdir(folder), ["s"])
            self.assertEqual(winner.end(), 0)
            self.assertEqual(os.listdir(folder), [])

    def test_a_stale_socket_that_cannot_be_removed(self):
        folder = self.folder()
        path = os.path.join(folder, "s")
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        wrapper = ("unshare", "-m", "sh", "-c",
                   "mount --bind %s %s && mount -o remount,ro,bind %s && exec \"$@\"" %
                   (folder, folder, folder), "sh")
        if subprocess.run([*wrapper, "true"], stderr=subprocess.DEVNULL).returncode:
            self.lacks("no right to make a mount namespace")
        status, log = self.run_to_end("--listen", "unix:" + path, wrapper=wrapper)
        self.assertEqual(status, 1)
        self.assertIn("removing a stale socket: Read-only file system", log[-1])


class WhoMayConnect(Base):
    def test_mode_of_a_unix_socket(self):
        for umask, options, mode in ((0o022, (), 0o755), (0o077, (), 0o700),
                                     (0o077, ("--listen-mode", "0666"), 0o666),
                                     (0, ("--listen-mode", "600"), 0o600),
                                     (0o022, ("--listen-mode", "0"), 0)):
            path = os.path.join(self.folder(), "s")
            node = self.node(*options, "--listen", "unix:" + path,
                             wrapper=("sh", "-c", "umask %o; exec \"$@\"" % umask, "sh"))
            node.wait_log("^listening on unix:")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode, options)
            self.assertEqual(node.end(), 0)

    def test_group_of_a_unix_socket(self):
        if os.geteuid():
            self.lacks("no right to give a file to another group")
        group = next(g for g in grp.getgrall() if g.gr_gid != os.getegid())
        for given in (group.gr_name, str(group.gr_gid)):
            path = os.path.join(self.folder(), "s")
            node = self.node("--listen-group", given, "--listen-mode", "660", "--listen",
                             "unix:" + path)
            node.wait_log("^listening on unix:")
            status = os.stat(path)
            self.assertEqual((status.st_gid, stat.S_IMODE(status.st_mode)),
                             (group.gr_gid, 0o660))
            self.assertEqual(node.end(), 0)

    def test_group_that_may_not_be_given(self):
        """The user is in no other group: no socket is left behind."""
        if os.geteuid():
            self.lacks("no right to become somebody else")
        folder = self.folder()
        os.chmod(folder, 0o777)
        wrapper = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        status, log = self.run_to_end("--listen-group", "0", "--listen",
                                      "unix:" + os.path.join(folder, "s"), wrapper=wrapper)
        self.assertEqual(status, 1)
        self.assertIn("giving it to its group: Operation not permitted", log[-1])
        self.assertEqual(os.listdir(folder), [])

    def test_wrong_usage(self):
        for options, expected in (
                (("--listen-mode", "u=rw"), "octal"), (("--listen-mode", "888"), "octal"),
                (("--listen-mode", "1777"), "octal"), (("--listen-mode", ""), "octal"),
                (("--listen-group", "no-such-group"), "name or number of a group"),
                (("--listen-group", "99999999999"), "a number from 0"),
                (("--listen-group", ""), "name or number of a group"),
                (("--listen-mode", "600"), "are for unix sockets")):
            status, log = self.run_to_end("--listen", "127.0.0.1:0", *options)
            self.assertEqual(status, 2)
            self.assertIn(expected, log[0])


if __name__ == "__main__":
    unittest.main()
