"""Runs of one contestant on one cell of work, and their summary."""
import dataclasses
import json
import os
import statistics
import tempfile
import time

import contestants
from links import Failed, cpus, read

MIX = 0
SLOW_PACKETS = 40000  # for a contestant that needs some 20 us for each
SLOW_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Cell:
    """The work. bytes 0: the realistic mix; write_bytes 0: one packet per write."""

    bytes: int
    workers: int
    write_bytes: int = 0
    rate: int = 0  # packets a second of all workers; 0: as fast as possible

    def packets_a_write(self):
        return max(1, self.write_bytes // (self.bytes or 150))

    def __str__(self):
        size = "mix" if self.bytes == MIX else f"{self.bytes} B"
        write = f"{self.write_bytes} B writes" if self.write_bytes else "1 a write"
        return f"{size} x {self.workers}, {write}" + (f", {self.rate}/s" if self.rate else "")


def listens(pid, port):
    for table in ("tcp", "tcp6"):
        for line in read(f"/proc/{pid}/net/{table}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                return True
    return False


def wait_until_listening(relay, port):
    for _ in range(2000):
        if listens(relay.pid, port):
            return
        if relay.wait(0):
            break
        time.sleep(0.005)
    raise Failed(f"{relay.name} does not listen: {relay.said()}")


def wait_for_children(relay):
    """A relay's processes for each worker end by themselves; only then their CPU time counts."""
    for _ in range(400):
        if not read(f"/proc/{relay.pid}/task/{relay.pid}/children"):
            return
        time.sleep(0.005)
    raise Failed(f"{relay.name}: its processes did not end after the load")


class Run:
    """One run: sink, relay and load, started in the order in which they connect."""

    def __init__(self, build, link, contestant, cell, seconds):
        self.build, self.link, self.contestant, self.cell = build, link, contestant, cell
        self.seconds = seconds
        self.relay_cpu, self.load_cpu = cpus()
        self.started = []
        self.direct = isinstance(contestant, contestants.Direct)
        self.sink_cpu = self.relay_cpu if self.direct and not contestant.one_core else self.load_cpu

    def _started(self, program):
        self.started.append(program)
        return program

    def _work(self):
        return ["--bytes", str(self.cell.bytes), "--workers", str(self.cell.workers),
                "--framing", self.contestant.framing]

    def _sink(self):
        place = ["--listen", str(contestants.SINK_PORT)]
        if self.contestant.sink_connects:
            place = ["--connect", f"{self.link.hub_address}:{contestants.LISTEN_PORT}"]
        argv = [f"{self.build}/bench/bench-sink", *place, *self._work()]
        timed = self.cell.rate and self.contestant.framing in ("subunit", "stream")
        start = self.link.on_hub if self.direct else self.link.on_farm
        sink = self._started(start(argv + ["--timed"] * timed, self.sink_cpu))
        sink.line()
        if timed:
            sink.go_first()
        return sink

    def _relay(self, scratch):
        argv = self.contestant.command(self.build, self.link, self.cell, scratch)
        relay = self._started(self.link.on_hub(argv, self.relay_cpu))
        if self.cell.rate:
            relay.go_first()
        wait_until_listening(relay, contestants.LISTEN_PORT)
        return relay

    def _load(self):
        port = contestants.SINK_PORT if self.direct else contestants.LISTEN_PORT
        argv = [f"{self.build}/bench/bench-load", "--connect", f"{self.link.hub_address}:{port}",
                "--write", str(self.cell.packets_a_write()), "--seconds", str(self.seconds),
                "--rate", str(self.cell.rate), *self._work()]
        if self.contestant.slow:
            most = min(SLOW_PACKETS, SLOW_BYTES // (self.cell.bytes or 150))
            argv += ["--packets", str(max(2, most // self.cell.workers))]
        load = self._started(self.link.on_farm(argv, self.load_cpu))
        load.line()
        return load

    def _figures(self, scratch):
        late = self.contestant.sink_connects
        sink = None if late else self._sink()
        relay = sink if self.direct else self._relay(scratch)
        sink = sink or self._sink()
        load = self._load()
        before = relay.cpu_seconds()
        load.go()
        sent = json.loads(load.line())
        done = json.loads(sink.line())
        if not self.direct:
            wait_for_children(relay)
            relay.stop()
        if sink.line() != "closed":
            raise Failed("the sink did not end")
        relay.stop()
        return self._row(sent, done, relay.usage, before)

    def _row(self, sent, done, usage, before):
        if self.contestant.framing == "bytes":
            done["packets"] = sent["packets"] if done["bytes"] == sent["bytes"] else -1
        if done["packets"] != sent["packets"]:
            raise Failed(f"sent {sent}, arrived {done}")
        packets, seconds = done["packets"], done["seconds"]
        total = usage.ru_utime + usage.ru_stime
        cpu = (total - before) / packets * 1e9
        row = {"packets": packets, "seconds": seconds, "packets_per_s": packets / seconds,
               "goodput_bits_per_s": done["bytes"] * 8 / seconds,
               "cpu_user_ns_per_packet": cpu * usage.ru_utime / total,
               "cpu_system_ns_per_packet": cpu * usage.ru_stime / total, "cpu_ns_per_packet": cpu,
               "cpu_ns_per_byte": cpu * packets / done["bytes"]}
        if done["p99_us"]:
            row |= {"p50_us": done["p50_us"], "p99_us": done["p99_us"]}
        return row

    def __call__(self):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                return self._figures(scratch)
            finally:
                for program in reversed(self.started):
                    program.stop()


def summarize(samples):
    """Medians, ranges, and the figures of each round, for ratios within a round."""
    keys = [key for key in samples[0] if key != "round" and all(key in sample for sample in samples)]
    row = {key: statistics.median(sample[key] for sample in samples) for key in keys}
    row["range"] = {key: [min(sample[key] for sample in samples), max(sample[key] for sample in samples)]
                    for key in keys}
    row["rounds"] = len(samples)
    row["samples"] = samples
    return row


def stack_results(link, cells, samples, table):
    """The results that bench/rdma and bench/dpdk give bench/run; samples: {work: {contestant: its samples}}."""
    rows = [{"link": link, "contestant": who, "packet_bytes": cells[work].bytes, "workers": cells[work].workers,
             "write_bytes": cells[work].write_bytes, "rate": 0, **summarize(taken)}
            for work, rows_of in samples.items() for who, taken in rows_of.items()]
    return {"rows": rows, "table": table}
