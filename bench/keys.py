#!/usr/bin/python3
"""
usage: bench/keys.py [--rate PACKETS/S] [--presses N] BUILD_DIR

How long a key press takes to a worker's stdin and back: from mux attach on a terminal, through two
nodes, to a program with a terminal under mux exec, which answers each key; first alone, then while
packets of 100 bytes go up through the same nodes, 50 in a write (5000 bytes, one of 16 workers after the
other). Beside it, in turn, the same program on a terminal of its own: with nothing between, and with four
cat(1) each way, as many programs as there are with mux: what the machine itself takes to wake them.
"""
import argparse
import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import termios
import time
import tty

PATIENCE = 60  # seconds for what takes none
PAUSE = 0.005  # seconds between an answer and the next key
WORKERS = 16
WRITE = 50  # packets; bench-load's rate is in writes
LOAD_LASTS = 3600  # seconds: it is ended when the last key is answered
CATS = 4  # mux attach, two nodes, mux exec
ECHO = ("import os, tty; os.isatty(0) and tty.setraw(0); os.write(1, b'ready\\n')\n"
        "while True: os.write(1, os.read(0, 1).upper())\n")


class Bench:
    def __init__(self, build, rate, presses):
        self.build, self.rate, self.presses = build, rate, presses
        self.folder = tempfile.TemporaryDirectory()
        self.running = []
        self.control = self.place("control")
        self.top = self.place("top")
        self.leaf = self.place("leaf")

    def place(self, name):
        return f"unix:{self.folder.name}/{name}"

    def start(self, program, *argv, **keywords):
        process = subprocess.Popen([f"{self.build}/{program}", *argv], **keywords)
        self.running.append(process)
        return process

    def node(self, *argv):
        node = self.start("tools/muxd/muxd", *argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
        for line in node.stderr:
            if line.startswith("listening on "):
                return line.split()[2]
        sys.exit("a muxd did not start")

    def terminal(self, *argv):
        """A program of mux on a terminal; returns our side of it."""
        ours, its = pty.openpty()
        termios.tcsetwinsize(its, (24, 80))
        self.start("tools/mux/mux", *argv, stdin=its, stdout=its,
                   start_new_session=True)
        os.close(its)
        return ours

    def route(self):
        """Of the only worker that mux tail shows to be ready."""
        tail = self.start("tools/mux/mux", "tail", "--last", "4K", self.control, stdout=subprocess.PIPE, text=True)
        for line in tail.stdout:
            if "ready" in line:
                tail.kill()
                return line.split()[0].rstrip(":")
        sys.exit("the program that answers keys did not start")

    def direct(self):
        """The program on a terminal of its own; returns our side of it."""
        ours, its = pty.openpty()
        self.running.append(subprocess.Popen(["/usr/bin/python3", "-c", ECHO], stdin=its, stdout=its))
        os.close(its)
        wait_for(ours, b"ready")
        return ours

    def cats(self):
        """The program behind other programs that do nothing; returns our side of the terminal."""
        ours, its = pty.openpty()
        tty.setraw(its)
        source = its
        for i in range(2 * CATS + 1):
            command = ["/usr/bin/python3", "-c", ECHO] if i == CATS else ["cat"]
            process = subprocess.Popen(command, stdin=source, stdout=its if i == 2 * CATS else subprocess.PIPE)
            self.running.append(process)
            if source != its:
                source.close()
            source = process.stdout
        os.close(its)
        wait_for(ours, b"ready")
        return ours

    def run(self):
        self.node("--listen", self.top, "--control", self.control)
        port = self.node("--listen", "127.0.0.1:0", "--listen", self.leaf, "--upstream", "mux:" + self.top)
        self.start("tools/mux/mux", "exec", "--pty", "--allow-empty", "--to", "mux:" + self.leaf, "--",
                   "/usr/bin/python3", "-c", ECHO, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        keys = self.terminal("attach", self.control, self.route())
        wait_for(keys, b"")
        ways = {"two nodes": keys, "cats": self.cats(), "direct": self.direct()}
        self.measure(ways, "alone")
        load = self.load(port)
        self.measure(ways, f"{self.rate} packets/s go up")
        if load.poll() is not None:
            sys.exit("the load ended before the keys")

    def load(self, port):
        load = self.start("bench/bench-load", "--connect", port, "--workers", str(WORKERS), "--bytes", "100",
                          "--write", str(WRITE), "--rate", str(self.rate // WRITE), "--seconds", str(LOAD_LASTS),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        load.stdout.readline()
        load.stdin.write(b"go\n")
        load.stdin.flush()
        time.sleep(0.5)
        return load

    def measure(self, ways, when):
        taken = {how: [] for how in ways}
        for i in range(self.presses):
            for how, terminal in ways.items():
                taken[how].append(self.press(terminal, b"abcdefgh"[i % 8:i % 8 + 1]))
        for how, seconds in taken.items():
            milliseconds = sorted(second * 1e3 for second in seconds)
            print(f"{when}, {how}: p50 {statistics.median(milliseconds):.2f} ms, "
                  f"p99 {milliseconds[self.presses * 99 // 100]:.2f} ms, most {milliseconds[-1]:.2f} ms", flush=True)

    def press(self, keys, key):
        time.sleep(PAUSE)
        begin = time.monotonic()
        os.write(keys, key)
        wait_for(keys, key.upper())
        return time.monotonic() - begin

    def close(self):
        for process in reversed(self.running):
            process.kill()
            process.wait()
        self.folder.cleanup()


def wait_for(keys, words):
    """Reads what the terminal shows, up to these words; b"": to a fifth of a second of silence."""
    shown = b""
    while not words or words not in shown:
        if not select.select([keys], [], [], PATIENCE if words else 0.2)[0]:
            if not words:
                return
            sys.exit(f"no answer to {words} in {PATIENCE} s")
        shown += os.read(keys, 65536)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rate", type=int, default=200000)
    parser.add_argument("--presses", type=int, default=1000)
    arguments = parser.parse_args()
    bench = Bench(os.path.abspath(arguments.build), arguments.rate, arguments.presses)
    try:
        bench.run()
    finally:
        bench.close()


if __name__ == "__main__":
    main()
