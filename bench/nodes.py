"""Muxds of a tree, for bench/leaves and bench/durable."""
import json
import time

from links import Failed

PATIENCE = 55  # seconds for what takes few
PAUSE = 0.005


def until(reached, what, patience=PATIENCE):
    """Waits until reached() is true."""
    latest = time.monotonic() + patience
    while not reached():
        if time.monotonic() > latest:
            raise Failed(f"{what}: not in {patience} s")
        time.sleep(PAUSE)


def start(run, cpu, build, place, *upstreams, connects=True, **options):
    """
    A muxd by link.on_hub or on_farm, which listens; connects: it is returned when a node above has accepted it. Options
    with '_' for '-'.
    """
    argv = [f"{build}/tools/muxd/muxd", "--listen", place]
    for upstream in upstreams:
        argv += ["--upstream", upstream]
    for name, value in options.items():
        argv += ["--" + name.replace("_", "-"), str(value)]
    node = run(argv, cpu)
    words = ["listening on"] + ["upstream is"] * (connects and upstreams[0].startswith("mux:"))
    until(lambda: node.wait(0) or all(word in node.said() for word in words), f"{place} is ready")
    if node.usage:
        raise Failed(f"{place}: {node.said()}")
    return node


def counters(path):
    with open(path) as file:
        return {name: row["value"] for name, row in json.load(file).items() if "value" in row}
