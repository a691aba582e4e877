"""How muxd ends."""
import os
import stat
import socket
import subprocess

from harness import *


class Ending(Case):
    def test_term_sends_what_has_arrived(self):
        """Everything sent before TERM goes out; idle and half-open workers do not hold it up."""
        muxd = self.muxd("--upstream", "-", *NEVER)
        idle = self.socket(muxd.addresses[0])
        half = self.socket(muxd.addresses[0])
        half.sendall(packet(test_id="half")[:-3])
        socks = [self.socket(muxd.addresses[0]) for _ in range(50)]
        for i, sock in enumerate(socks):
            sock.sendall(packet(test_id="w%d" % i) * 200)
        self.assertEqual(muxd.end(), 0)
        events = python_events(muxd.stream())
        good = [e for e in events if e["test_id"].startswith("w")]
        self.assertEqual(len(good), 50 * 200)
        self.assertEqual([e["test_id"] for e in events if not e["test_id"].startswith("w")],
                         ["subunit.parser"] * 2)
        idle.close()

    def test_term_while_workers_never_stop(self):
        """Half of the time is for reading, the other half for sending what was read."""
        path = os.path.join(self.folder(), "stats")
        muxd = self.muxd("--drain-timeout", "2", "--stats-json", path)
        sock = self.socket(muxd.addresses[0])
        block = packet(test_id="x" * 50) * 100
        stop = threading.Event()

        def flood():
            try:
                while not stop.is_set():
                    sock.sendall(block)
            except OSError:
                pass
        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        self.until(lambda: len(muxd.stream()) > 100000, "the flood")
        status = muxd.end()
        stats = self.stats(path)
        self.assertEqual(stats["muxd_unsent_bytes_total"], 0)
        # on a busy machine the flood may have paused: then muxd took its worker for silent
        self.assertEqual(status, 75 if stats["muxd_links_cut_total"] else 0)
        stop.set()
        thread.join(PATIENCE)

    def test_int_with_bytes_in_doubt(self):
        """The kernel has taken everything, but the peer has not acknowledged it: that is not "all sent"."""
        upstream = self.upstream(receive_bytes=4096)
        path = os.path.join(self.folder(), "stats")
        muxd = self.muxd("--upstream", upstream.endpoint, "--stats-json", path)
        upstream.accept()
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t" * 50) * 1500)
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_sent_bytes_total"] > 90000,
                   "the kernel to take it all")
        muxd.signal(signal.SIGINT)
        self.assertEqual(muxd.wait(), 75)
        stats = self.stats(path)
        self.assertGreater(stats["muxd_in_doubt_bytes_total"], 0)
        self.assertEqual(stats["muxd_unsent_bytes_total"], 0)
        self.assertEqual(stats["muxd_sent_bytes_total"], stats["muxd_forwarded_bytes_total"])

    def test_term_with_an_upstream_that_does_not_read(self):
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint, "--drain-timeout", "0.5")
        upstream.accept()
        sock = self.socket(muxd.addresses[0])
        sock.settimeout(0.5)
        block = packet(test_id="x", file_name="f", file_bytes=bytes(50000))
        try:
            for _ in range(1000):
                sock.sendall(block)
        except TimeoutError:
            pass
        self.assertEqual(muxd.end(), 75)
        self.assertTrue(any("bytes not sent" in line for line in muxd.log), muxd.log)

    def test_term_with_an_absent_upstream(self):
        upstream = self.upstream()
        upstream.stop_listening()
        for data, status in ((b"", 0), (packet(test_id="t"), 75)):
            muxd = self.muxd("--upstream", upstream.endpoint, "--drain-timeout", "0.3")
            sock = self.socket(muxd.addresses[0])
            sock.sendall(data)
            muxd.wait_log("not reached")
            self.assertEqual(muxd.end(), status, muxd.log)

    def test_term_with_half_large_packets(self):
        """Half-open workers that hold or wait for assembly memory do not hold TERM up either."""
        muxd = self.muxd("--memory", "16M", *NEVER)
        big = packet(test_id="big", file_name="f", file_bytes=bytes(300000))
        socks = [self.socket(muxd.addresses[0]) for _ in range(20)]
        for i, sock in enumerate(socks):
            sock.setblocking(False)
            sock.send(big[:200000] if i % 2 else big + big[:100000])
        self.assertEqual(muxd.end(), 0, muxd.log)
        events = oracle.decode(muxd.stream())
        self.assertEqual(sum(e["test_id"] == "big" for e in events), 10)
        damaged = {e["route_code"] for e in events if e["test_id"] == "subunit.parser"}
        self.assertEqual(len(damaged), 20)

    def test_term_with_stdin_held_up(self):
        """A full stdin and an absent upstream do not delay the handling of a signal."""
        path = os.path.join(self.folder(), "in")
        with open(path, "wb") as file:
            file.write(packet(test_id="t", file_name="f", file_bytes=bytes(9000)) * 2000)
        with open(path, "rb") as file:
            muxd = self.muxd("--upstream", "tcp:127.0.0.1:1", "--drain-timeout", "0.5",
                             "--memory", "16M", listen=("-",), stdin=file)
            muxd.wait_log("not reached")
            time.sleep(0.3)
            self.assertEqual(muxd.end(), 75)

    def test_tests_in_progress_at_term(self):
        """Their outcome will not be known: they are reported as failed, with the reason."""
        muxd = self.muxd()
        sock = self.socket(muxd.addresses[0])
        sock.sendall(packet(test_id="a", test_status="inprogress", route_code="0/1") +
                     packet(test_id="b", test_status="exists"))
        self.until(lambda: count_packets(muxd.stream()) == 2, "the packets")
        self.assertEqual(muxd.end(), 0)
        event = python_events(muxd.stream())[-1]
        self.assertEqual((event["test_id"], event["test_status"], event["route_code"]),
                         ("a", "fail", "0/0/1"))
        self.assertEqual(count_packets(muxd.stream()), 3)
        self.assertIn("(muxd ended) while this test was in progress", text(event))

    def test_second_term_and_int_end_at_once(self):
        for signals in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT,)):
            upstream = self.upstream()
            upstream.stop_listening()
            path = os.path.join(self.folder(), "stats")
            muxd = self.muxd("--upstream", upstream.endpoint, *NEVER,
                             "--stats-json", path)
            self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
            self.until(lambda: self.fresh_stats(muxd, path)["muxd_received_packets_total"] == 1,
                       "the packet to be received")
            for number in signals[:-1]:
                muxd.signal(number)
                self.until(lambda: self.refuses(muxd), "the first signal to be taken")
                self.assertIsNone(muxd.process.poll())
            muxd.signal(signals[-1])
            self.assertEqual(muxd.wait(), 75)

    def refuses(self, muxd):
        try:
            muxd.connect().close()
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    def test_term_waits_for_acknowledgement(self):
        """Bytes that the peer's kernel has acknowledged are sent, even when the peer sends packets down."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint)
        upstream.accept()
        sock = self.socket(muxd.addresses[0])
        sock.sendall(packet(test_id="t") * 5000)
        stream = upstream.read_until(lambda s: s)  # the link has its segment
        upstream.sock.sendall(packet(test_id="unread", route_code="0") * 100)
        muxd.signal()
        stream = upstream.read_until(lambda s: False, stream)
        upstream.sock.close()
        self.assertEqual(muxd.wait(), 0)
        self.assertEqual(stream, packet(test_id="t", route_code="0") * 5000)

    def test_packets_from_above_after_the_last_one_up(self):
        """The peer reads slowly and still sends: it gets everything, and its packets are counted."""
        upstream = self.upstream(receive_bytes=4096)
        path = os.path.join(self.folder(), "stats")
        muxd = self.muxd("--upstream", upstream.endpoint, "--stats-json", path,
                         "--drain-timeout", "20")
        upstream.accept()
        sent = packet(test_id="t" * 50) * 1500
        self.socket(muxd.addresses[0]).sendall(sent)
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_sent_bytes_total"] > len(sent),
                   "the kernel to take it all")
        muxd.signal()
        self.until(lambda: self.refuses(muxd), "the signal to be taken")
        time.sleep(0.2)
        upstream.sock.sendall(packet(test_id="late", route_code="0") * 10)
        stream = upstream.read_until(lambda s: False)
        self.assertEqual(count_packets(stream), 1500)
        upstream.sock.close()
        self.assertEqual(muxd.wait(), 0)

    def test_stdin_alone_ends_at_its_end(self):
        for data, expected in ((b"", 0), (packet(test_id="t") * 3 + b"tail", 4)):
            done = subprocess.run([MUXD, "--io", IO, "--listen", "-"], input=data,
                                  capture_output=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(len(python_events(done.stdout)), expected)

    def test_closed_standard_descriptors(self):
        """A stdin that cannot be read is not an empty stream; a closed stdout is reported as a loss."""
        path = os.path.join(self.folder(), "in")
        with open(path, "wb") as file:
            file.write(packet(test_id="t"))
        for redirection, status in (("<&-", 1), ("0>/dev/null", 1), ("</dev/null", 0),
                                    ("<%s >&-" % path, 75), ("<%s >/dev/full" % path, 75),
                                    ("<%s >&- 2>&-" % path, 75), ("<&- >&- 2>&-", 1)):
            done = subprocess.run(["sh", "-c", "exec %s --io %s --listen - %s" % (MUXD, IO, redirection)],
                                  capture_output=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, status, (redirection, done.stderr))
            if status == 1 and "2>&-" not in redirection:
                self.assertEqual(done.stderr, b"muxd: --listen -: stdin is closed, or not open for reading\n")

    def test_closed_stdin_as_the_way_down(self):
        """An error where --upstream - needs stdin; a muxd that does not read it runs without."""
        closed = ("sh", "-c", 'exec "$@" <&-', "sh")
        done = subprocess.run([*closed, MUXD, "--io", IO, "--listen", "127.0.0.1:0", "--upstream", "-"],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Amuxd: --upstream -: stdin is closed, .*</dev/null\n\Z")
        muxd = self.muxd(wrapper=closed)
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        self.until(lambda: count_packets(muxd.stream()) == 1, "the packet")
        self.assertEqual(muxd.end(), 0, muxd.log)

    def test_help_that_cannot_be_written(self):
        for option in ("--help", "--version"):
            for redirection in ("> /dev/full", ">&-"):
                done = subprocess.run(["sh", "-c", "exec %s %s %s" % (MUXD, option, redirection)],
                                      capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(done.returncode, 1)
                self.assertIn("muxd: stdout: ", done.stderr)

    def test_descriptors_that_do_not_block(self):
        """Another process has made them non-blocking: muxd waits for them and uses no CPU."""
        stream = packet(test_id="t", file_name="f", file_bytes=bytes(5000)) * 500
        for ends in (os.pipe, lambda: [end.detach() for end in socket.socketpair()]):
            near, stdin = ends()
            stdout, far = ends()
            for fd in (near, stdin, stdout, far):
                os.set_blocking(fd, False)
            muxd = self.muxd(listen=("-",), stdin=near, stdout=far)
            os.close(near)
            os.close(far)
            self.sleeps(muxd)  # nothing comes
            got, writer = b"", threading.Thread(target=self.write_slowly, args=(stdin, stream))
            writer.start()
            self.sleeps(muxd)  # stdout is not read
            os.set_blocking(stdout, True)
            with open(stdout, "rb") as file:
                got = file.read()
            writer.join(PATIENCE)
            self.assertEqual(muxd.wait(), 0, muxd.log)
            self.assertEqual(count_packets(got), 500)

    def write_slowly(self, fd, stream):
        os.set_blocking(fd, True)
        with open(fd, "wb") as file:
            file.write(stream)

    def sleeps(self, muxd):
        """Waits until muxd is found asleep many times in a row."""
        def is_asleep():
            time.sleep(0.01)
            with open("/proc/%d/stat" % muxd.process.pid) as file:
                return file.read().rpartition(")")[2].split()[0] == "S"
        self.until(lambda: all(is_asleep() for _ in range(20)), "muxd to sleep")
        self.assertIsNone(muxd.process.poll())

    def test_stdin_that_cannot_be_read(self):
        folder = os.open(self.folder(), os.O_RDONLY)
        done = subprocess.run([MUXD, "--io", IO, "--listen", "-"], stdin=folder,
                              capture_output=True, text=True, timeout=PATIENCE)
        os.close(folder)
        self.assertEqual(done.returncode, 75)
        self.assertIn("stdin lost: ", done.stderr)

    def test_stdin_is_a_file(self):
        path = os.path.join(self.folder(), "in")
        with open(path, "wb") as file:
            file.write(packet(test_id="t") * 100000)
        with open(path, "rb") as file:
            done = subprocess.run([MUXD, "--io", IO, "--listen", "-"], stdin=file,
                                  capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(count_packets(done.stdout), 100000)

    def test_exit_after(self):
        muxd = self.muxd("--exit-after", "3")
        nothing = muxd.connect()
        nothing.close()  # it never became a link
        for i in range(3):
            self.assertIsNone(muxd.process.poll())
            sock = muxd.connect()
            sock.sendall(packet(test_id="w%d" % i))
            self.finish(sock)
        self.assertEqual(muxd.wait(), 0)
        self.assertEqual([e["route_code"] for e in python_events(muxd.stream())], ["0", "1", "2"])

    def test_closed_stdout(self):
        """The reader closes while more bytes wait than its pipe holds."""
        reading, writing = os.pipe()
        muxd = self.muxd(stdout=writing)
        os.close(writing)
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t") * 10000)
        os.read(reading, 1)  # the stream has begun
        os.close(reading)
        self.assertEqual(muxd.wait(), 75)
        self.assertEqual(len(muxd.log), 4, muxd.log)  # its address, its reason, the link, the loss
        self.assertRegex(muxd.log[3], "ending with [0-9]+ bytes not sent to stdout")
        self.assertIn("Broken pipe", muxd.log[1])

    def test_stats(self):
        """On USR1 and at the end; in the middle of a run packets in are packets out."""
        path = os.path.join(self.folder(), "stats")
        muxd = self.muxd("--stats-json", path)
        sock = self.socket(muxd.addresses[0])
        sock.sendall(packet(test_id="t") * 1000 + b"chatter\n")
        self.until(lambda: count_packets(muxd.stream()) == 1001, "all packets")
        muxd.signal(signal.SIGUSR1)
        self.until(lambda: os.path.exists(path), "the counters")
        with open(path) as file:
            table = json.load(file)
        for name, entry in table.items():
            self.assertRegex(name, r"^muxd_[a-z_]+$")
            self.assertEqual(name.endswith("_total"), entry["type"] == "counter")
            self.assertTrue(entry["unit"] and entry["help"])
        stats = self.stats(path)
        self.assertEqual(stats["muxd_received_packets_total"], 1000)
        self.assertEqual(stats["muxd_chatter_bytes_total"], 8)
        self.assertEqual(stats["muxd_forwarded_packets_total"], 1001)
        self.assertEqual(stats["muxd_links_open"], 1)
        os.unlink(path)
        self.assertEqual(muxd.end(), 0)
        stats = self.stats(path)
        self.assertEqual(stats["muxd_links_open"], 0)
        self.assertEqual(stats["muxd_sent_bytes_total"], len(muxd.stream()))

    def test_stats_replace_only_regular_files(self):
        folder = self.folder()
        names = {name: os.path.join(folder, name) for name in ("fifo", "file", "link")}
        os.mkfifo(names["fifo"])
        open(names["file"], "w").close()
        os.symlink("file", names["link"])
        reading = os.open(names["fifo"], os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reading)
        for name in ("fifo", "link"):
            muxd = self.muxd("--stats-json", names[name])
            self.assertEqual(muxd.end(), 0, muxd.log)
        self.assertTrue(stat.S_ISFIFO(os.stat(names["fifo"]).st_mode))
        self.assertIn(b"muxd_links_open", os.read(reading, 65536))
        self.assertEqual(os.readlink(names["link"]), "file")
        self.assertEqual(self.stats(names["file"])["muxd_links_open"], 0)

    def test_pending_down_is_counted(self):
        path = os.path.join(self.folder(), "stats")
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint, "--stats-json", path)
        upstream.accept()
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", muxd.port))
        deaf.sendall(packet(test_id="deaf"))
        upstream.read_events(1)
        big = packet(file_name="stdin", file_bytes=bytes(3 << 20), route_code="0")
        upstream.sock.sendall(big)
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_down_forwarded_packets_total"] == 1,
                   "the packet to be queued")
        deaf.close()
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_links_open"] == 0, "the link's end")
        self.assertGreater(self.stats(path)["muxd_down_undelivered_bytes_total"], 0)


if __name__ == "__main__":
    unittest.main()
