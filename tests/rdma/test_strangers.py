"""Peers that are no muxd; the endpoints of an interface; machines without RDMA."""
from cable import *

STRANGER = os.path.join(BUILD, "tests/rdma/stranger")


# The messages between two muxds, from transport/rdma/wire.h.
STREAM, END, CLOSE = 1, 2, 4


def hello(version=1, size=16, message_bytes=4096, credits=8, magic=b"muxdRDMA"):
    return magic + struct.pack("<4H", version, size, message_bytes, credits)


def head(flags, controls=0, credits=0, done=0, spans=0):
    return struct.pack("<BBHHH", flags, controls, credits, done, spans)


def span(address=4096, key=1, length=65536, before=0, lead=0):
    return struct.pack("<QIIHHI", address, key, length, before, lead, 0)


WORD = packet(test_id="word")
BAD = {
    "empty": [b""],
    "half a head": [head(STREAM)[:7]],
    "an unknown flag": [head(64)],
    "a stream of nothing": [head(STREAM)],
    "a table cut off": [head(STREAM, spans=2) + span()],
    "a table too large": [head(STREAM, spans=33) + 33 * span()],
    "a span of no length": [head(STREAM, spans=1) + span(length=0)],
    "a span behind the end": [head(STREAM, spans=1) + span(before=2) + b"x"],
    "spans in the wrong order": [head(STREAM, spans=2) + span(before=1) + span(before=0) + b"xx"],
    "a lead that is not there": [head(STREAM, spans=1) + span(before=1, lead=2) + b"x"],
    "an address that wraps": [head(STREAM, spans=1) + span(address=2 ** 64 - 1)],
    "memory that nobody may read": [head(STREAM, spans=1) + span()],
    "more credits than there can be": [head(0, credits=1000)] * 2,
    "controls that were not sent": [head(0, controls=200)],
    "done with what was not announced": [head(0, done=7)],
    "a stream after its end": [head(END), head(STREAM) + WORD],
    "a close without a count": [head(CLOSE)],
    "a control with a body": [head(0) + b"x"],
    "a message too long": [head(STREAM) + bytes(60000)],
    "more messages than credits": [head(STREAM) + b"x"] * 60,
    "more controls than places": [head(0)] * 60,
}



class Strangers(Cabled):
    def listening(self, *options):
        return self.muxd(*MEMORY, *options, listen=("rdma:%s:0" % NEAR,))

    def lives(self, muxd):
        """muxd still receives from another muxd."""
        folder = self.folder()
        with open(os.path.join(folder, "in"), "wb") as file:
            file.write(packet(test_id="lives"))
        self.assertEqual(run(MUX, "send", muxd.addresses[0], os.path.join(folder, "in"))[0], 0)
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
        for wrong in (b"", b"\0", bytes(56), b"\xff" * 56, b"muxd" * 14, hello()[:12], hello(magic=b"muxdrdma"),
                      hello(version=0), hello(version=2), hello(size=15), hello(size=17),
                      hello(message_bytes=0), hello(message_bytes=1023), hello(credits=0)):
            status, said = run(STRANGER, NEAR, str(muxd.port), wrong.hex())
            self.assertEqual((status, said), (0, "rejected\n"), wrong)
        self.lives(muxd)

    def test_a_stranger_can_speak_it(self):
        """The stranger's valid messages are accepted: the tests below depend on that."""
        muxd = self.listening()
        status, said = run(STRANGER, NEAR, str(muxd.port), hello().hex(), (head(STREAM) + WORD).hex(), head(END).hex())
        self.assertEqual((status, said), (0, "accepted\ndisconnected\n"))
        self.assertEqual(muxd.end(), 0)
        event, = python_events(muxd.stream())
        self.assertEqual((event["test_id"], event["route_code"]), ("word", "0"))

    def test_messages_of_another_kind(self):
        """Each costs the stranger its connection, and does not affect the others."""
        muxd = self.listening()
        other = subprocess.Popen([MUX, "send", muxd.addresses[0]], stdin=subprocess.PIPE)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        other.stdin.write(WORD)
        other.stdin.flush()
        self.until(lambda: count_packets(muxd.stream()) == 1, "the other's packet")
        for what, messages in BAD.items():
            status, said = run(STRANGER, NEAR, str(muxd.port), hello().hex(), *[one.hex() for one in messages])
            self.assertEqual((status, said), (0, "accepted\ndisconnected\n"), what)
        self.not_ready = counted("*rnr*")  # some came without a credit
        other.stdin.write(WORD)
        other.stdin.close()
        self.assertEqual(other.wait(PATIENCE), 0)
        self.lives(muxd)

    def test_one_that_says_nothing(self):
        """It does not delay muxd's end."""
        muxd = self.listening(*NEVER)
        silent = subprocess.Popen([STRANGER, NEAR, str(muxd.port), hello().hex()], stdout=subprocess.PIPE, text=True)
        self.addCleanup(silent.stdout.close)
        self.addCleanup(silent.wait)
        self.addCleanup(silent.kill)
        self.assertEqual(silent.stdout.readline(), "accepted\n")
        self.assertEqual(muxd.end(), 0)

    def test_a_muxd_calls_a_stranger(self):
        """rping accepts every peer: its answer is not a muxd's, and the node reports that."""
        server = subprocess.Popen(["rping", "-s", "-a", NEAR, "-p", "7999", "-P"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        muxd = self.muxd("--upstream", "rdma:%s:7999" % NEAR, *MEMORY, "--drain-timeout", "0.5")
        self.socket(muxd.addresses[0]).sendall(packet(test_id="kept"))
        muxd.wait_log("10.9.0.1:7999.*not reached")
        self.assertEqual(muxd.end(), 75)

    def test_no_listener(self):
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
            self.assertEqual(run(MUX, "send", endpoint, path)[0], 0)  # it may print what it tries
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
        self.not_ready = 0  # the devices' counters have gone with them

    def test_tcp_works(self):
        port = free_port()
        muxd = self.muxd(*MEMORY, "--exit-after", "1", listen=("ib0:%d" % port,))
        path = os.path.join(self.folder(), "in")
        with open(path, "wb") as file:
            file.write(packet(test_id="t"))
        self.assertEqual(run(MUX, "send", "10.9.0.1:%d" % port, path)[0], 0)
        self.assertEqual(muxd.wait(), 0)
        self.assertFalse([line for line in muxd.log if "rdma:" in line])

    def test_rdma_is_refused_with_a_message(self):
        status, said = run(MUXD, "--io", IO, "--listen", "rdma:%s:0" % NEAR, "--upstream", "file:/dev/null")
        self.assertEqual(status, 1)
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn("RDMA", said.upper())


if __name__ == "__main__":
    unittest.main()
