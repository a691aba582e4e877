"""Addresses to listen on, who may connect, and messages when something cannot be done."""
import os
import socket
import stat
import subprocess

from harness import *

FORBID = os.environ["FORBID"]
HERE = os.path.dirname(os.path.abspath(__file__))


def run(*options, **keywords):
    return subprocess.run([MUXD, "--io", IO, *options], capture_output=True, text=True,
                          timeout=PATIENCE, stdin=subprocess.DEVNULL, **keywords)


class Listening(Case):
    def test_io_uring_is_forbidden(self):
        """--io auto takes epoll and logs one line; --io uring says why it cannot start."""
        wrapper = (FORBID, "EPERM", "io_uring_setup,io_uring_enter,io_uring_register")
        muxd = self.muxd(io_choice="auto", wrapper=wrapper)
        self.assertEqual([line for line in muxd.log if "io_uring" in line],
                         ["muxd: io_uring is forbidden here (io_uring_setup: Operation not "
                          "permitted): using epoll"])
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        self.until(lambda: count_packets(muxd.stream()) == 1, "the packet")
        self.assertEqual(muxd.end(), 0)
        done = subprocess.run([*wrapper, MUXD, "--io", "uring", "--listen", "127.0.0.1:0"],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("io_uring_setup: Operation not permitted", done.stderr)

    def test_interface(self):
        """An interface's name stands for all its addresses."""
        muxd = self.muxd(listen=())
        muxd.close()
        node = subprocess.Popen([MUXD, "--io", IO, "--listen", "lo:0"], stderr=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        self.addCleanup(node.kill)
        addresses = []
        wanted = 1 + os.path.exists("/proc/net/if_inet6")
        while len(addresses) < wanted:
            line = node.stderr.readline()
            self.assertTrue(line, addresses)
            match = re.match(r"listening on (.*)", line)
            if match:
                addresses.append(match[1])
        for address in addresses:
            connect(address).close()
        node.terminate()
        node.communicate(timeout=PATIENCE)

    def test_interface_that_has_just_come_up(self):
        """Its IPv6 address is tentative for a second or two: muxd waits for it."""
        space = "muxd-e2e-%d" % os.getpid()
        if os.geteuid() or subprocess.run(["ip", "netns", "add", space],
                                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no right to make a network namespace")
        self.addCleanup(subprocess.run, ["ip", "netns", "del", space])
        inside = ("ip", "netns", "exec", space)
        for command in ("link add ib0 type veth peer name peer0", "addr add 10.99.0.1/24 dev ib0",
                        "link set peer0 up", "link set ib0 up"):
            subprocess.run(["ip", "-n", space, *command.split()], check=True)
        node = subprocess.Popen([*inside, MUXD, "--io", IO, "--listen", "ib0"], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)
        self.addCleanup(node.kill)
        lines = [node.stderr.readline() for _ in range(3)]
        while lines[-1] and "listening on [fe80::" not in lines[-1]:  # muxd says what it waits for
            lines.append(node.stderr.readline())
        node.terminate()
        node.communicate(timeout=PATIENCE)
        self.assertRegex(lines[0], r"^muxd: ib0 is Ethernet \(MTU 1500")
        self.assertEqual(lines[1], "listening on 10.99.0.1:7533\n")
        self.assertRegex(lines[-1], r"^listening on \[fe80::[0-9a-f:]+%ib0\]:7533$")

    def test_everything_that_can_be_listened_on(self):
        path = os.path.join(self.folder(), "s")
        listen = ["127.0.0.1:0", "unix:" + path, "tcp:127.0.0.2:0"]
        if os.path.exists("/proc/net/if_inet6"):
            listen.append("[::1]:0")
        muxd = self.muxd(listen=listen)
        for i, address in enumerate(muxd.addresses):
            sock = self.socket(address)
            sock.sendall(packet(test_id="t%d" % i))
            self.until(lambda: count_packets(muxd.stream()) == i + 1, "packet %d" % i)
        self.assertEqual(muxd.end(), 0)
        self.assertEqual([e["route_code"] for e in python_events(muxd.stream())],
                         [str(i) for i in range(len(listen))])
        self.assertFalse(os.path.exists(path))

    def test_unix_socket(self):
        """A stale socket is replaced; a live socket and a file are left alone."""
        path = os.path.join(self.folder(), "s")
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        muxd = self.muxd(listen=("unix:" + path,))
        second = run("--listen", "unix:" + path)
        self.assertEqual(second.returncode, 1)
        self.assertIn("Address already in use", second.stderr)
        self.socket("unix:" + path).close()
        self.assertEqual(muxd.end(), 0)
        with open(path, "w") as file:
            file.write("precious")
        self.assertEqual(run("--listen", "unix:" + path).returncode, 1)
        self.assertTrue(stat.S_ISREG(os.stat(path).st_mode))

    def test_port_in_use(self):
        muxd = self.muxd()
        done = run("--listen", muxd.addresses[0])
        self.assertEqual(done.returncode, 1)
        self.assertIn("bind: Address already in use", done.stderr)
        self.assertIn(muxd.addresses[0], done.stderr)

    def test_wrong_usage(self):
        for options, expected in [
                ((), "--listen"),
                (("--listen", "nosuch0"), "nosuch0"),
                (("--listen", "127.0.0.1:99999"), "99999"),
                (("--listen", "file:/x"), "file"),
                (("--listen", "-", "--listen", "-"), "stdin"),
                (("ib0",), "did you mean --listen ib0"),
                (("listen", ":0"), "did you mean --listen :0?"),
                (("--listen", ":0", "upstream", "mux:build7"), "did you mean --upstream mux:build7?"),
                (("listen",), "did you mean --listen ENDPOINT?"),
                (("version",), "did you mean --version?"),
                (("-listen", ":0"), "did you mean --listen?"),
                (("-listen=:0",), "did you mean --listen?"),
                (("-x",), "there is no option '-x'"),
                (("--listen", ":0", "--memory", "1M"), "16M"),
                (("--listen", ":0", "--memory", "-5"), "16M"),
                (("--listen", ":0", "--upstream", "mux:build7", "--window", "1K"), "1M"),
                (("--listen", ":0", "--upstream", "mux:build7", "--window", "0", "--spool", "/tmp/x"),
                 "--window 0"),
                (("--listen", ":0", "--window", "1M", "--spool", "/tmp/x"), "mux:HOST"),
                (("--listen", ":0", "--spool-max", "1M"), "16M"),
                (("--listen", ":0", "--spool-sync", "never"), "none, interval or always"),
                (("--listen", ":0", "--allow", "10.0.0.0/33"), "10.0.0.0/33"),
                (("--listen", ":0", "--allow", "10.0.0.1/8"), "did you mean 10.0.0.0/8?"),
                (("--listen", ":0", "--allow", "10.0.0.0/8,10.1.2.3/23"), "did you mean 10.1.2.0/23?"),
                (("--listen", ":0", "--allow", "0.0.0.1/0"), "did you mean 0.0.0.0/0?"),
                (("--listen", ":0", "--allow", "fd00:1::1/12"), "did you mean fd00::/12?"),
                (("--listen", ":0", "--allow", "::ffff:10.0.0.1/104"), "did you mean ::ffff:10.0.0.0/104?"),
                (("--listen", ":0", "--max-links", "0"), "from 1"),
                (("--listen", ":0", "--segment-by", "x"), "number or host"),
                (("--listen", ":0", "--drain-timeout", "soon"), "seconds"),
                (("--listen", ":0", "--nonsense"), "nonsense"),
                (("--listen", ":0", "--upstream", "127.0.0.1:0"), "port"),
                (("--listen", ":0", "--upstream", "a:1", "--upstream", "b:1"), "several of mux:"),
                (("--listen", ":0", "--upstream", "mux:a:1", "--upstream", "file:x"), "several of mux:"),
                (("--listen", ":0", *9 * ("--upstream", "mux:a:1")), "at most 8"),
                (("--listen", ":0", "--upstream", "file:/tmp"), "directory"),
                (("--listen", ":0", "--stats-json", "-"), "packets go to stdout"),
                (("--listen", ":0", "--memory", "100KB"), "16M"),
                (("--listen", ":0", "--memory", "64X"), "such as 256M or 1GiB"),
                (("--listen", ":0", "--node-grace", "1e3"), "such as 5 or 0.5"),
                (("--listen", ":0", "--clock", "right"), "correct, stamp or correct,stamp"),
                (("--listen", ":0", "--clock", "stamp,"), "correct, stamp or correct,stamp"),
                (("--listen", "7533"), "did you mean :7533?"),
                (("--listen", ":0", "--upstream", "mux:7533"), "did you mean :7533?"),
                (("--listen", "/run/muxd.sock"), "did you mean unix:/run/muxd.sock"),
                (("--listen", ":0", "--upstream", "out/run.subunit"), "file:out/run.subunit?"),
                (("--listen", ":0", "--upstream", os.path.basename(__file__)),
                 "did you mean file:%s?" % os.path.basename(__file__)),
                (("--listen", ":0", "--upstream", "file:~/x"), "$HOME"),
                (("--listen", "--upstream", "x"), "the one before it needs a value"),
                (("--listen", ":0", "--upstraem", "x"), "did you mean --upstream?"),
                (("--listen", ":0", "--stats-json"), "needs a value"),
                (("--version=1",), "takes no value"),
                (("--listen", "a\x1b[31m\u202e\n" + "\u0301" * 100), "a\\x1b[31m\\u202e\\x0a"),
                (("--\u202e",), "--\\u202e"),
                (("\u202e",), "'\\u202e' stands alone"),
                (("--listen", "unix:" + "x" * 200), "unix:")]:
            done = run(*options)
            self.assertIn(done.returncode, (1, 2), options)
            self.assertIn(expected, done.stderr, options)
            self.assertEqual(done.stdout, "")
            self.assertFalse(set("\x1b\u202e") & set(done.stderr))
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        with open(os.path.join(HERE, "../../tools/muxd/options.c")) as file:
            options = re.findall(r'^    \{"([a-z-]+)", ', file.read(), re.M)
        self.assertGreater(len(options), 5)
        for option in options:
            self.assertIn("--" + option, done.stdout)

    def test_sizes_and_times(self):
        """As users write them."""
        for size, seconds in (("32M", "5"), ("32mb", "500ms"), ("32MiB", "2s"), ("0.03125GiB", "1min")):
            muxd = self.muxd("--memory", size, "--drain-timeout", seconds, "--node-grace", seconds)
            self.assertEqual(muxd.end(), 0)

    def test_allow(self):
        path = os.path.join(self.folder(), "s")
        muxd = self.muxd("--allow", "10.0.0.0/8,fd00::/8,10.0.0.1/32,::1/128", listen=("127.0.0.1:0", "unix:" + path))
        self.assertEqual(self.socket(muxd.addresses[0]).recv(1), b"")
        muxd.wait_log("is not in --allow: closed")
        self.socket(muxd.addresses[1]).sendall(packet(test_id="t"))
        self.until(lambda: muxd.stream(), "the packet over the unix socket")
        muxd.close()
        muxd = self.muxd("--allow", "127.0.0.0/8")
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        self.until(lambda: muxd.stream(), "the packet from an allowed address")

    def test_open_to_everybody_is_logged_once(self):
        for options, count in ((("--allow", "127.0.0.1"), 0), ((), 1)):
            muxd = self.muxd(*options, listen=("0.0.0.0:0", "0.0.0.0:%d" % free_port()))
            self.assertEqual(muxd.end(), 0)
            self.assertEqual(sum("--allow" in line for line in muxd.log), count, muxd.log)

    def test_max_links(self):
        muxd = self.muxd("--max-links", "2")
        socks = [self.socket(muxd.addresses[0]) for _ in range(2)]
        for sock in socks:
            sock.sendall(packet(test_id="t"))
        self.until(lambda: count_packets(muxd.stream()) == 2, "both")
        third = self.socket(muxd.addresses[0])
        third.sendall(packet(test_id="one too many"))  # a silent one may be a returning node
        words = b""
        while data := third.recv(4096):
            words += data
        self.assertIn(b"all places for links are taken", words)
        muxd.wait_log("--max-links 2")
        done = subprocess.run([MUX, "send", muxd.addresses[0]], input=packet(test_id="t"),
                              capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"all places for links are taken", done.stderr)
        self.finish(socks[0])
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        self.until(lambda: count_packets(muxd.stream()) == 3, "a third in the place of the first")
        self.assertEqual(muxd.end(), 0)
        self.assertEqual([e["route_code"] for e in python_events(muxd.stream())], ["0", "1", "2"])

    def test_silent_connections_yield(self):
        """A silent connection yields its place to one that sends."""
        muxd = self.muxd("--max-links", "3")
        silent = [self.socket(muxd.addresses[0]) for _ in range(9)]
        for _ in range(2):
            sock = self.socket(muxd.addresses[0])
            sock.sendall(packet(test_id="t"))
        silent[0].sendall(packet(test_id="t"))
        self.until(lambda: count_packets(muxd.stream()) == 3, "the packets of those that speak")
        self.assertEqual(muxd.end(), 0)

    def test_out_of_descriptors(self):
        """Connections beyond the limit are refused and logged; the others go on."""
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        node = subprocess.Popen([MUXD, "--io", IO, "--listen", "127.0.0.1:0"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False,
                                stdin=subprocess.DEVNULL, preexec_fn=limit)
        self.addCleanup(node.kill)
        address = None
        while not address:
            match = re.match(rb"listening on (.*)", node.stderr.readline())
            address = match and match[1].decode()
        first = self.socket(address)
        first.sendall(packet(test_id="first"))
        others = [self.socket(address) for _ in range(60)]
        refused = 0
        for sock in others:
            sock.settimeout(0.05)
            try:
                refused += sock.recv(1) == b""
            except ConnectionResetError:
                refused += 1
            except TimeoutError:
                pass
        self.assertGreater(refused, 10)
        first.sendall(packet(test_id="second"))
        for sock in others:
            sock.close()
        time.sleep(0.2)
        late = self.socket(address)
        late.sendall(packet(test_id="late"))
        time.sleep(0.2)
        node.terminate()
        out, log = node.communicate(timeout=PATIENCE)
        self.assertEqual([e["test_id"] for e in python_events(out)], ["first", "second", "late"])
        self.assertIn(b"turned away", log)

    def test_connections_turned_away_are_counted(self):
        """Few lines, not one for each connection; their counts add up to all."""
        path = os.path.join(self.folder(), "stats")
        muxd = self.muxd("--stats-json", path, wrapper=("sh", "-c", 'ulimit -n 40 && exec "$@"', "sh"))

        def turned_away():
            socks = [self.socket(muxd.addresses[0]) for _ in range(50)]
            for sock in socks:
                sock.close()
            return self.fresh_stats(muxd, path)["muxd_connections_refused_total"]
        self.until(lambda: turned_away() > 100, "many to be turned away")
        self.assertEqual(muxd.end(), 0, muxd.log)
        first = [line for line in muxd.log if "a connection was turned away: " in line]
        counts = [re.search(r"(\d+) more (before|connections)", line) for line in muxd.log]
        told = len(first) + sum(int(match[1]) for match in counts if match)
        self.assertEqual(told, self.stats(path)["muxd_connections_refused_total"], muxd.log)
        self.assertLess(len(first), told // 2)

    def test_segment_by_host(self):
        muxd = self.muxd("--segment-by", "host", listen=("127.0.0.1:0", "127.0.0.1:%d" % free_port()))
        for i in range(3):
            sock = self.socket(muxd.addresses[i % 2])
            sock.sendall(packet(test_id="t%d" % i))
            self.until(lambda: count_packets(muxd.stream()) == i + 1, "packet %d" % i)
        self.assertEqual(muxd.end(), 0)
        self.assertEqual([e["route_code"] for e in python_events(muxd.stream())],
                         ["127.0.0.1", "127.0.0.1.1", "127.0.0.1.2"])

    def test_inherited_descriptors_stay_blocking(self):
        """O_NONBLOCK would affect every process that shares the pipe."""
        import fcntl
        reading, writing = os.pipe()
        muxd = self.muxd("--upstream", "-", stdin=reading, stdout=writing)
        for fd in (reading, writing):
            self.assertFalse(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK)
        self.assertEqual(muxd.end(), 0)
        for fd in (reading, writing):
            self.assertFalse(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK)
            os.close(fd)


class FewDescriptors(Case):
    def limited(self, limit):
        return ("sh", "-c", "ulimit -n %d && exec \"$@\"" % limit, "sh")

    def test_too_few_to_start(self):
        """muxd says what is missing and what to do."""
        for limit in (5, 8, 20):
            done = subprocess.run([*self.limited(limit), MUXD, "--io", IO, "--listen", "127.0.0.1:0"],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"the limit of open files (%d)" % limit, done.stderr)
            self.assertIn(b"ulimit -n ", done.stderr)

    def test_the_upstream_has_some_left(self):
        """Strangers that use up the descriptors do not keep muxd from its upstream."""
        for options in (), ("--max-links", "4"):
            upstream = self.upstream()
            muxd = self.muxd("--upstream", upstream.endpoint, *options, wrapper=self.limited(64))
            upstream.accept()
            stop = threading.Event()
            storm = threading.Thread(target=self.storm, args=(muxd, stop), daemon=True)
            storm.start()
            try:
                muxd.wait_log("turned away|--max-links")
                for _ in range(3):
                    reset(upstream.sock)
                    upstream.accept()
            finally:
                stop.set()
                storm.join(PATIENCE)
            upstream.sock.close()
            muxd.signal(signal.SIGINT)
            muxd.wait()

    def storm(self, muxd, stop):
        socks = []
        while not stop.is_set():
            try:
                socks.append(muxd.connect())
            except OSError:
                pass
            if len(socks) > 200:
                socks.pop(0).close()
        for sock in socks:
            sock.close()


if __name__ == "__main__":
    unittest.main()
