#!/usr/bin/python3
"""
usage: bench/start.py [--rounds N] BUILD_DIR

What mux exec adds to a command: until the command's main(), and until all has ended. Beside it, in turn:
the command alone, under env(1), which is replaced by it, and under the least that could do some of the work
of mux exec: a C program of 20 lines that forks and copies two pipes (also linked statically), and
mux --version, which shows what loading mux takes.
"""
import argparse
import os
import statistics
import subprocess
import tempfile
import time

COMMAND = r"""
#include <stdio.h>
#include <time.h>
int main(int count, char **arguments) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    FILE *file = count > 1 ? fopen(arguments[1], "w") : NULL;
    return !file || fprintf(file, "%ld%09ld", (long)now.tv_sec, now.tv_nsec) < 0 || fclose(file);
}
"""

SUPERVISOR = r"""
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **arguments) {
    int out[2], err[2], status = 0, open = 2;
    static char bytes[65536];
    if (count < 2 || pipe(out) || pipe(err))
        return 125;
    pid_t pid = fork();
    if (!pid) {
        dup2(out[1], 1), dup2(err[1], 2);
        close(out[0]), close(out[1]), close(err[0]), close(err[1]);
        execvp(arguments[1], arguments + 1);
        _exit(127);
    }
    close(out[1]), close(err[1]);
    struct pollfd ends[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
    while (open && poll(ends, 2, -1) > 0)
        for (int i = 0; i < 2; i++) {
            ssize_t len = ends[i].revents ? read(ends[i].fd, bytes, sizeof bytes) : -1;
            if (ends[i].revents && len <= 0)
                ends[i].fd = -1, open--;
            else if (len > 0 && write(1 + i, bytes, (size_t)len) < 0)
                return 125;
        }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}
"""


def compiled(folder, name, code, *options):
    path = os.path.join(folder, name)
    subprocess.run(["cc", "-O2", "-o", path, "-x", "c", "-", *options], input=code.encode(), check=True)
    return path


def ms_of(command, report):
    """Until main() of what reports it (None: nothing does), and until the end."""
    begin = time.monotonic_ns()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    end = time.monotonic_ns()
    if not os.path.exists(report):
        return None, (end - begin) / 1e6
    with open(report) as file:
        main = int(file.read())
    os.unlink(report)
    return (main - begin) / 1e6, (end - begin) / 1e6


def line(name, times, alone):
    cells = []
    for mine, other in zip(zip(*times), zip(*alone)):
        quartiles = None if mine[0] is None else statistics.quantiles(mine, n=4)
        cells += ["", ""] if not quartiles else ["%.2f (%.2f to %.2f)" % (quartiles[1], quartiles[0], quartiles[2]),
                                                "%+.2f" % (quartiles[1] - statistics.median(other))]
    return "| %s | %s |" % (name, " | ".join(cells))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("build")
    options = parser.parse_args()
    mux = os.path.join(options.build, "tools/mux/mux")
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report")
        command = [compiled(folder, "command", COMMAND), report]
        contestants = {
            "the command alone": command,
            "env": ["env", *command],
            "supervisor": [compiled(folder, "supervisor", SUPERVISOR), *command],
            "supervisor, static": [compiled(folder, "static", SUPERVISOR, "-static"), *command],
            "mux --version": [mux, "--version"],
            "mux exec": [mux, "exec", "--allow-empty", "--", *command],
        }
        times = {name: [] for name in contestants}
        for _ in range(options.rounds):
            for name, arguments in contestants.items():
                times[name].append(ms_of(arguments, report))
    print("| ms: median (quartiles) | to main() | added | to the end | added |\n|---|---:|---:|---:|---:|")
    for name in contestants:
        print(line(name, times[name], times["the command alone"]))


if __name__ == "__main__":
    main()
