"""What holds on each transport: who is below may send results, and who is above commands only where it is trusted."""
from driver import *

RESULTS = [("t", "inprogress"), ("t", "success")]


class Trust:
    """For a test case that says how its transport is reached."""

    def counter(self, name, control):
        done = subprocess.run([MUX, "ctl", "unix:" + control, "counters", "--json"], stdout=subprocess.PIPE,
                              timeout=PATIENCE, check=True)
        return json.loads(done.stdout)["muxd_%s_total" % name]["value"]

    def only_results(self, muxd, control, send):
        """send(stream) is a worker of muxd: all that it says that is no result is refused, in words."""
        orders = [("muxd.control", dict(v=1, do="stop")), ("muxd.control", dict(v=1, state="done", id="5f", draining=True)),
                  ("muxd.job", dict(v=1, job="j", command=["true"])), ("muxd.want", dict(v=1, slots=1, draining=True)),
                  ("muxd.writer", {})]
        said = b"".join(packet(file_name=file, file_bytes=json.dumps(content).encode(), route_code=route, eof=True)
                        for file, content in orders for route in (None, "0"))
        send(packet(test_id="t", test_status="inprogress") + said + packet(test_id="t", test_status="success"))
        self.until(lambda: RESULTS[1] in self.results(muxd.stream()), "its result")
        events = python_events(muxd.stream())
        self.assertEqual(self.results(muxd.stream()), RESULTS)
        self.assertEqual({event["file_name"] for event in events}, {None})
        self.assertEqual(self.counter("orders_forged", control), 2 * len(orders))
        muxd.wait_log("which only nodes and agents may send")

    def results(self, stream):
        return [(event["test_id"], event["test_status"]) for event in python_events(stream) if event["test_id"]]

    def commands(self, driver, route):
        """Sends an order and a job to a place above which nobody is trusted: both are refused, in words."""
        driver.send(route, file_name="muxd.control", eof=True,
                    file_bytes=json.dumps(dict(v=1, do="drain", id="5f")).encode())
        driver.job(route, "j", ["true"])
        order = driver.wait(lambda events: next((answer for _, answer in driver.messages("muxd.control", events)
                                                 if answer["state"] != "news"), None), "an answer")
        for answer in (order, driver.answer("j")):
            self.assertEqual(answer["state"], "refused")
            self.assertIn("it comes over a network", answer["why"])
