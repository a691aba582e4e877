"""usage: vmlinux.py VMLINUZ OUT: the ELF kernel in a compressed one, so that no emulated CPU has to unpack it."""
import subprocess
import sys

UNPACK = {b"\xfd7zXZ\0": ["xz", "-dc"], b"\x28\xb5\x2f\xfd": ["zstd", "-dc"], b"\x1f\x8b\x08": ["gzip", "-dc"]}


def unpacked(image):
    """Unpacks. Bytes after the compressed kernel make unpackers complain: only their output counts."""
    for magic, command in UNPACK.items():
        at = image.find(magic)
        while at >= 0:
            done = subprocess.run(command, input=image[at:], capture_output=True)
            if done.stdout.startswith(b"\x7fELF"):
                return done.stdout
            at = image.find(magic, at + 1)
    sys.exit(f"{sys.argv[1]}: no compressed ELF kernel found")


with open(sys.argv[1], "rb") as source:
    kernel = unpacked(source.read())
with open(sys.argv[2], "wb") as target:
    target.write(kernel)
