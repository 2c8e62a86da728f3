/**
 * Numbers of the Linux ABI that programs use, grouped by the header they come from. Values are those of x86_64 and
 * aarch64 alike; where the two differ the entry says so.
 */
import type { Arch } from "./syscalls.ts";

/** errno(3), as the interpreter stores it: negative. */
export const E = {
  PERM: -1,
  NOENT: -2,
  NXIO: -6,
  SRCH: -3,
  TOOBIG: -7,
  NOEXEC: -8,
  CHILD: -10,
  AGAIN: -11,
  ACCES: -13,
  EXIST: -17,
  NODEV: -19,
  NOTDIR: -20,
  INVAL: -22,
  TXTBSY: -26,
  NOSPC: -28,
  PIPE: -32,
  NOSYS: -38,
  LOOP: -40,
  INPROGRESS: -115,
} as const;

/** fcntl.h. O_DIRECTORY and O_NOFOLLOW differ between the architectures: see {@link openFlags}. */
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  /** Together with O_DIRECTORY. */
  TMPFILE: 0o20000000,
} as const;

/** The open(2) flags whose numbers depend on the architecture. */
export function openFlags(arch: Arch): { DIRECTORY: number; NOFOLLOW: number } {
  return arch === "x86_64"
    ? { DIRECTORY: 0o200000, NOFOLLOW: 0o400000 }
    : { DIRECTORY: 0o40000, NOFOLLOW: 0o100000 };
}

export const AT = {
  FDCWD: -100,
  SYMLINK_NOFOLLOW: 0x100,
  REMOVEDIR: 0x200,
  SYMLINK_FOLLOW: 0x400,
  NO_AUTOMOUNT: 0x800,
  EMPTY_PATH: 0x1000,
  RECURSIVE: 0x8000,
} as const;

/** fcntl(2) commands. */
export const F = {
  GETFD: 1,
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  DUPFD_CLOEXEC: 1030,
  ADD_SEALS: 1033,
  SETPIPE_SZ: 1031,
} as const;
export const FD_CLOEXEC = 1;
export const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8 } as const;

/** memfd_create(2). */
export const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2, EXEC: 0x10 } as const;

/** openat2(2) resolve flags (linux/openat2.h). */
export const RESOLVE = { NO_MAGICLINKS: 0x02, NO_SYMLINKS: 0x04, BENEATH: 0x08, IN_ROOT: 0x10 } as const;

/** clone(2) flags. */
export const CLONE = {
  PIDFD: 0x1000,
  NEWNS: 0x20000,
  NEWCGROUP: 0x2000000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const;

/** mount(2). */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  REMOUNT: 32,
  NOSYMFOLLOW: 256,
  BIND: 4096,
  MOVE: 8192,
  REC: 0x4000,
  PRIVATE: 0x40000,
} as const;
export const MNT_DETACH = 2;
/** struct statfs of 64-bit machines: `f_flags`, whose lowest bits are those of mount(2) from MS_RDONLY to MS_NOEXEC. */
export const STATFS = { SIZE: 120, FLAGS: 80, SAME: 0xf, NOSYMFOLLOW: 0x2000 } as const;
/** struct linux_dirent64: getdents64(2). */
export const DIRENT = { LENGTH: 16, NAME: 19 } as const;
export const PROT_READ = 1;
export const MADV_DONTNEED = 4;

/** mount_setattr(2), open_tree(2), move_mount(2). */
export const MOUNT_ATTR = { RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8 } as const;
export const OPEN_TREE = { CLONE: 1, CLOEXEC: O.CLOEXEC } as const;
/** fsconfig(2) commands. */
export const FSCONFIG = { SET_FLAG: 0, SET_STRING: 1, CMD_CREATE: 6 } as const;
export const FSOPEN_CLOEXEC = 1, FSMOUNT_CLOEXEC = 1;
export const MOVE_MOUNT = { F_EMPTY_PATH: 0x4, T_EMPTY_PATH: 0x40 } as const;

/** prctl(2). */
export const PR = {
  SET_PDEATHSIG: 1,
  SET_DUMPABLE: 4,
  SET_NAME: 15,
  CAPBSET_DROP: 24,
  SET_SECUREBITS: 28,
  SET_NO_NEW_PRIVS: 38,
  CAP_AMBIENT: 47,
  CAP_AMBIENT_CLEAR_ALL: 4,
} as const;
/** SECBIT_NOROOT and SECBIT_NO_SETUID_FIXUP set, SECBIT_KEEP_CAPS clear, all three locked (capabilities(7)). */
export const SECUREBITS_LOCKED = 0x2f;
/** _LINUX_CAPABILITY_VERSION_3. */
export const CAPABILITY_VERSION = 0x20080522;

/** signal(7). */
export const SIG = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  KILL: 9,
  PIPE: 13,
  TERM: 15,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
} as const;
export const SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2;
/** A handler of sigaction(2). */
export const SIG_IGN = 1;
/** Size of the kernel's signal set, in bytes. */
export const SIGSET = 8;

/** wait4(2). */
export const W = { NOHANG: 1, UNTRACED: 2 } as const;

/** poll(2) events. */
export const POLL = { IN: 1, OUT: 4, ERR: 8, HUP: 16 } as const;

/** ioctl_tty(2), netdevice(7). */
export const IOCTL = {
  TCGETS: 0x5401,
  TCSETSW: 0x5403,
  TIOCNXCL: 0x540d,
  TIOCSCTTY: 0x540e,
  TIOCGPGRP: 0x540f,
  TIOCSPGRP: 0x5410,
  TIOCSWINSZ: 0x5414,
  FIONREAD: 0x541b,
  TIOCSPTLCK: 0x40045431,
  TIOCGPTPEER: 0x5441,
  SIOCSIFFLAGS: 0x8914,
} as const;

/** The kernel's struct termios, ioctl_tty(2): its size, offsets in it, and what cfmakeraw(3) clears and sets. */
export const TERMIOS = {
  SIZE: 36,
  IFLAG: 0,
  OFLAG: 4,
  CFLAG: 8,
  LFLAG: 12,
  VTIME: 17 + 5,
  VMIN: 17 + 6,
  /** IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON */
  RAW_IFLAG: 0x5eb,
  /** OPOST */
  RAW_OFLAG: 0x1,
  /** ECHO ECHONL ICANON ISIG IEXTEN */
  RAW_LFLAG: 0x804b,
  /** CSIZE PARENB */
  RAW_CFLAG: 0x130,
  CS8: 0x30,
} as const;

/** statx(2): mask, and offsets in struct statx. */
export const STATX = { TYPE: 1, MODE: 2, INO: 0x100, BASIC: 0x7ff } as const;
export const STATX_FIELD = {
  uid: 20,
  gid: 24,
  mode: 28,
  ino: 32,
  size: 40,
  devMajor: 136,
  devMinor: 140,
} as const;
export const STATX_SIZE = 256;
export const S = {
  IFMT: 0o170000,
  IFREG: 0o100000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
  IFSOCK: 0o140000,
  IFBLK: 0o060000,
  IFLNK: 0o120000,
} as const;

/** seccomp(2). */
export const SECCOMP = { SET_MODE_FILTER: 1, FLAG_SPEC_ALLOW: 4 } as const;

/** prlimit(2) resources. */
export const RLIMIT = { CPU: 0, FSIZE: 1, DATA: 2, CORE: 4, NPROC: 6, NOFILE: 7, AS: 9 } as const;

/** socket(2). */
export const AF = { UNIX: 1, INET: 2, INET6: 10, NETLINK: 16 } as const;
export const SOCK = {
  STREAM: 1,
  DGRAM: 2,
  RAW: 3,
  SEQPACKET: 5,
  NONBLOCK: O.NONBLOCK,
  CLOEXEC: O.CLOEXEC,
} as const;
/** unix(7), recv(2). */
export const SCM_RIGHTS = 1, MSG_CMSG_CLOEXEC = 0x40000000;
/** netlink(7), rtnetlink(7). */
export const NETLINK = {
  ROUTE: 0,
  REQUEST: 1,
  RTM_NEWADDR: 20,
  IFA_ADDRESS: 1,
  IFA_LOCAL: 2,
  IFA_F_NODAD: 2,
} as const;

export const CLOCK_MONOTONIC = 1;
export const TFD_CLOEXEC = O.CLOEXEC;
export const SFD_CLOEXEC = O.CLOEXEC;
/** access(2). */
export const R_OK = 4, W_OK = 2, X_OK = 1;

/** socket(7), tcp(7). */
export const SOL_SOCKET = 1,
  SO_REUSEADDR = 2,
  SO_KEEPALIVE = 9,
  SO_LINGER = 13,
  IPPROTO_TCP = 6,
  TCP_NODELAY = 1;
/** splice(2). */
export const SPLICE = { MOVE: 1, NONBLOCK: 2 } as const;
