"""Instructions per packet in memory, counted by callgrind: the same in every run, also on a noisy machine."""
import re
import shutil
import subprocess

ROWS = {"forward": "run_forward", "mux": "run_mux", "patch": "run_patch"}  # functions of bench/core/core.c
NOISE = 0.01


def found():
    return bool(shutil.which("valgrind"))


def count(path):
    """The count of each row of bench_core, over all its streams."""
    figures = {}
    for name, function in ROWS.items():
        done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                               f"--toggle-collect={function}", f"{path}/bench/core/bench_core", "1"],
                              capture_output=True, text=True, timeout=300, check=True)
        collected = re.search(r"Collected : (\d+)", done.stderr)
        packets = re.search(r"(\d+) packets through each row", done.stdout)
        figures[name] = int(collected[1]) / int(packets[1])
    return figures


def compare(old, new):
    for name in sorted(old.keys() & new.keys()):
        change = new[name] / old[name] - 1
        yield (f"instructions a packet, {name}", f"{old[name]:.0f}", f"{new[name]:.0f}",
               f"{change:+.1%}" + ("" if abs(change) > NOISE else " (within the noise)"))
