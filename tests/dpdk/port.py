"""
The rig of the DPDK transport's tests: a muxd on a port that the kernel does not handle. tests/dpdk/run
made the cable: dv0 is the port and has no address, dv1 is the kernel's end.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import *

FAR, NEAR = "dv1", "dv0"
FAR4, FAR6, PORT4, PORT6 = "10.9.0.2", "fd09::2", "10.9.0.1", "fd09::1"
TCP_PORT = 7533
SPEC = "net_af_packet0,iface=%s,ip=%s/24,ip=%s/64" % (NEAR, PORT4, PORT6)
LISTEN = "dpdk:%s:%d" % (SPEC, TCP_PORT)
WORKERS_AT = "%s:%d" % (PORT4, TCP_PORT)
WORKERS_AT6 = "[%s]:%d" % (PORT6, TCP_PORT)


def upstream_endpoint(port):
    """The endpoint of a listener at the kernel's end, reached through the port."""
    return "dpdk:%s,to=%s:%d" % (SPEC, FAR4, port)


def ip(*argv):
    return subprocess.run(["ip", *argv], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def cpu_seconds(pid):
    return time.clock_gettime(~pid << 3 | 2)  # the process's own clock, CPUCLOCK_SCHED


class PortCase(Case):
    def port(self, *options, listen=(LISTEN,), **keywords):
        """A muxd with workers on the port, which has two addresses."""
        muxd = Case.muxd(self, *options, listen=listen, **keywords)
        while len(muxd.addresses) < sum(max(1, endpoint.count("ip=")) for endpoint in listen):
            muxd.addresses.append(muxd.wait_log(r"^listening on (.*)$")[1])
        muxd.addresses = [address.removeprefix("dpdk:") for address in muxd.addresses]
        return muxd

    def gathers(self, *options):
        """The second of two muxds, which gets the first one's stream over the kernel's TCP."""
        return self.muxd(*options, listen=("%s:0" % FAR4,))

    def same_by_worker(self, stream, sent, prefix=""):
        """Asserts that the stream has each worker's events, read by python-subunit."""
        links = by_segment(python_events(stream))
        if prefix:
            self.assertEqual(sorted(links), [prefix])
            links = by_segment(links[prefix])
        wanted = {events[0]["test_id"]: events for events in map(python_events, sent)}
        self.assertEqual(len(links), len(wanted))
        for events in links.values():
            take_failed(events)
            self.same(events, wanted.pop(events[0]["test_id"]), events[0]["test_id"])


def worker_stream(name, rng, packets=20, output_most=30000):
    """A worker's stream; its first test has the worker's name."""
    events = [dict(test_id=name)]
    for k in range(packets):
        output = rng.random() < 0.3
        events.append(dict(test_id="%s.t%d" % (name, k // 2), test_status="success" if k % 2 else "inprogress",
                           file_name="log" if output else None,
                           file_bytes=rng.randbytes(rng.choice((10, 1000, output_most))) if output else None))
    return b"".join(packet(**event) for event in events)
