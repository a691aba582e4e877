"""Who is no muxd; what an interface offers; machines without RDMA."""
from cable import *

STRANGER = os.path.join(BUILD, "tests/rdma/stranger")


class Strangers(Cabled):
    def listening(self):
        return self.muxd(*MEMORY, listen=("rdma:%s:0" % NEAR,))

    def lives(self, muxd):
        """It still takes what a muxd sends."""
        folder = self.folder()
        with open(os.path.join(folder, "in"), "wb") as file:
            file.write(packet(test_id="lives"))
        self.assertEqual(run(MUX, "send", muxd.addresses[0], os.path.join(folder, "in")), (0, ""))
        self.until(lambda: b"lives" in muxd.stream(), "the packet")
        self.assertEqual(muxd.end(), 0)

    def test_rping(self):
        muxd = self.listening()
        status, said = run("rping", "-c", "-a", NEAR, "-p", str(muxd.port), "-C", "1")
        self.assertNotEqual(status, 0)
        self.assertIn("RDMA_CM_EVENT_REJECTED", said)
        self.lives(muxd)

    def test_hellos_of_another_kind(self):
        muxd = self.listening()
        for hello in ("", "00", "ff" * 56, "6d757864" * 14, "00" * 56):
            status, said = run(STRANGER, NEAR, str(muxd.port), hello)
            self.assertEqual((status, said), (0, "rejected\n"), hello)
        self.lives(muxd)

    def test_a_muxd_calls_a_stranger(self):
        """rping accepts anybody: its answer is no muxd's, and the node says so."""
        server = subprocess.Popen(["rping", "-s", "-a", NEAR, "-p", "7999", "-P"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        muxd = self.muxd("--upstream", "rdma:%s:7999" % NEAR, *MEMORY, "--drain-timeout", "0.5")
        self.socket(muxd.addresses[0]).sendall(packet(test_id="kept"))
        muxd.wait_log("10.9.0.1:7999.*not reached")
        self.assertEqual(muxd.end(), 75)

    def test_nobody_listens(self):
        muxd = self.muxd("--upstream", "rdma:%s:7998" % NEAR, *MEMORY)
        muxd.wait_log("not reached: .*Connection refused")
        self.assertEqual(muxd.end(), 0)


class Interface(Cabled):
    def test_offers_both(self):
        """TCP and RDMA on the same port of an interface."""
        port = free_port()
        muxd = self.muxd(*MEMORY, "--exit-after", "2", listen=("ib0:%d" % port,))
        muxd.wait_log(r"^listening on rdma:10\.9\.0\.1:%d$" % port)
        path = os.path.join(self.folder(), "in")
        with open(path, "wb") as file:
            file.write(packet(test_id="t"))
        for endpoint in ("tcp:10.9.0.1:%d" % port, "rdma:10.9.0.1:%d" % port):
            self.assertEqual(run(MUX, "send", endpoint, path), (0, ""))
        self.assertEqual(muxd.wait(), 0)
        events = python_events(muxd.stream())
        self.assertEqual([(e["test_id"], e["route_code"]) for e in events], [("t", "0"), ("t", "1")])


class WithoutDevice(Cabled):
    def setUp(self):
        super().setUp()
        for number in "01":
            must("rdma", "link", "delete", "rxe" + number)
            self.addCleanup(must, "rdma", "link", "add", "rxe" + number, "type", "rxe", "netdev",
                            "ib" + number)

    def test_tcp_is_there(self):
        port = free_port()
        muxd = self.muxd(*MEMORY, "--exit-after", "1", listen=("ib0:%d" % port,))
        path = os.path.join(self.folder(), "in")
        with open(path, "wb") as file:
            file.write(packet(test_id="t"))
        self.assertEqual(run(MUX, "send", "10.9.0.1:%d" % port, path), (0, ""))
        self.assertEqual(muxd.wait(), 0)
        self.assertFalse([line for line in muxd.log if "rdma:" in line])

    def test_rdma_is_refused_in_a_sentence(self):
        status, said = run(MUXD, "--io", IO, "--listen", "rdma:%s:0" % NEAR, "--upstream", "file:/dev/null")
        self.assertEqual(status, 1)
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn("RDMA", said.upper())


if __name__ == "__main__":
    unittest.main()
