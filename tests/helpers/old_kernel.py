"""Runs a command as on Linux 4.18: calls that came later answer ENOSYS, and flags that came later EINVAL.

A filter is no old kernel, but what a program would do without the calls it does here. seccomp(2).
"""
import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
ALLOW, ERRNO, ENOSYS, EINVAL = 0x7FFF0000, 0x00050000, 38, 22
LOAD, JUMP_IF_GREATER_OR_EQUAL, JUMP_IF_EQUAL, JUMP_IF_SET, RETURN = 0x20, 0x35, 0x15, 0x45, 0x06
NUMBER, ARGUMENTS = 0, 16
CLONE_PIDFD, MFD_KNOWN = 0x1000, 0x7

# The first number that Linux 4.18 had not given out, and numbers of clone and memfd_create.
FIRST_NEW, CLONE, MEMFD_CREATE = {"x86_64": (335, 56, 319), "aarch64": (294, 220, 279)}[platform.machine()]

PROGRAM = [
    (LOAD, 0, 0, NUMBER),
    (JUMP_IF_GREATER_OR_EQUAL, 7, 0, FIRST_NEW),
    (JUMP_IF_EQUAL, 0, 2, CLONE),
    (LOAD, 0, 0, ARGUMENTS),
    (JUMP_IF_SET, 5, 3, CLONE_PIDFD),
    (JUMP_IF_EQUAL, 0, 2, MEMFD_CREATE),
    (LOAD, 0, 0, ARGUMENTS + 8),
    (JUMP_IF_SET, 2, 0, 0xFFFFFFFF & ~MFD_KNOWN),
    (RETURN, 0, 0, ALLOW),
    (RETURN, 0, 0, ERRNO | ENOSYS),
    (RETURN, 0, 0, ERRNO | EINVAL),
]


def install():
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in PROGRAM)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(PROGRAM), ctypes.addressof(buffer))
    # Root needs no promise, and would make one for the programs it starts as others.
    if os.geteuid() != 0 and libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if libc.prctl(PR_SET_SECCOMP, MODE_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])
