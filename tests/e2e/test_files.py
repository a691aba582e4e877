"""Files that muxd appends packets to: half packets, rotation, full disks; files of counters."""
import fcntl
import os
import pty
import stat
import subprocess
import termios

from harness import *

HALF = packet(test_id="half", file_name="f", file_bytes=b"x" * 1000000)


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def folder_with_socket_and_file(case):
    """Their three paths; nobody listens on the socket."""
    folder = case.folder()
    path, file = os.path.join(folder, "socket"), os.path.join(folder, "file")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    open(file, "w").close()
    return folder, path, file


class Append(Case):
    def read(self, path):
        """Test ids in a file, read by both readers."""
        with open(path, "rb") as file:
            stream = file.read()
        ids = [event["test_id"] for event in python_events(stream)]
        self.assertEqual(ids, [event["test_id"] for event in oracle.decode(stream)])
        return [name for name in ids if name != "subunit.parser"]

    def half_file(self):
        path = os.path.join(self.folder(), "run.subunit")
        with open(path, "wb") as file:
            file.write(packet(test_id="before") + HALF[:100000])
        return path

    def append(self, path, count, *options, **keywords):
        muxd = self.muxd("--exit-after", "1", *options, **keywords)
        worker = muxd.connect()
        worker.sendall(packet(test_id="after") * count)
        self.finish(worker)
        self.assertEqual(muxd.wait(), 0)
        self.assertEqual(self.read(path), ["before"] + ["after"] * count)
        return muxd.log

    def test_after_a_half_packet(self):
        path = self.half_file()
        log = self.append(path, 20000, "--upstream", "file:" + path)
        self.assertTrue(any("upstream file:%s: it ended inside a packet, after 100000 bytes of it" % path
                            in line for line in log), log)

    def test_behind_what_looks_like_a_packet(self):
        """To python-subunit or to muxd."""
        for tail in (b"\xb3\xb3\xb3", b"\xb3\x29\x02\xff", b"\xb3\x19\x02\x40\xff",
                     b"\xb3\x29\x02\xbf\xff\xff" + b"q" * 10):
            with self.subTest(tail.hex()):
                path = os.path.join(self.folder(), "run.subunit")
                with open(path, "wb") as file:
                    file.write(packet(test_id="before") + tail)
                muxd = self.muxd("--exit-after", "1", "--upstream", "file:" + path)
                worker = muxd.connect()
                worker.sendall(packet(test_id="after") * 3)
                self.finish(worker)
                self.assertEqual(muxd.wait(), 0)
                with open(path, "rb") as file:
                    stream = file.read()
                for events in python_events(stream), oracle.decode(stream):
                    self.assertEqual([event["test_id"] for event in events][-3:], ["after"] * 3)

    def refused(self, path, why):
        """At the start, with the path and the cause."""
        done = subprocess.run([MUXD, "--io", IO, "--listen", "127.0.0.1:0", "--upstream", "file:" + path],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("muxd: --upstream file:%s: %s" % (path, why), done.stderr)

    def test_what_cannot_be_written(self):
        folder, path, file = folder_with_socket_and_file(self)
        os.symlink("circle", os.path.join(folder, "circle"))
        for path, why in ((file + "/x", "open: Not a directory"), (path, "it is a socket: did you mean unix:"),
                          (os.path.join(folder, "circle"), "open: Too many levels of symbolic links")):
            with self.subTest(path):
                self.refused(path, why)

    def test_what_no_reader_gets_past(self):
        """Python's reader dies of a packet of two bytes. The file stays as it is."""
        path = os.path.join(self.folder(), "run.subunit")
        stream = packet(test_id="before") + b"\xb3\x29\x02\x02"
        with open(path, "wb") as file:
            file.write(stream)
        self.refused(path, "the bytes at offset %d end python-subunit's reader" % (len(stream) - 4))
        with open(path, "rb") as file:
            self.assertEqual(file.read(), stream)

    def test_stdout_after_a_half_packet(self):
        path = self.half_file()
        with open(path, "ab") as file:
            log = self.append(path, 20000, stdout=file)
        self.assertTrue(any("upstream stdout: it ended inside a packet" in line for line in log), log)

    def test_half_packet_of_another_writer(self):
        """The file is opened again after a loss, and its end checked again."""
        path = os.path.join(self.folder(), "run.subunit")
        muxd = self.muxd("--upstream", "file:" + path, "--window", "0")
        worker = self.socket(muxd.addresses[0])
        worker.sendall(packet(test_id="one"))
        self.until(lambda: size(path), "the first packet")
        hard = resource.prlimit(muxd.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(muxd.process.pid, resource.RLIMIT_FSIZE, (1, hard))
        worker.sendall(packet(test_id="two") * 100)
        muxd.wait_log("lost: send: File too large")
        with open(path, "ab") as file:
            file.write(HALF[:5000])
        resource.prlimit(muxd.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        muxd.wait_log("it ended inside a packet, after 5000 bytes of it")
        self.until(lambda: self.read(path) == ["one"] + ["two"] * 100, "the packets that were held back")
        self.assertEqual(muxd.end(), 0)

    def test_named_pipe(self):
        """It has no end to check; its reader gets the stream."""
        path = os.path.join(self.folder(), "fifo")
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        muxd = self.muxd("--upstream", "file:" + path, "--exit-after", "1")
        worker = muxd.connect()
        worker.sendall(packet(test_id="t"))
        self.finish(worker)
        self.assertEqual(muxd.wait(), 0)
        with open(reader, "rb") as file:
            self.assertEqual(count_packets(file.read()), 1)

    def test_named_pipe_without_a_reader(self):
        """It is said once, and packets wait for one."""
        folder = self.folder()
        path, stats = os.path.join(folder, "fifo"), os.path.join(folder, "stats")
        os.mkfifo(path)
        muxd = self.muxd("--upstream", "file:" + path, "--stats-json", stats, "--exit-after", "1")
        worker = muxd.connect()
        worker.sendall(packet(test_id="t"))
        muxd.wait_log("upstream file:%s: no process reads this FIFO" % path)
        self.until(lambda: self.fresh_stats(muxd, stats)["muxd_upstream_losses_total"] > 3, "four attempts")
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.finish(worker)
        self.assertEqual(muxd.wait(), 0)
        self.assertEqual(sum("FIFO" in line for line in muxd.log), 1, muxd.log)
        with open(reader, "rb") as file:
            self.assertEqual(count_packets(file.read()), 1)

    def test_reader_that_waits(self):
        """It sees the stream to its end: the look at the start opens no FIFO."""
        path = os.path.join(self.folder(), "fifo")
        os.mkfifo(path)
        reader = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
        self.addCleanup(reader.stdout.close)
        muxd = self.muxd("--upstream", "file:" + path, "--exit-after", "1")
        worker = muxd.connect()
        worker.sendall(packet(test_id="t"))
        self.finish(worker)
        self.assertEqual(muxd.wait(), 0)
        self.assertEqual(count_packets(reader.communicate(timeout=PATIENCE)[0]), 1)

    def test_full_disk(self):
        """The log has the number of bytes that were not sent."""
        with open("/dev/full", "wb") as full:
            muxd = self.muxd(stdout=full)
            stats = packet(test_id="t", route_code="0") * 10
            self.socket(muxd.addresses[0]).sendall(packet(test_id="t") * 10)
            muxd.wait_log("upstream stdout lost: send: No space left on device")
            muxd.wait_log("links cut off: 1; what they have sent and was not received is lost")
            unsent = muxd.wait_log("ending with ([0-9]+) bytes not sent to stdout")
            self.assertEqual(int(unsent[1]) % (len(stats) // 10), 0)
            self.assertEqual(muxd.wait(), 75)

    def test_stdin_is_left_alone(self):
        """Only --upstream - has a way down: the input of a shell loop around muxd is not read."""
        reading, writing = os.pipe()
        os.write(writing, b"two\nthree\n")
        muxd = self.muxd("--exit-after", "1", stdin=reading)
        worker = muxd.connect()
        worker.sendall(packet(test_id="t"))
        self.finish(worker)
        self.assertEqual(muxd.wait(), 0)
        os.close(writing)
        with open(reading, "rb") as file:
            self.assertEqual(file.read(), b"two\nthree\n")


class HangUp(Case):
    def test_rotation(self):
        """The file is renamed under load, and HUP sent: packets go to a new file, none is lost."""
        folder = self.folder()
        path = os.path.join(folder, "run.subunit")
        muxd = self.muxd("--upstream", "file:" + path, start_new_session=True)
        stop = threading.Event()
        sent = [0]
        worker = self.socket(muxd.addresses[0])

        def flood():
            while not stop.is_set():
                worker.sendall(b"".join(packet(test_id="t%d" % (sent[0] + i), file_name="f",
                                               file_bytes=bytes(i * 100)) for i in range(50)))
                sent[0] += 50
        sender = threading.Thread(target=flood)
        sender.start()
        files = []
        for number in range(5):
            self.until(lambda: size(path) > 100000, "packets")
            files.append("%s.%d" % (path, number))
            os.rename(path, files[-1])
            muxd.signal(signal.SIGHUP)
            muxd.wait_log("opening it again")
            self.until(lambda: os.path.exists(path), "a new file")
        stop.set()
        sender.join(PATIENCE)
        self.assertEqual(muxd.end(), 0, muxd.log)
        ids = []
        for name in (*files, path):
            with open(name, "rb") as file:
                ids += [event["test_id"] for event in oracle.decode(file.read())]
        self.assertEqual(ids, ["t%d" % i for i in range(sent[0])])

    def test_removed(self):
        """It is said, and packets go on in a new file."""
        path = os.path.join(self.folder(), "run.subunit")
        muxd = self.muxd("--upstream", "file:" + path, start_new_session=True)
        worker = self.socket(muxd.addresses[0])
        for test_id in "one", "two":
            worker.sendall(packet(test_id=test_id))
            self.until(lambda: size(path), "the packet")
            os.unlink(path)
            muxd.wait_log("upstream file:%s: the file was removed" % path)
            self.until(lambda: os.path.exists(path), "a new file")
        self.assertEqual(size(path), 0)
        self.assertEqual(muxd.end(), 0)
        self.assertEqual(sum("removed" in line for line in muxd.log), 2, muxd.log)

    def test_rotation_while_it_cannot_be_written(self):
        """HUP makes muxd try at once."""
        folder = self.folder()
        path = os.path.join(folder, "not yet", "run.subunit")
        muxd = self.muxd("--upstream", "file:" + path, start_new_session=True)
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        muxd.wait_log("open: No such file or directory")
        os.mkdir(os.path.dirname(path))
        muxd.signal(signal.SIGHUP)
        self.until(lambda: size(path), "the packet")
        self.assertEqual(muxd.end(), 0)

    def test_no_file(self):
        """Without a file there is nothing to open again: muxd goes on."""
        muxd = self.muxd(start_new_session=True)
        muxd.signal(signal.SIGHUP)
        muxd.wait_log("HUP: no file is written to")
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        self.until(lambda: count_packets(muxd.stream()) == 1, "the packet")
        self.assertEqual(muxd.end(), 0)

    def test_terminal(self):
        """A muxd whose terminal is closed ends as by TERM, also when it writes to a file."""
        path = os.path.join(self.folder(), "run.subunit")
        master, slave = pty.openpty()
        muxd = self.muxd("--upstream", "file:" + path, start_new_session=True,
                         preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        self.until(lambda: size(path), "the packet")
        os.close(master)
        self.assertEqual(muxd.wait(), 0)
        with open(path, "rb") as file:
            self.assertEqual(count_packets(file.read()), 1)


class Counters(Case):
    """--stats-json in a folder where other users write."""

    def write(self, path):
        muxd = self.muxd("--stats-json", path)
        muxd.signal(signal.SIGUSR1)
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
        self.until(lambda: count_packets(muxd.stream()) == 1, "the packet")
        self.assertEqual(muxd.end(), 0)
        return muxd.log

    def test_traps_in_the_folder(self):
        """Other files in the folder, of any name, are neither written to nor waited for."""
        folder = self.folder()
        path = os.path.join(folder, "stats.json")
        victim = os.path.join(folder, "victim")
        with open(victim, "w") as file:
            file.write("precious")
        os.symlink(victim, path + ".new")
        os.mkfifo(path + ".tmp")
        self.write(path)
        with open(victim) as file:
            self.assertEqual(file.read(), "precious")
        self.assertEqual(self.stats(path)["muxd_received_packets_total"], 1)
        self.assertEqual(sorted(os.listdir(folder)),
                         ["stats.json", "stats.json.new", "stats.json.tmp", "victim"])
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o666 & ~mask)

    def test_link_of_another_user(self):
        """It is replaced, not followed; a link of our own is followed and stays."""
        folder = self.folder()
        path = os.path.join(folder, "stats.json")
        victim = os.path.join(folder, "victim")
        for owner, follows in ((os.geteuid(), True), (65534, False)):
            if owner and os.geteuid():
                self.skipTest("no right to give a link away")
            with open(victim, "w") as file:
                file.write("precious")
            os.symlink("victim", path)
            os.lchown(path, owner, -1)
            self.write(path)
            self.assertEqual(os.path.islink(path), follows)
            with open(victim) as file:
                self.assertEqual(file.read() == "precious", not follows)
            self.assertEqual(self.stats(path)["muxd_received_packets_total"], 1)
            os.unlink(path)

    def refused(self, path, why):
        """Refused at the start, with the path and the cause."""
        done = subprocess.run([MUXD, "--io", IO, "--listen", "127.0.0.1:0", "--upstream", "file:/dev/null",
                               "--stats-json", path], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "muxd: --stats-json '%s': %s\n" % (path[:800], why))

    def test_links_in_a_circle(self):
        path = os.path.join(self.folder(), "a")
        os.symlink("a", path)
        self.refused(path, "Too many levels of symbolic links")

    def test_what_can_never_be_written(self):
        folder, path, file = folder_with_socket_and_file(self)
        for path, why in (("", "expected a file's name, or - for stdout"),
                          ("/nonexistent/foo", "No such file or directory"),
                          (folder, "Is a directory"), (folder + "/", "Is a directory"),
                          (file + "/stats", "Not a directory"), (path, "No such device or address"),
                          (os.path.join(folder, "x" * 300), "File name too long"),
                          (os.path.join(folder, "x" * 5000), "File name too long")):
            with self.subTest(path):
                self.refused(path, why)
        self.assertEqual(sorted(os.listdir(folder)), ["file", "socket"])

    def test_stdout_is_closed(self):
        done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", MUXD, "--io", IO, "--listen", "127.0.0.1:0",
                               "--upstream", "file:/dev/null", "--stats-json", "-"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (1, "muxd: --stats-json '-': Bad file descriptor\n"))

    def test_what_fails_later(self):
        """A failed write is logged; the last one decides the exit code, unless packets are missing."""
        folder = os.path.join(self.folder(), "gone")
        os.mkdir(folder)
        path = os.path.join(folder, "stats")
        for wait in (), ("--upstream", "tcp:127.0.0.1:1"):
            muxd = self.muxd("--stats-json", path, "--drain-timeout", "0.3", *wait)
            self.socket(muxd.addresses[0]).sendall(packet(test_id="t"))
            if wait:
                muxd.wait_log("not reached")
            else:
                self.until(lambda: count_packets(muxd.stream()) == 1, "the packet")
            os.rmdir(folder)
            muxd.signal(signal.SIGUSR1)
            muxd.wait_log("--stats-json %s: No such file or directory" % path)
            os.mkdir(folder)
            self.assertEqual(self.fresh_stats(muxd, path)["muxd_links_open"], 1)
            os.unlink(path)
            os.rmdir(folder)
            self.assertEqual(muxd.end(), 75 if wait else 74, muxd.log)
            self.assertEqual(sum("--stats-json" in line for line in muxd.log), 2, muxd.log)
            os.mkdir(folder)

    def test_full_device(self):
        """It can be opened; only a write shows that it is full."""
        muxd = self.muxd("--stats-json", "/dev/full")
        self.assertEqual(muxd.end(), 74, muxd.log)
        self.assertIn("muxd: --stats-json /dev/full: No space left on device", muxd.log)

    def test_pipe_that_nobody_reads(self):
        path = os.path.join(self.folder(), "fifo")
        os.mkfifo(path)
        self.assertTrue(any("--stats-json" in line for line in self.write(path)))
        self.assertEqual(sorted(os.listdir(os.path.dirname(path))), ["fifo"])


if __name__ == "__main__":
    unittest.main()
