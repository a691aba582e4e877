"""usage: forbid_io_uring.py COMMAND...  Runs it under a seccomp filter that answers EPERM to io_uring."""
import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_GREATER_EQUAL, RETURN = 0x20, 0x35, 0x06
IO_URING_SETUP, IO_URING_REGISTER = 425, 427  # with io_uring_enter between; on every architecture
EPERM = 1

program = b"".join(struct.pack("HBBI", *line) for line in [
    (LOAD_WORD, 0, 0, 0),  # seccomp_data.nr
    (JUMP_IF_GREATER_EQUAL, 0, 2, IO_URING_SETUP),
    (JUMP_IF_GREATER_EQUAL, 1, 0, IO_URING_REGISTER + 1),
    (RETURN, 0, 0, 0x00050000 | EPERM),
    (RETURN, 0, 0, 0x7FFF0000),  # allow
])
code = ctypes.create_string_buffer(program, len(program))
filter = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
        libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0):
    sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
