/**
 * The numbers that the built-in seccomp policy needs, apart from the complete tables (`seccomp-syscalls.ts`) because
 * these are looked at in every start.
 */
export type SeccompArch = "x86_64" | "aarch64";

const ABSENT = -1;

/** Call numbers as [x86_64, aarch64]. */
const NUMBERS = {
  clone: [56, 220],
  clone3: [435, 435],
  unshare: [272, 97],
  setns: [308, 268],
  chroot: [161, 51],
  pivot_root: [155, 41],
  mount: [165, 40],
  umount2: [166, 39],
  open_tree: [428, 428],
  open_tree_attr: [467, 467],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  fanotify_init: [300, 262],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  syslog: [103, 116],
  open_by_handle_at: [304, 265],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  acct: [163, 89],
  swapon: [167, 224],
  swapoff: [168, 225],
  reboot: [169, 142],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  vhangup: [153, 58],
  iopl: [172, ABSENT],
  ioperm: [173, ABSENT],
  personality: [135, 92],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  chmod: [90, ABSENT],
  fchmod: [91, 52],
  fchmodat: [268, 53],
  fchmodat2: [452, 452],
  creat: [85, ABSENT],
  open: [2, ABSENT],
  openat: [257, 56],
  openat2: [437, 437],
  mknod: [133, ABSENT],
  mknodat: [259, 33],
  modify_ldt: [154, ABSENT],
  uselib: [134, ABSENT],
  ustat: [136, ABSENT],
  sysfs: [139, ABSENT],
  _sysctl: [156, ABSENT],
  create_module: [174, ABSENT],
  get_kernel_syms: [177, ABSENT],
  query_module: [178, ABSENT],
  nfsservctl: [180, 42],
  lookup_dcookie: [212, 18],
  ioctl: [16, 29],
  socket: [41, 198],
  socketpair: [53, 199],
} as const satisfies Record<string, readonly [number, number]>;

/** A system call the built-in policy speaks of. */
export type PolicyCall = keyof typeof NUMBERS;

/** Number of `call`, or undefined where the architecture has none. */
export function policyNumber(arch: SeccompArch, call: PolicyCall): number | undefined {
  const number = NUMBERS[call][arch === "x86_64" ? 0 : 1];
  return number === ABSENT ? undefined : number;
}

/** `seccomp_data.arch` of native calls: AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64 (linux/audit.h). */
export const AUDIT_ARCH: Readonly<Record<SeccompArch, number>> = { x86_64: 0xc000003e, aarch64: 0xc00000b7 };

/** x32 calls carry this bit in their number (__X32_SYSCALL_BIT, asm/unistd.h). */
export const X32_BIT = 0x40000000;

/** The highest number known here: rseq_slice_yield, Linux 7.0. */
export const NEWEST_CALL = 471;

/** Numbers below it that no kernel of this architecture uses, as [first, last]. */
export const UNUSED_CALLS: Readonly<Record<SeccompArch, readonly (readonly [number, number])[]>> = {
  x86_64: [[337, 423]],
  aarch64: [[244, 259], [295, 423]],
};
