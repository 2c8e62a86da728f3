/**
 * What the built-in seccomp filter refuses. It is a deny list in the spirit of Docker's profile: what a program without
 * capabilities has no honest use for, what opens kernel code that has often been the way out of a container, and what
 * reaches the terminal or the machine around the sandbox. Everything else is allowed.
 *
 * The kernel reads flags, families and ioctl commands from the low 32 bits of their arguments, so these are compared on
 * the low 32 bits: anything in the high half changes nothing.
 */
import { failWith, SECCOMP } from "../../../ffi/bpf.ts";
import type { PolicyCall } from "../../../ffi/seccomp-default.ts";
import type { Test } from "./seccomp-compile.ts";

/** Calls with one verdict, when the tests hold. The first rule that matches decides. */
export interface PolicyRule {
  calls: readonly PolicyCall[];
  verdict: number;
  when?: readonly Test[];
  /** Does not hold where sandboxes inside the sandbox are asked for. */
  notNested?: true;
}

export interface PolicyOptions {
  /** Let the target build a sandbox of its own: user namespaces, mounts, roots. */
  nested: boolean;
  /** Address families that sockets may have (AF_… of sys/socket.h); default: Unix, IPv4, IPv6, netlink. */
  networkFamilies?: readonly number[];
}

const ALLOW = SECCOMP.allow;
const EPERM = failWith(1);
/** For what has a fallback that programs take when the kernel is too old to have the call. */
const ENOSYS = failWith(38);
const EPROTONOSUPPORT = failWith(93);
const EAFNOSUPPORT = failWith(97);

const LOW = 0xffff_ffff;

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (clone(2)). */
const CLONE_NEW = 0x7e02_0000;
/** What unshare(2) may undo without a capability: CLONE_THREAD, FS, FILES, SIGHAND, VM, SYSVSEM. */
const UNSHARE_FREE = 0x0005_0f00;

/** Values that personality(2) takes in Docker: Linux, 32-bit, uname 2.6, both, and the question for the present one. */
const PERSONALITIES = [0, 0x8, 0x20000, 0x20008, 0xffff_ffff];

/** inode(7). */
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
/** O_CREAT and the bit that makes O_TMPFILE (open(2)): without either the mode says nothing. */
const CREATING = 0o100 | 0o20000000;

const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SOCK_PACKET = 10;
const SOCK_TYPE = 0xf;
const NETLINK_ROUTE = 0;

const RULES: readonly PolicyRule[] = [
  // New namespaces: with a user namespace come all capabilities inside it, and kernel code that expects root.
  { calls: ["clone"], when: [bits(0, CLONE_NEW)], verdict: EPERM, notNested: true },
  { calls: ["unshare"], when: [bits(0, ~UNSHARE_FREE >>> 0)], verdict: EPERM, notNested: true },
  { calls: ["setns", "chroot", "pivot_root"], verdict: EPERM, notNested: true },
  // Its flags are in memory, where no filter can look; the C library falls back to clone.
  { calls: ["clone3"], verdict: ENOSYS },

  { calls: ["mount", "umount2"], verdict: EPERM, notNested: true },
  {
    calls: [
      "open_tree",
      "open_tree_attr",
      "move_mount",
      "fsopen",
      "fsconfig",
      "fsmount",
      "fspick",
      "mount_setattr",
    ],
    verdict: EPERM,
    notNested: true,
  },
  { calls: ["sethostname", "setdomainname"], verdict: EPERM, notNested: true },

  // Programs for the kernel, and knowledge of it.
  { calls: ["bpf", "perf_event_open", "userfaultfd", "fanotify_init"], verdict: EPERM },
  {
    calls: ["kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"],
    verdict: EPERM,
  },
  { calls: ["add_key", "request_key", "keyctl", "syslog"], verdict: EPERM },
  { calls: ["io_uring_setup", "io_uring_enter", "io_uring_register"], verdict: ENOSYS },

  // The machine as a whole.
  {
    calls: ["open_by_handle_at", "quotactl", "quotactl_fd", "acct", "swapon", "swapoff", "reboot"],
    verdict: EPERM,
  },
  { calls: ["settimeofday", "clock_settime", "vhangup", "iopl", "ioperm"], verdict: EPERM },

  ...PERSONALITIES.map((value): PolicyRule => ({
    calls: ["personality"],
    when: [is(0, value)],
    verdict: ALLOW,
  })),
  { calls: ["personality"], verdict: EPERM },

  // What recent kernels no longer have, or are built without.
  {
    calls: [
      ...(["modify_ldt", "uselib", "ustat", "sysfs", "_sysctl", "create_module"] as const),
      ...(["get_kernel_syms", "query_module", "nfsservctl", "lookup_dcookie"] as const),
    ],
    verdict: ENOSYS,
  },

  // A program with the caller's user id in its mode, left in a shown directory, would be the caller for whoever runs it
  // outside. Setgid by chmod stays: directories of a group have it, and a filter cannot see what a path is.
  { calls: ["chmod", "fchmod"], when: [bits(1, S_ISUID)], verdict: EPERM },
  { calls: ["fchmodat", "fchmodat2"], when: [bits(2, S_ISUID)], verdict: EPERM },
  { calls: ["creat", "mknod"], when: [bits(1, S_ISUID | S_ISGID)], verdict: EPERM },
  { calls: ["mknodat"], when: [bits(2, S_ISUID | S_ISGID)], verdict: EPERM },
  { calls: ["open"], when: [bits(1, CREATING), bits(2, S_ISUID | S_ISGID)], verdict: EPERM },
  { calls: ["openat"], when: [bits(2, CREATING), bits(3, S_ISUID | S_ISGID)], verdict: EPERM },
  // Its mode is in memory. A sandbox inside needs it; other programs have a fallback.
  { calls: ["openat2"], verdict: ENOSYS, notNested: true },

  // Typing into the caller's terminal.
  { calls: ["ioctl"], when: [is(1, TIOCSTI)], verdict: EPERM },
  { calls: ["ioctl"], when: [is(1, TIOCLINUX)], verdict: EPERM },
];

/** The rules in force, those about sockets included. */
export function policyRules(options: PolicyOptions): PolicyRule[] {
  const families = options.networkFamilies ?? [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK];
  return [...RULES.filter((rule) => !(options.nested && rule.notNested)), ...socketRules(families)];
}

/** A family outside the list is answered as by a kernel without it; its module is not loaded either. */
function socketRules(families: readonly number[]): PolicyRule[] {
  const calls = ["socket", "socketpair"] as const;
  const rules: PolicyRule[] = [
    // The kernel takes this old spelling for AF_PACKET.
    { calls, when: [is(0, AF_INET), is(1, SOCK_PACKET, SOCK_TYPE)], verdict: EAFNOSUPPORT },
  ];
  for (const family of families) {
    const own = is(0, family);
    if (family === AF_NETLINK) {
      // Routing is what lists addresses (getifaddrs(3)); the other protocols are for administration.
      rules.push({ calls, when: [own, is(2, NETLINK_ROUTE)], verdict: ALLOW });
      rules.push({ calls, when: [own], verdict: EPROTONOSUPPORT });
    } else rules.push({ calls, when: [own], verdict: ALLOW });
  }
  rules.push({ calls, verdict: EAFNOSUPPORT });
  return rules;
}

/** The low 32 bits of the argument, or those of `mask`, are `value`. */
function is(argument: number, value: number, mask = LOW): Test {
  return { argument, op: "eq", high: 0, low: value, maskHigh: 0, maskLow: mask };
}

/** One of these bits is set. */
function bits(argument: number, mask: number): Test {
  return { argument, op: "ne", high: 0, low: 0, maskHigh: 0, maskLow: mask };
}
