#!/usr/bin/env python3
"""The fuzzers' corpora: one .tar.xz each in corpora/, small and minimised; and in regressions/ the
inputs NAME-SUBJECT that once failed, which no merge drops.

usage: corpus.py replay NAME PROGRAM         every input once (any build)
       corpus.py fuzz SECONDS DIR [NAME...]  fuzzes; DIR has programs built with -Dfuzz=true
       corpus.py merge DIR NAME INPUTS...    puts files or directories of inputs into the corpus, minimised

To build for fuzz and merge:
    CC=clang meson setup build/fuzz -Dfuzz=true -Dc_args=-fsanitize=fuzzer-no-link \\
        -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=2
    ninja -C build/fuzz fuzzers
An input that fails is left in DIR/findings/NAME; the fix adds it to regressions/.
"""
import concurrent.futures
import glob
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CORPORA = os.path.join(HERE, 'corpora')
JOBS = 2                # fuzzers at a time
INPUT_MAX_BYTES = 2048  # long enough for a few packets, short enough to be fast
SLOW_SECONDS = 10       # an input that takes longer is a finding
MEMORY_MB = 2048
REPLAY_SECONDS = 100
SPARE_SECONDS = 600     # for the start and end of a fuzzer, beside the time of fuzzing
ENVIRONMENT = {**os.environ, 'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}


def corpus(name):
    return os.path.join(CORPORA, name + '.tar.xz')


def unpack(tar, directory):
    """Unpacks plain files only, without their folders."""
    paths = []
    with tarfile.open(tar, 'r:xz') as archive:
        for member in archive:
            path = os.path.join(directory, os.path.basename(member.name))
            with open(path, 'wb') as file:
                file.write(archive.extractfile(member).read())
            paths.append(path)
    return paths


def collect(name, directory):
    """Writes the corpus and the regressions into the directory; returns their paths."""
    paths = unpack(corpus(name), directory)
    for path in glob.glob(os.path.join(HERE, 'regressions', name + '-*')):
        paths.append(shutil.copy(path, directory))
    return paths


def pack(directory, tar):
    """Packs reproducibly: the same inputs give the same archive."""
    with tarfile.open(tar, 'w:xz', preset=9) as archive:
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), 'rb') as file:
                content = file.read()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def replay(name, program):
    with tempfile.TemporaryDirectory() as directory:
        paths = sorted(collect(name, directory))
        print(len(paths), 'inputs', flush=True)
        result = subprocess.run([program, *paths], timeout=REPLAY_SECONDS, env=ENVIRONMENT,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode:
            sys.stdout.write(result.stdout.decode(errors='replace')[-8000:])
        return result.returncode == 0 and len(paths) > 0


def findings_of(directory, name):
    findings = os.path.join(directory, 'findings', name)
    os.makedirs(findings, exist_ok=True)
    return findings


def libfuzzer(directory, name, *arguments):
    return [os.path.join(directory, 'tests/fuzz/fuzz_' + name), '-max_len=%d' % INPUT_MAX_BYTES,
            '-timeout=%d' % SLOW_SECONDS, '-rss_limit_mb=%d' % MEMORY_MB,
            '-artifact_prefix=' + findings_of(directory, name) + '/', *arguments]


def fuzz_one(seconds, directory, name):
    """Fuzzes from the corpus; True without findings."""
    with tempfile.TemporaryDirectory() as inputs:
        collect(name, inputs)
        command = libfuzzer(directory, name, '-max_total_time=%d' % seconds,
                            '-print_final_stats=1', inputs)
        result = subprocess.run(command, timeout=seconds + SPARE_SECONDS, env=ENVIRONMENT,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = result.stdout.decode(errors='replace')
    executed = [line for line in output.splitlines() if 'number_of_executed_units' in line]
    print(name, 'FAILED' if result.returncode else 'ok', *executed, flush=True)
    if result.returncode:
        print(output[-8000:], flush=True)
    return result.returncode == 0


def names_in(directory):
    programs = glob.glob(os.path.join(directory, 'tests/fuzz/fuzz_*'))
    return sorted(os.path.basename(path)[5:] for path in programs if os.path.isfile(path))


def fuzz(seconds, directory, *names):
    names = names or names_in(directory)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        fine = list(pool.map(lambda name: fuzz_one(int(seconds), directory, name), names))
    return len(fine) > 0 and all(fine)


def gather(paths, directory):
    for path in paths:
        for file in [path] if os.path.isfile(path) else glob.glob(os.path.join(path, '*')):
            shutil.copy(file, directory)


def merge(directory, name, *paths):
    """An input that fails is not added, and makes the merge fail."""
    findings = findings_of(directory, name)
    before = set(os.listdir(findings))
    with tempfile.TemporaryDirectory() as inputs, tempfile.TemporaryDirectory() as merged:
        if os.path.exists(corpus(name)):
            unpack(corpus(name), inputs)
        gather(paths, inputs)
        command = libfuzzer(directory, name, '-set_cover_merge=1', merged, inputs)
        result = subprocess.run(command, env=ENVIRONMENT,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        found = set(os.listdir(findings)) - before
        if result.returncode or found:
            print(result.stdout.decode(errors='replace')[-8000:])
            print('\n'.join(os.path.join(findings, path) for path in found))
            return False
        os.makedirs(CORPORA, exist_ok=True)
        pack(merged, corpus(name))
        print(name, len(os.listdir(merged)), 'inputs,', os.path.getsize(corpus(name)), 'bytes')
    return True


def main():
    commands = {'replay': replay, 'fuzz': fuzz, 'merge': merge}
    if len(sys.argv) < 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    sys.exit(0 if commands[sys.argv[1]](*sys.argv[2:]) else 1)


main()
