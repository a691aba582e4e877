"""Peers that try to stop the node: how it contains them, while the others are not affected."""
import random
import selectors

from harness import *

LARGE = packet(test_id="large", file_name="log", file_bytes=bytes(4000000), eof=True)
MIDDLE = packet(test_id="middle", file_name="log", file_bytes=bytes(100000), eof=True)


class Hostile(Case):
    def good_stream_beside(self, muxd, stuck):
        """A worker's large and small packets get through, however many peers hold theirs back."""
        sent = LARGE + MIDDLE + packet(test_id="small") + LARGE
        good = muxd.connect()
        good.sendall(sent)
        self.finish(good)
        self.assertEqual(muxd.end(), 0)
        events = [e for e in python_events(muxd.stream()) if e["test_id"] in
                  ("large", "middle", "small")]
        self.same([e["test_id"] for e in events], ["large", "middle", "small", "large"])

    def test_headers_of_large_packets(self):
        """1,000 headers of large packets take no memory for large packets."""
        muxd = self.muxd("--memory", "16M")
        stuck = [self.socket(muxd.addresses[0]) for _ in range(1000)]
        for sock in stuck:
            sock.sendall(LARGE[:100])
        self.good_stream_beside(muxd, stuck)
        self.assertFalse([line for line in muxd.log if "wait for the memory" in line])

    def test_half_packets(self):
        """The links that hold a slot, and all that wait for one before the good worker, are evicted."""
        muxd = self.muxd("--memory", "16M")
        stuck = [self.socket(muxd.addresses[0]) for _ in range(8)]
        for i, sock in enumerate(stuck):
            sock.sendall((LARGE if i % 2 else MIDDLE)[:20000 + i])
        self.good_stream_beside(muxd, stuck)
        self.assertTrue([line for line in muxd.log if "wait for the memory" in line])


    def test_a_stray_header(self):
        """The beginning of a 4 MiB packet, then good packets at 10 a second: these arrive within seconds."""
        muxd = self.muxd()
        sock = self.socket(muxd.addresses[0])
        sock.sendall(LARGE[:30])
        begin = time.monotonic()
        for i in range(50):
            sock.sendall(packet(test_id="t%d" % i))
            time.sleep(0.1)
            if time.monotonic() - begin > 4:
                self.assertGreater(len(muxd.stream()), 0)
        self.finish(sock)
        self.assertEqual(muxd.end(), 0)
        events = oracle.decode(muxd.stream())
        self.same([e["test_id"] for e in events],
                  ["subunit.parser"] * 2 + ["t%d" % i for i in range(50)])
        self.assertEqual(base64.b64decode(events[0]["file_b64"]), LARGE[:30])


    def test_a_jam(self):
        """Half packets in all receive buffers: a good worker's packets still arrive."""
        muxd = self.muxd("--memory", "16M")
        stuck = [self.socket(muxd.addresses[0]) for _ in range(150)]
        for sock in stuck:
            sock.setblocking(False)
            sock.send(LARGE[:300000])
        time.sleep(0.5)
        sock = self.socket(muxd.addresses[0])
        sock.sendall(packet(test_id="innocent"))
        self.until(lambda: b"innocent" in muxd.stream(), "the innocent worker's packet")


    def test_a_jam_that_drips(self):
        """Many peers hold or wait for memory for a large packet, and each sends a byte now and then: a
        good worker's small and large packets still arrive."""
        path = os.path.join(self.folder(), "stats")
        muxd = self.muxd("--memory", "16M", "--stats-json", path)
        stuck = [self.socket(muxd.addresses[0]) for _ in range(120)]
        for i, sock in enumerate(stuck):
            sock.setblocking(False)
            sock.send((LARGE if i % 2 else MIDDLE)[:5000 if i < 20 else 90000])
        good = self.socket(muxd.addresses[0])
        self.until(lambda: self.fresh_stats(muxd, path)["muxd_slot_waits_total"] > 20, "a queue")
        over = threading.Event()

        def drip():
            while not over.wait(0.05):
                for sock in stuck:
                    try:
                        sock.send(b"x")
                    except OSError:
                        pass  # full, or closed by muxd
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            for i in range(20):
                good.sendall(packet(test_id="good%d" % i))
                self.until(lambda: b"good%d" % i in muxd.stream(), "small packet %d" % i)
            good.sendall(LARGE + MIDDLE + LARGE)
            self.finish(good)
            self.assertGreater(self.fresh_stats(muxd, path)["muxd_links_evicted_total"], 0)
        finally:
            over.set()
            dripping.join(PATIENCE)
        for sock in stuck:
            sock.close()
        self.assertEqual(muxd.end(), 0, muxd.log)
        ids = [e["test_id"] for e in oracle.decode(muxd.stream())]
        self.same([i for i in ids if i != "subunit.parser"],
                  ["good%d" % i for i in range(20)] + ["large", "middle", "large"])

    def test_strangers_fill_the_table_of_tests(self):
        """All but two links have as many tests as they can; then a worker comes and dies."""
        muxd = self.muxd("--memory", "16M", "--max-links", "40")
        begin = lambda count: b"".join(packet(test_id="t%d" % i, test_status="inprogress")
                                       for i in range(count))
        many = begin(3000)
        strangers = [self.socket(muxd.addresses[0]) for _ in range(38)]
        for sock in strangers:
            sock.sendall(many)
        self.until(lambda: count_packets(muxd.stream()) == 38 * 3000, "the strangers' tests")
        names = ["t%d" % i for i in range(200)] + ["l%d" % i * 100 for i in range(16)]
        names.append("x" * 5000)
        sock = self.socket(muxd.addresses[0])
        sock.sendall(b"".join(packet(test_id=n, test_status="inprogress") for n in names))
        self.finish(sock)
        greedy = self.socket(muxd.addresses[0])
        greedy.sendall(begin(30000))
        greedy.sendall(packet(test_id="t29999", test_status="success"))
        self.finish(greedy)
        muxd.wait_log(r"link 39\) ended: .* and \d+ more tests were in progress$")
        self.until(lambda: b"more tests were in progress" in muxd.stream(), "the count")
        links = by_segment(oracle.decode(muxd.stream()))
        fails = [e for e in links["38"] if e["test_status"] == "fail"]
        self.assertEqual([e["test_id"] for e in fails], names)
        fails = [e for e in links["39"] if e["test_status"] == "fail"]
        more = int(re.search(r" and (\d+) more tests were in progress\n$", text(fails.pop()))[1])
        self.assertEqual(len(fails) + more, 29999)
        self.assertGreater(len(fails), 200)
        for sock in strangers:
            self.finish(sock)
        self.assertEqual(muxd.end(), 0)

    def test_fifty_attachments_in_little_memory(self):
        """50 workers with 4 MiB each at once under --memory 16M: all arrive whole, memory is bounded."""
        muxd = self.muxd("--memory", "16M", "--exit-after", "50")
        resident = muxd.resident_bytes()
        stream = packet(test_id="t", test_status="inprogress") + LARGE + packet(
            test_id="t", test_status="success")
        selector = selectors.DefaultSelector()
        offsets = {}
        for _ in range(50):
            sock = self.socket(muxd.addresses[0])
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_WRITE)
            offsets[sock] = 0
        most = 0
        while selector.get_map():
            for key, _ in selector.select(PATIENCE):
                at = offsets[key.fileobj]
                offsets[key.fileobj] += key.fileobj.send(stream[at:at + 65536])
                if offsets[key.fileobj] == len(stream):
                    selector.unregister(key.fileobj)
                    key.fileobj.shutdown(socket.SHUT_WR)
            most = max(most, muxd.resident_bytes())
        self.assertEqual(muxd.wait(), 0)
        self.assertLess(most - resident, 24 << 20)
        packets = count_packets(muxd.stream())
        self.assertEqual(packets, 150)
        links = by_segment(oracle.decode(muxd.stream()))
        for events in links.values():
            self.assertEqual([e["test_id"] for e in events], ["t", "large", "t"])
        self.assertEqual(len(links), 50)

    def test_everything_at_once(self):
        """Random bytes, storms of signatures, resets, slow half packets, killed workers: a good
        worker's stream beside them arrives whole."""
        muxd = self.muxd()
        stop = threading.Event()
        slow = [self.socket(muxd.addresses[0]) for _ in range(1000)]
        for i, sock in enumerate(slow):
            sock.sendall((LARGE, MIDDLE, packet(test_id="x" * 300))[i % 3][:200])

        def flood(make):
            while not stop.is_set():
                sock = connect(muxd.addresses[0])
                try:
                    for data in make():
                        if stop.is_set():
                            break
                        sock.sendall(data)
                        time.sleep(0.002)
                except OSError:
                    pass
                reset(sock)
        rng = random.Random(11)
        floods = [lambda: (rng.randbytes(20000) for _ in range(50)),
                  lambda: (b"\xb3" * 20000 for _ in range(50)),
                  lambda: (b"\xb3\x2c\x01\xbf\xff\xff\xa0\x00\x00" * 2000 for _ in range(50)),
                  lambda: [MIDDLE[:rng.randrange(len(MIDDLE))]],
                  lambda: [packet(test_id="t", test_status="inprogress")],
                  lambda: [b"\n" * 5000]]
        threads = [threading.Thread(target=flood, args=(make,), daemon=True) for make in floods]
        for thread in threads:
            thread.start()
        killed = []
        good = self.socket(muxd.addresses[0])
        sent = b""
        for i in range(150):
            now = packet(test_id="good %d" % i, test_status="inprogress") + packet(
                test_id="good %d" % i, test_status="success", file_name="log",
                file_bytes=bytes([i]) * (300000 if i % 30 == 0 else 100))
            good.sendall(now)
            sent += now
            slow[i].sendall(b"x")
            if i % 10 == 0:
                worker = subprocess.Popen(["sh", "-c", "while :; do printf '\\263)text'; done"],
                                          stdout=self.socket(muxd.addresses[0]))
                self.addCleanup(worker.kill)
                killed.append(worker)
            if i % 10 == 5:
                killed[-1].kill()
            time.sleep(0.02)
        for worker in killed:
            worker.kill()
        self.finish(good)
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        for sock in slow:
            sock.close()
        self.assertEqual(muxd.end(), 0)
        self.assertGreater(len(muxd.stream()), len(sent))
        links = by_segment(oracle.decode(muxd.stream()))
        own = [events for events in links.values()
               if any(e["test_id"] == "good 0" for e in events)]
        self.assertEqual(len(own), 1)
        self.same(own[0], oracle.decode(sent))

    def test_upstream_killed_fifty_times(self):
        """Each time in the middle of a packet: everything arrives, once, in order."""
        upstream = self.upstream()
        muxd = self.muxd("--upstream", upstream.endpoint)
        upstream.accept()
        rng = random.Random(3)
        socks = [self.socket(muxd.addresses[0]) for _ in range(4)]
        counts = [0] * 4
        stop = threading.Event()

        def work(number):
            while not stop.is_set():
                first = counts[number]
                counts[number] += 20
                socks[number].sendall(b"".join(
                    packet(test_id="%d.%d" % (number, k), file_name="f",
                           file_bytes=bytes(k * 7 % 900)) for k in range(first, first + 20)))
        threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(4)]
        for thread in threads:
            thread.start()
        streams = []
        for _ in range(50):
            enough = rng.randrange(1, 30000)
            time.sleep(0.15)  # muxd waits ever longer for an upstream that ends at once
            stream = upstream.read_until(lambda s: len(s) > enough)
            upstream.sock.shutdown(socket.SHUT_WR)
            streams.append(upstream.read_until(lambda s: False, stream))
            upstream.accept()
        stop.set()
        muxd.signal()
        streams.append(upstream.read_until(lambda s: False))
        upstream.sock.close()
        for thread in threads:
            thread.join(PATIENCE)
        muxd.wait()
        events = []
        for stream in streams:
            decoded = oracle.decode(stream)
            events += [e["test_id"] for e in decoded if e["test_id"] != "subunit.parser"]
        self.assertGreater(len(events), 1000)
        for number in range(4):
            own = [e for e in events if e.startswith("%d." % number)]
            self.same(own, ["%d.%d" % (number, k) for k in range(len(own))])


if __name__ == "__main__":
    unittest.main()
