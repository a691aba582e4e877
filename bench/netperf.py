"""The link's limit without us: netperf (or iperf3 where that is missing) on the same link."""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile

import measure
from links import Failed, read

PORT = 7601
SEND_BYTES = 65536
LISTEN_ARGUMENTS = {"netserver": ["-D", "-f", "-4", "-p", str(PORT)], "iperf3": ["-s", "-p", str(PORT)]}


def run(argv, **more):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=300, **more)


def with_non_free(text):
    """A sources file with the component non-free beside main, in either of apt's two forms."""
    text = re.sub(r"^(Components:.*)$", r"\1 non-free", text, flags=re.MULTILINE)
    return re.sub(r"^(deb\s.*\smain\b.*)$", r"\1 non-free", text, flags=re.MULTILINE)


def install(build):
    """
    netperf is in Debian's non-free. It is unpacked into the build directory, with private copies of the
    system's sources to which non-free is added; the system's stay as they are.
    """
    with tempfile.TemporaryDirectory() as private:
        os.chmod(private, 0o755)
        os.makedirs(f"{private}/lists/partial")
        os.makedirs(f"{private}/parts")
        for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*")]:
            if path.endswith((".list", ".sources")):
                with open(f"{private}/parts/{os.path.basename(path)}", "w") as file:
                    file.write(with_non_free(read(path)) + "\n")
        options = ["-qq", "-o", "Dir::Etc::SourceList=/dev/null", "-o",
                   f"Dir::Etc::SourceParts={private}/parts", "-o", f"Dir::State::Lists={private}/lists",
                   "-o", "APT::Sandbox::User=root"]
        run(["apt-get", *options, "update"])
        run(["apt-get", *options, "download", "netperf", "libsctp1"], cwd=private)
        for package in glob.glob(f"{private}/*.deb"):
            run(["dpkg", "-x", package, os.path.join(build, "netperf")])


def program(build, name):
    """`name` from the build directory or the system, with its environment; None: missing."""
    own = f"{build}/netperf/usr/bin/{name}"
    if os.path.exists(own):
        libraries = f"{build}/netperf/usr/lib/{os.uname().machine}-linux-gnu"
        return ["env", f"LD_LIBRARY_PATH={libraries}", own]
    found = shutil.which(name)
    return [found] if found else None


def found(build):
    """The name of the one that is available."""
    if program(build, "netserver") and program(build, "netperf"):
        return "netperf"
    return "iperf3" if program(build, "iperf3") else None


def served(build, link, name, client):
    """(what the client printed, CPU seconds of the server)"""
    relay_cpu, load_cpu = measure.cpus()
    server = link.on_hub(program(build, name) + LISTEN_ARGUMENTS[name], relay_cpu)
    try:
        measure.wait_until_listening(server, PORT)
        before = server.cpu_seconds()
        process = link.on_farm(client, load_cpu)
        lines = []
        while (line := process.line(or_end=True)) is not None:
            lines.append(line)
        process.stop()
        server.stop()
        return lines, server.usage.ru_utime + server.usage.ru_stime - before
    finally:
        server.stop()


def netperf(build, link, test, seconds, wanted):
    client = [*program(build, "netperf"), "-H", link.hub_address, "-4", "-p", str(PORT), "-l",
              str(round(seconds)), "-j", "-P", "0", "-t", test, "--", "-k", wanted]
    if test == "TCP_STREAM":
        client += ["-m", str(SEND_BYTES)]
    lines, cpu = served(build, link, "netserver", client)
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    if not set(wanted.split(",")) <= values.keys():
        raise Failed(f"netperf {test}: {' '.join(lines)}")
    return {key: float(value) for key, value in values.items() if key in wanted.split(",")}, cpu


def stream_row(bits_per_s, seconds, cpu):
    packets = bits_per_s / 8 / SEND_BYTES
    return {"packets_per_s": packets, "goodput_bits_per_s": bits_per_s,
            "cpu_ns_per_packet": cpu / seconds / packets * 1e9,
            "cpu_ns_per_byte": cpu / seconds / bits_per_s * 8e9}


def stream(build, link, seconds):
    """A row: one connection, as fast as possible; the CPU is the receiver's."""
    seconds = max(1, round(seconds))
    if found(build) == "netperf":
        values, cpu = netperf(build, link, "TCP_STREAM", seconds, "THROUGHPUT,ELAPSED_TIME")
        return stream_row(values["THROUGHPUT"] * 1e6, values["ELAPSED_TIME"], cpu)
    client = ["iperf3", "-c", link.hub_address, "-p", str(PORT), "-t", str(seconds), "-J", "-l",
              str(SEND_BYTES)]
    lines, cpu = served(build, link, "iperf3", client)
    end = json.loads("\n".join(lines))["end"]["sum_received"]
    return stream_row(end["bits_per_second"], end["seconds"], cpu)


def round_trips(build, link, seconds):
    """A row: one byte there and back, repeatedly."""
    wanted = "TRANSACTION_RATE,P50_LATENCY,P99_LATENCY"
    values, cpu = netperf(build, link, "TCP_RR", max(1, round(seconds)), wanted)
    rate = values["TRANSACTION_RATE"]
    return {"packets_per_s": rate, "goodput_bits_per_s": rate * 8,
            "cpu_ns_per_packet": cpu / max(1, round(seconds)) / rate * 1e9,
            "p50_us": values["P50_LATENCY"], "p99_us": values["P99_LATENCY"]}
