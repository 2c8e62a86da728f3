"""Run something under a seccomp filter, with libc alone (used by real_test.ts).

under_filter.py exec FILTER PROG [ARG...]   installs the filter in FILTER and becomes PROG
under_filter.py attacks FILTER|- NUMBERS    tries each attack in a process of its own and prints {name: errno, 0 = done}

To be started by an ordinary user. Each attacker is root of user, mount, host name and network namespaces of its own,
so that the filter is the only thing in the way. NUMBERS is a JSON object of system call numbers by name.
"""

import ctypes
import json
import mmap
import os
import platform
import pty
import struct
import sys
import traceback

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
NEWNS, NEWUTS, NEWUSER, NEWNET = 0x20000, 0x4000000, 0x10000000, 0x40000000
SIGCHLD = 17
HIGH = 0xABCD << 32


def syscall(number, *args):
    """The errno of a raw system call, 0 when it succeeds. Numbers become whole 64-bit registers."""
    words = [ctypes.c_long(a if a < 1 << 63 else a - (1 << 64)) if isinstance(a, int) else a for a in args]
    words += [ctypes.c_long(0)] * (6 - len(words))
    result = libc.syscall(ctypes.c_long(number), *words)
    return (ctypes.get_errno() if result == -1 else 0), result


def install(path, numbers):
    with open(path, "rb") as file:
        code = file.read()
    buffer = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    error, _ = syscall(numbers["seccomp"], SECCOMP_SET_MODE_FILTER, 0, program)
    if error:
        raise OSError(error, "seccomp")


def become_namespace_root():
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(NEWUSER | NEWNS | NEWUTS | NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for file, line in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{file}", "w") as map:
            map.write(line)


def own_terminal():
    """A pseudo-terminal that is this process's controlling one."""
    _, slave = pty.openpty()
    os.setsid()
    libc.ioctl(slave, 0x540E, 0)
    return slave


def attacks(number):
    def call(name, *args):
        return lambda: syscall(number[name], *args)[0]

    def fork_with(flags):
        def attempt():
            error, pid = syscall(number["clone"], flags | SIGCHLD)
            if not error and pid == 0:
                os._exit(0)
            return error

        return attempt

    def on_terminal(command):
        return lambda: syscall(number["ioctl"], own_terminal(), command, ctypes.c_char_p(b"x"))[0]

    text = ctypes.c_char_p
    table = {
        "clone user": fork_with(NEWUSER),
        "clone user, high bits": fork_with(NEWUSER | HIGH),
        "clone net": fork_with(NEWNET),
        "clone3": call("clone3", 0, 0),
        "unshare user": call("unshare", NEWUSER),
        "unshare net": call("unshare", NEWNET),
        "unshare user, high bits": call("unshare", NEWUSER | HIGH),
        "setns": call("setns", -1, 0),
        "chroot": call("chroot", text(b"/")),
        "pivot_root": call("pivot_root", 0, 0),
        "mount": call("mount", text(b"none"), text(b"/tmp"), text(b"tmpfs"), 0, 0),
        "umount2": call("umount2", 0, 0),
        "open_tree": call("open_tree", -100, text(b"/"), 1),
        "open_tree_attr": call("open_tree_attr", -100, text(b"/"), 1, 0, 0),
        "move_mount": call("move_mount", -1, 0, -1, 0, 0),
        "fsopen": call("fsopen", text(b"tmpfs"), 0),
        "fsconfig": call("fsconfig", -1, 0, 0, 0, 0),
        "fsmount": call("fsmount", -1, 0, 0),
        "fspick": call("fspick", -100, text(b"/tmp"), 0),
        "mount_setattr": call("mount_setattr", -1, 0, 0, 0, 0),
        "sethostname": call("sethostname", text(b"x"), 1),
        "setdomainname": call("setdomainname", text(b"x"), 1),
        "bpf": call("bpf", 0, 0, 0),
        "perf_event_open": call("perf_event_open", 0, 0, -1, -1, 0),
        "userfaultfd": call("userfaultfd", 1),
        "fanotify_init": call("fanotify_init", 0x200, 0),
        "kexec_load": call("kexec_load", 0, 0, 0, 0),
        "kexec_file_load": call("kexec_file_load", -1, -1, 0, 0, 0),
        "init_module": call("init_module", 0, 0, 0),
        "finit_module": call("finit_module", -1, 0, 0),
        "delete_module": call("delete_module", 0, 0),
        "add_key": call("add_key", 0, 0, 0, 0, 0),
        "request_key": call("request_key", 0, 0, 0, 0),
        "keyctl": call("keyctl", 0, -3, 0),
        "syslog": call("syslog", 10, 0, 0),
        "open_by_handle_at": call("open_by_handle_at", -1, 0, 0),
        "quotactl": call("quotactl", 0, 0, 0, 0),
        "quotactl_fd": call("quotactl_fd", -1, 0, 0, 0),
        "acct": call("acct", 0),
        "swapon": call("swapon", 0, 0),
        "swapoff": call("swapoff", 0),
        "reboot": call("reboot", 0, 0, 0, 0),
        "settimeofday": call("settimeofday", 0, 0),
        "clock_settime": call("clock_settime", 1, ctypes.create_string_buffer(16)),
        "vhangup": call("vhangup"),
        "personality": call("personality", 0x40000),
        "personality, high bits": call("personality", 0x40000 | HIGH),
        "io_uring_setup": call("io_uring_setup", 0, 0),
        "io_uring_enter": call("io_uring_enter", -1, 0, 0, 0, 0, 0),
        "io_uring_register": call("io_uring_register", -1, 0, 0, 0),
        "TIOCSTI": on_terminal(0x5412),
        "TIOCSTI, high bits": on_terminal(0x5412 | HIGH),
        "TIOCLINUX": on_terminal(0x541C),
        "packet socket": call("socket", 17, 3, 0),
        "packet socket, high bits": call("socket", 17 | HIGH, 3, 0),
        "packet socket, old spelling": call("socket", 2, 10, 0),
        "packet socket, old spelling, close on exec": call("socket", 2, 10 | 0x80000, 0),
        "vsock socket": call("socket", 40, 1, 0),
        "algorithm socket": call("socket", 38, 5, 0),
        "packet socket pair": call("socketpair", 17, 3, 0, 0),
        "netfilter socket": call("socket", 16, 3, 12),
        "netfilter socket, high bits": call("socket", 16 | HIGH, 3, 12 | HIGH),
        "a call of the future": call_of_the_future,
    }
    if platform.machine() == "x86_64":
        table |= {
            "iopl": call("iopl", 0),
            "ioperm": call("ioperm", 0, 1, 0),
            "modify_ldt": call("modify_ldt", 0, 0, 0),
            "sysfs": call("sysfs", 3),
            "ustat": call("ustat", 0, 0),
            "x32": lambda: syscall(0x40000000 | number["getpid"])[0],
            "32-bit mount": lambda: by_interrupt(21),
            "32-bit getpid": lambda: by_interrupt(20),
        }
    # What has to work.
    return table | {
        "fine: fork": fork_with(0),
        "fine: unshare files": call("unshare", 0x400),
        "fine: unix socket": call("socket", 1, 1, 0),
        "fine: internet socket": call("socket", 2, 1, 0),
        "fine: internet 6 socket": call("socket", 10, 2, 0),
        "fine: route socket": call("socket", 16, 3, 0),
        "fine: personality": call("personality", 0xFFFFFFFF),
        "fine: window size": lambda: syscall(number["ioctl"], own_terminal(), 0x5413, ctypes.create_string_buffer(8))[0],
        "fine: memfd": call("memfd_create", text(b"x"), 1),
    }


def call_of_the_future():
    return syscall(473)[0]


def by_interrupt(number):
    """A call through int 0x80, the 32-bit ABI: mov eax, number; xor ebx, ebx; int 0x80; ret (ebx kept)."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\x53\xb8" + struct.pack("<I", number) + b"\x31\xdb\xcd\x80\x5b\xc3")
    result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    return -result if -4096 < result < 0 else 0


def attempt(action, filter_path, number):
    """What `action` gives in a process of its own: its errno, or how it failed to give one."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become_namespace_root()
            if filter_path != "-":
                install(filter_path, number)
            os.write(writer, str(action()).encode())
        except BaseException:
            os.write(writer, traceback.format_exc().encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as said:
        answer = said.read()
    status = os.waitpid(pid, 0)[1]
    return int(answer) if answer.isdigit() else f"status {status} {answer}"


if sys.argv[1] == "exec":
    install(sys.argv[2], {"seccomp": {"x86_64": 317, "aarch64": 277}[platform.machine()]})
    os.execvp(sys.argv[3], sys.argv[3:])
else:
    with open(sys.argv[3]) as file:
        NUMBERS = json.load(file)
    print(json.dumps({name: attempt(action, sys.argv[2], NUMBERS) for name, action in attacks(NUMBERS).items()}))
