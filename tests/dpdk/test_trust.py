"""Who may command through a DPDK port: nobody, unless he is trusted. Results come, from whom --allow lets in."""
from port import *
from trust import *


class Rights(PortCase, Trust):
    def control(self):
        return os.path.join(self.folder(), "ctl")

    def test_a_worker(self):
        control = self.control()
        muxd = self.port("--control", "unix:" + control)
        self.only_results(muxd, control, self.socket(WORKERS_AT).sendall)

    def test_allow(self):
        muxd = self.port("--allow", "10.9.0.77")
        self.assertEqual(self.socket(WORKERS_AT).recv(1), b"")
        muxd.wait_log("is not in --allow")
        self.assertEqual(muxd.stream(), b"")

    def test_a_node(self):
        """Orders and jobs that come down through the port; results go up all the same."""
        driver = Driver(os.path.join(self.folder(), "driver"))
        driver.listener.close()
        driver.listener = socket.create_server((FAR4, 0))
        driver.listener.settimeout(PATIENCE)
        muxd = self.muxd("--upstream", upstream_endpoint(driver.listener.getsockname()[1]))
        driver.accept()
        self.addCleanup(driver.close)
        self.socket(muxd.addresses[0]).sendall(packet(test_id="t", test_status="success"))
        driver.wait(lambda events: any(event["test_id"] == "t" for event in events), "its result")
        self.commands(driver, None)


if __name__ == "__main__":
    unittest.main()
