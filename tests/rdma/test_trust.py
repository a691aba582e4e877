"""Who may command over RDMA: nobody, unless he is trusted. Results come, from whom --allow lets in."""
from cable import *
from trust import *


class Rights(Cabled, Trust):
    def control(self):
        return os.path.join(self.folder(), "ctl")

    def top(self, *options):
        """A muxd that listens on RDMA, below a driver that it trusts."""
        self.driver = Driver(os.path.join(self.folder(), "driver"))
        self.addCleanup(self.driver.close)
        top = self.muxd("--upstream", self.driver.endpoint, *MEMORY, *options, listen=("rdma:%s:0" % NEAR,))
        self.driver.accept()
        return top

    def send(self, address, stream):
        return subprocess.run([MUX, "send", address, "-"], input=stream, capture_output=True, timeout=PATIENCE)

    def test_a_worker(self):
        control = self.control()
        muxd = self.muxd(*MEMORY, "--control", "unix:" + control, listen=("rdma:%s:0" % NEAR,))

        def send(stream):
            done = self.send(muxd.addresses[0], stream)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.only_results(muxd, control, send)

    def test_allow(self):
        muxd = self.muxd(*MEMORY, "--allow", "10.9.0.77", listen=("rdma:%s:0" % NEAR,))
        self.assertNotEqual(self.send(muxd.addresses[0], packet(test_id="t")).returncode, 0)
        muxd.wait_log("a connection was turned away: accept: Permission denied")
        self.assertEqual(muxd.stream(), b"")

    def test_a_node(self):
        """Orders and jobs that come down by RDMA; results go up all the same."""
        top = self.top()
        leaf = self.muxd("--upstream", "mux:" + top.addresses[0], *MEMORY)
        worker = self.socket(leaf.addresses[0])
        worker.sendall(packet(test_id="t", test_status="success"))
        route = self.driver.wait(lambda events: next((event["route"] for event in events
                                                      if event["test_id"] == "t"), None), "its result")
        self.commands(self.driver, route[:route.index("/")])

    def test_a_command(self):
        """mux exec takes neither keys nor orders by RDMA; mux agent does not start."""
        top = self.top()
        process = subprocess.Popen([MUX, "exec", "--to", "mux:" + top.addresses[0], "--", "sh", "-c",
                                    "echo here; read line; echo got $line"], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        route = self.driver.wait(lambda events: next((event["route"] for event in events
                                                      if event["content"] == b"here\n"), None), "the command")
        self.driver.type(route, b"keys\n")
        self.driver.wait(lambda events: any(event["file"] == "muxd" and b"--trust-network" in event["content"]
                                            for event in events), "the refusal")
        self.driver.send(route, file_name="muxd.control", eof=True,
                         file_bytes=json.dumps(dict(v=1, do="stop", id="5f")).encode())
        _, answer = self.driver.wait(lambda events: next(iter(self.driver.messages("muxd.control", events)), None),
                                     "an answer")
        self.assertEqual(answer["state"], "refused")
        self.assertIn("it comes over a network", answer["why"])
        self.assertIsNone(process.poll())
        self.assertNotIn(b"got", self.driver.file(route, "stdout"))
        done = subprocess.run([MUX, "agent", "--to", top.addresses[0]], capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"whoever answers there could run commands here", done.stderr)


if __name__ == "__main__":
    unittest.main()
