#!/usr/bin/python3
"""test_mutations.py BUILD [--all | --fewest | RULE...] [--most SEEDS]

Switches one rule of the reliable protocol off (mutations.py), builds nothing but the simulator with
that, and lets it play trees until it fails. A mutation that no seed sees fails the test, as does
one whose seeds play for longer than PATIENCE_SECONDS: that shows nothing. A run
without rules takes every EVERY-th, and which ones changes with the commit. With --fewest the
simulator has to find the fewest faults with which a mutation fails, and fails with them again.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import zlib

from mutations import MUTATIONS

EVERY = 8
FEWEST_OF = "10"  # it fails soon
PATIENCE_SECONDS = 300


class Build:
    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "compile_commands.json")) as file:
            self.commands = json.load(file)
        link = subprocess.run(["ninja", "-C", folder, "-t", "commands", "tests/sim/simulate"], check=True,
                              capture_output=True, text=True).stdout.splitlines()[-1]
        self.link = shlex.split(link)

    def entry(self, source):
        """How this file is compiled: for the simulator, where there are two."""
        found = [entry for entry in self.commands
                 if os.path.realpath(os.path.join(entry["directory"], entry["file"])).endswith("/" + source)]
        return next((entry for entry in found if entry["output"].startswith("tests/sim/")), found[0])

    def source(self, entry):
        return os.path.realpath(os.path.join(entry["directory"], entry["file"]))

    def compile(self, entry, source, target):
        command = shlex.split(entry["command"])
        command[command.index(entry["file"])] = source
        command[command.index("-o") + 1] = target
        command[command.index("-MF") + 1] = target + ".d"
        subprocess.run([*command, "-w"], cwd=self.folder, check=True)   # what a rule needed is unused now

    def simulate(self, entry, target, program):
        """The mutated object stands in front of the archive that has the sound one."""
        command = list(self.link)
        command[command.index("-o") + 1] = program
        if entry["output"] in command:
            command[command.index(entry["output"])] = target
        else:
            first = next(i for i, word in enumerate(command) if word.endswith(".o"))
            command.insert(first, target)
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)


def mutate(text, mutation):
    for old, new in mutation.changes:
        if text.count(old) != 1:
            sys.exit(f"rule {mutation.rule}: {mutation.file} has {text.count(old)} times: {old}")
        text = text.replace(old, new)
    return text


class TooLong(Exception):
    pass


def fails(program, kind, first, count):
    """What it says, or None."""
    try:
        run = subprocess.run([program, kind, str(first), str(count)], capture_output=True, text=True,
                             timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise TooLong(f"{count} seeds from {first} on took over {PATIENCE_SECONDS} s") from None
    return run.stderr.strip() if run.returncode else None


def seen(program, mutation, most):
    for seed in mutation.seeds:
        said = fails(program, mutation.kind, seed, 1)
        if said:
            return said
    return fails(program, mutation.kind, 1, most)


def try_to_see(program, mutation, most):
    """What is said of it, and whether it was seen."""
    try:
        said = seen(program, mutation, most)
    except TooLong as why:
        return f"not seen: {why}", False
    return said or "not seen", said is not None


def make(build, mutation, folder):
    """The simulator with this rule off."""
    entry = build.entry(mutation.file)
    source = os.path.join(folder, os.path.basename(mutation.file))
    with open(build.source(entry)) as file:
        text = mutate(file.read(), mutation)
    with open(source, "w") as file:
        file.write(text)
    build.compile(entry, source, source + ".o")
    program = os.path.join(folder, "simulate")
    build.simulate(entry, source + ".o", program)
    return program


def find_fewest(build, most):
    mutation = next(mutation for mutation in MUTATIONS if mutation.rule == FEWEST_OF)
    with tempfile.TemporaryDirectory() as folder:
        program = make(build, mutation, folder)
        seed = re.search(r"SIM_SEED=(\d+)", seen(program, mutation, most)).group(1)
        run = subprocess.run([program, "-s", "-t", seed], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        found = re.search(r"of its (\d+) faults, .* --faults (\S+)$", run.stderr, re.MULTILINE)
        if run.returncode == 0 or not found:
            sys.exit("no fewest faults are named: " + run.stderr)
        print(found.group(0))
        faults = found.group(2).strip('"')
        if subprocess.run([program, "-t", "--faults", faults, seed], stderr=subprocess.DEVNULL).returncode == 0:
            sys.exit("it does not fail with these")


def chosen(rules, is_all, build):
    if rules:
        return [mutation for mutation in MUTATIONS if mutation.rule in rules]
    if is_all:
        return MUTATIONS
    source = build.source(build.entry("tests/sim/simulate.c"))
    commit = subprocess.run(["git", "-C", os.path.dirname(source), "rev-parse", "HEAD"],
                            capture_output=True, text=True).stdout
    return MUTATIONS[zlib.crc32(commit.encode()) % EVERY::EVERY]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("rules", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--fewest", action="store_true")
    parser.add_argument("--most", type=int, default=2000)
    options = parser.parse_args()
    build = Build(options.build)
    if options.fewest:
        find_fewest(build, options.most)
        return
    survivors = []
    for mutation in chosen(options.rules, options.all, build):
        with tempfile.TemporaryDirectory() as folder:
            said, is_seen = try_to_see(make(build, mutation, folder), mutation, options.most)
        lines = said.splitlines()
        what = next((line for line in lines if line.startswith("seed ")), lines[0])
        seed = re.search(r"SIM_SEED=(\d+)", said)
        print(f"{mutation.rule}\t{mutation.what}\t{seed.group(1) if seed else '-'}\t{what[:150]}", flush=True)
        if not is_seen:
            survivors.append(mutation.rule)
    if survivors:
        sys.exit("no seed sees that these rules are off: " + ", ".join(survivors))


if __name__ == "__main__":
    main()
