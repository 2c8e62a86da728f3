/**
 * The fake kernel of the simulator: what a call was, and what it answers when a test says nothing about it. Calls that
 * would block (`read`, `ppoll`, `wait4`) have no answer of their own: a test scripts them.
 */
import { F, IOCTL, PR } from "../../ffi/constants.ts";
import { DATA_ADDRESS } from "../../ffi/interpreter.ts";
import type { Syscall } from "../../ffi/syscalls.ts";
import { decodeOs } from "../../lib/host/bytes.ts";
import type { Process } from "./simulator.ts";

/**
 * How the record shows arguments: s a string, p a pointer, n a number, b bytes whose count is the next argument. What
 * is not listed is shown as numbers without the zeros at the end.
 */
const SIGNATURE: Partial<Record<Syscall, string>> = {
  chdir: "s",
  clone: "n",
  execve: "spp",
  faccessat: "nsn",
  fchmodat: "nsn",
  fcntl: "nnn",
  fsconfig: "nnsnn",
  fsopen: "sn",
  kill: "nn",
  linkat: "nsnsn",
  memfd_create: "sn",
  mkdirat: "nsn",
  mount: "sssnn",
  mount_setattr: "nsnpn",
  move_mount: "nsnsn",
  open_tree: "nsn",
  openat: "nsnn",
  openat2: "nspn",
  pipe2: "pn",
  pivot_root: "ss",
  ppoll: "pnpp",
  readlinkat: "nspn",
  read: "npn",
  rt_sigaction: "nppn",
  rt_sigprocmask: "nppn",
  rt_sigtimedwait: "pppn",
  seccomp: "nnp",
  sethostname: "bn",
  signalfd4: "npnn",
  statx: "nsnnp",
  symlinkat: "sns",
  timerfd_settime: "nnpp",
  umount2: "sn",
  unlinkat: "nsn",
  wait4: "npnp",
  write: "nbn",
};

/** One system call as it was made. */
export class Call {
  /** What the fake kernel answered; negative is an errno. Undefined for a call that does not return. */
  result: bigint | undefined;
  /** `name(arguments)`, strings read at the time of the call. */
  readonly line: string;

  constructor(
    readonly process: Process,
    readonly name: Syscall,
    readonly args: readonly bigint[],
    /** The step in words, from the image. */
    readonly say: string,
  ) {
    this.line = this.#line();
  }

  /** An argument as a signed number. */
  number(i: number): number {
    return Number(BigInt.asIntN(64, this.args[i]!));
  }
  /** An argument as the C string it points to. */
  text(i: number): string {
    return this.process.memory.text(this.args[i]!);
  }
  /** Bytes at the pointer in argument `i`. */
  bytes(i: number, size: number, offset = 0): Uint8Array<ArrayBuffer> {
    return this.process.memory.bytes(this.args[i]! + BigInt(offset), size);
  }
  /** The 64-bit word at the pointer in argument `i`. */
  word(i: number, offset = 0): bigint {
    return this.process.memory.read64(this.args[i]! + BigInt(offset));
  }
  /** Writes bytes at the pointer in argument `i`. */
  put(i: number, bytes: Uint8Array, offset = 0): void {
    this.process.memory.put(this.args[i]! + BigInt(offset), bytes);
  }
  /** Writes 32 or 64 bits at the pointer in argument `i`. */
  put32(i: number, value: number, offset = 0): void {
    this.put(i, new Uint8Array(Uint32Array.of(value).buffer), offset);
  }
  put64(i: number, value: number | bigint, offset = 0): void {
    this.process.memory.write64(this.args[i]! + BigInt(offset), BigInt(value));
  }

  #line(): string {
    const signature = SIGNATURE[this.name];
    const last = this.args.findLastIndex((a) => a !== 0n);
    const shown = this.args.slice(0, signature?.length ?? last + 1).map((value, i) => {
      const kind = signature?.[i] ?? "n";
      if (kind === "n" || value === 0n) return String(BigInt.asIntN(64, value));
      if (kind === "s") {
        return value >= BigInt(DATA_ADDRESS) ? JSON.stringify(this.text(i)) : String(value);
      }
      if (kind === "b") return JSON.stringify(decodeOs(this.bytes(i, Number(this.args[i + 1]))));
      return "&";
    });
    return `${this.name}(${shown.join(", ")})`;
  }
}

/** Answers a call: a result, or a negative errno. Nothing means 0. */
export type Handler = (call: Call) => number | bigint | void;
export type Kernel = Partial<Record<Syscall, Handler>>;

const EBADF = -9, EINVAL = -22, ENOTTY = -25;
const LAST_CAPABILITY = 40;

const descriptor: Handler = ({ process }) => process.nextFd++;

function scripted({ line }: Call): never {
  throw new Error(`${line} would block, and the test has no answer for it`);
}

/** What calls answer that a test says nothing about. */
export const DEFAULTS: Kernel = {
  accept4: descriptor,
  fsmount: descriptor,
  fsopen: descriptor,
  memfd_create: descriptor,
  open_tree: descriptor,
  openat: descriptor,
  openat2: descriptor,
  pidfd_open: descriptor,
  signalfd4: descriptor,
  socket: descriptor,
  timerfd_create: descriptor,

  read: scripted,
  recvmsg: scripted,
  ppoll: scripted,
  wait4: scripted,

  madvise: (call) => call.process.memory.giveBack(call.number(0), call.number(1)),
  mprotect: (call) => call.process.memory.seal(call.number(0), call.number(1)),

  getpid: ({ process }) => process.pid,
  getpgid: ({ process }) => process.pid,
  dup3: (call) => call.number(1),
  fcntl: (call) => call.number(1) === F.DUPFD_CLOEXEC ? call.process.nextFd++ : 0,
  ioctl: (call) => call.number(1) === IOCTL.TCGETS ? ENOTTY : 0,
  prctl: (call) => call.number(0) === PR.CAPBSET_DROP && call.number(1) > LAST_CAPABILITY ? EINVAL : 0,
  pipe2: (call) => {
    const { process } = call;
    const read = process.nextFd++, write = process.nextFd++;
    process.pipes.push({ read, write });
    call.put32(0, read);
    call.put32(0, write, 4);
  },
  write: (call) => {
    if (call.number(0) < 0) return EBADF;
    keep(call.process, call.number(0), call.bytes(1, call.number(2)));
    return call.number(2);
  },
  writev: (call) => {
    let total = 0;
    for (let i = 0; i < call.number(2); i++) {
      const size = Number(call.word(1, 16 * i + 8));
      keep(call.process, call.number(0), call.process.memory.bytes(call.word(1, 16 * i), size));
      total += size;
    }
    return total;
  },
  clone: (call) => call.process.fork(call.number(0)),
  exit_group: (call) => call.process.die({ exit: Number(call.args[0]! & 0xffn) }),
  execve: (call) => {
    const { memory } = call.process;
    const [, argv, env] = call.args;
    call.process.die({ execute: call.text(0), argv: memory.vector(argv!), env: memory.vector(env!) });
  },
};

function keep(process: Process, fd: number, bytes: Uint8Array): void {
  process.output.set(fd, [...process.output.get(fd) ?? [], bytes]);
}
