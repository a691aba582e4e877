#!/usr/bin/python3
"""Writes the tables of crc.c, constants that are too long to write down, to stdout."""
POLYNOMIAL = 0xEDB88320  # reflected
ONE = 0x80000000  # x^0, reflected: the highest bit
POWERS = 2048  # as crc.c divides by it; test_crc.c looks at all


def times_x(a):
    return a >> 1 ^ (POLYNOMIAL if a & 1 else 0)


def divided_by_x(a):
    return ((a ^ POLYNOMIAL) << 1 | 1 if a & ONE else a << 1) & 0xFFFFFFFF


def multiply(a, b):
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = times_x(b)
    return product


def byte_steps(step, a):
    for _ in range(8):
        a = step(a)
    return a


def crcs():
    """The CRC of each byte, then of each followed by one zero byte, by two, by three."""
    first = [byte_steps(times_x, byte) for byte in range(256)]
    tables = [first]
    for _ in range(3):
        tables.append([crc >> 8 ^ first[crc & 0xFF] for crc in tables[-1]])
    return tables


def powers(step):
    """x^(8n) for n below POWERS, and x^(8 * POWERS * n); with the other step, of 1 / x."""
    low, high = [ONE], [ONE]
    for _ in range(POWERS):
        low.append(byte_steps(step, low[-1]))
    stride = low.pop()
    while len(high) < POWERS:
        high.append(multiply(high[-1], stride))
    return low, high


def array(words):
    return "{%s}" % ",".join("0x%08X" % word for word in words)


print("static const uint32_t tables[4][256] = {%s};" % ",".join(map(array, crcs())))
for name, step in (("forward", times_x), ("inverse", divided_by_x)):
    print("static const struct powers %s = {%s};" % (name, ",".join(map(array, powers(step)))))
