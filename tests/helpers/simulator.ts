/**
 * Simulates shim programs: the interpreter's operations (told in ffi/interpreter-x86_64.S) over a memory, with a kernel
 * that records every call. It is given the executable image, so that what it runs is what the machine would.
 *
 * A process runs alone until it ends; a fork leaves the child behind in `children`, to be run by the test when it wants
 * to. Calls are answered by the test's handlers, else by fake_kernel.ts.
 */
import { CLONE } from "../../ffi/constants.ts";
import { DATA_ADDRESS, ELF_MACHINE, OPERATION } from "../../ffi/interpreter.ts";
import { type Arch, type Syscall, SYSCALLS } from "../../ffi/syscalls.ts";
import { decodeOs, encodeOs } from "../../lib/host/bytes.ts";
import { Call, DEFAULTS, type Kernel } from "./fake_kernel.ts";
import { Memory, type Region } from "./simulated_memory.ts";

const OPERATION_SIZE = 96;
const STACK = 0x7ff0_0000_0000;
const PT_LOAD = 1, PF_W = 2;
const LARGEST_ERRNO = 4095n;

export type End =
  | { exit: number }
  | { signal: number }
  | { execute: string; argv: string[]; env: string[] };

/** Thrown by {@link Process.die} inside a handler: the call does not return. */
class Ended extends Error {}

/** Pids of one pid namespace. */
interface Space {
  next: number;
}

const FIRST_PID = 1000;

export class Process {
  readonly calls: Call[] = [];
  /** Forked children, in the state they were born in; run them with {@link run}. */
  readonly children: Process[] = [];
  /** What was written to each descriptor. */
  readonly output: Map<number, Uint8Array[]> = new Map();
  /** Pipes it made. */
  readonly pipes: { read: number; write: number }[] = [];
  /** How it ended. */
  end: End | undefined;
  /** Operations carried out. */
  steps = 0;
  /** Where argc, argv and the environment lie. */
  readonly stack = STACK;
  /** Numbers of new descriptors: far from those a test names itself. */
  nextFd = 100;
  #kernel: Kernel = {};

  constructor(
    readonly arch: Arch,
    readonly memory: Memory,
    public at: bigint,
    readonly pid: number,
    readonly space: Space,
  ) {}

  /** The argument vector as ps(1) would show it now. */
  get argv(): string[] {
    return this.memory.vector(STACK + 8);
  }
  get lines(): string[] {
    return this.calls.map((call) => call.line);
  }
  /** Calls of one name. */
  named(name: Syscall): Call[] {
    return this.calls.filter((call) => call.name === name);
  }
  /** The text written to a descriptor. */
  written(fd: number): string {
    return (this.output.get(fd) ?? []).map(decodeOs).join("");
  }
  /** Ends the process from inside a handler: by a signal, by default. */
  die(end: End): never {
    this.end = end;
    throw new Ended();
  }

  /** Runs to the end with these answers, which stand before the defaults. */
  run(kernel: Kernel = {}, maxSteps = 2_000_000): this {
    this.#kernel = kernel;
    try {
      while (this.steps++ < maxSteps) this.#step();
    } catch (error) {
      if (error instanceof Ended) return this;
      throw new Error(`${(error as Error).message}\nafter:\n  ${this.lines.slice(-12).join("\n  ")}`, {
        cause: error,
      });
    }
    throw new Error(`not at its end after ${maxSteps} operations:\n  ${this.lines.slice(-12).join("\n  ")}`);
  }

  #step(): void {
    const { memory, at } = this;
    const code = Number(BigInt.asIntN(64, memory.read64(at)));
    const mask = memory.read64(at + 8n);
    const args: bigint[] = [];
    for (let i = 0n; i < 6n; i++) {
      const word = memory.read64(at + 16n + 8n * i);
      args.push(mask >> i & 1n ? memory.read64(word) : word);
    }
    let next = at + BigInt(OPERATION_SIZE);
    let result: bigint | undefined;
    if (code >= 0) {
      const answer = BigInt.asUintN(64, this.#call(code, args));
      if (answer >= BigInt.asUintN(64, -LARGEST_ERRNO)) {
        memory.write64(DATA_ADDRESS, answer);
        memory.write64(DATA_ADDRESS + 8, at);
        next = memory.read64(at + 72n);
      } else result = answer;
    } else {
      const outcome = this.#compute(code, args);
      if (outcome === "taken") next = args[2]!;
      else result = outcome;
    }
    if (result !== undefined) {
      const into = memory.read64(at + 64n);
      if (into !== 0n) memory.write64(into, result);
    }
    this.at = next;
  }

  /** The result of a computation, undefined when there is none, or that a branch is taken. */
  #compute(code: number, [a, b]: readonly bigint[]): bigint | undefined | "taken" {
    const left = a!, right = b!;
    switch (code) {
      case OPERATION.mov:
        return left;
      case OPERATION.add:
        return left + right;
      case OPERATION.sub:
        return left - right;
      case OPERATION.and:
        return left & right;
      case OPERATION.shr:
        return left >> (right & 63n);
      case OPERATION.shl:
        return left << (right & 63n);
      case OPERATION.load:
        return this.memory.read64(left);
      case OPERATION.store:
        this.memory.write64(left, right);
        return undefined;
      case OPERATION.beq:
        return left === right ? "taken" : undefined;
      case OPERATION.bne:
        return left !== right ? "taken" : undefined;
      case OPERATION.blt:
        return BigInt.asIntN(64, left) < BigInt.asIntN(64, right) ? "taken" : undefined;
    }
    throw new Error(`no operation has the code ${code}`);
  }

  #call(number: number, args: bigint[]): bigint {
    const name = nameOf(number, this.arch);
    const description = this.memory.bytes(
      this.memory.read64(this.at + 80n),
      Number(this.memory.read64(this.at + 88n)),
    );
    const call = new Call(this, name, args, decodeOs(description).replace(/: $/, ""));
    this.calls.push(call);
    const answer = (this.#kernel[name] ?? DEFAULTS[name])?.(call) ?? 0;
    return call.result = BigInt(answer);
  }

  /** The child of a fork: the same memory, going on behind the call with the result 0. */
  fork(flags: number): number {
    const pid = this.space.next++;
    const inner = flags & CLONE.NEWPID;
    const memory = this.memory.copy();
    const child = new Process(
      this.arch,
      memory,
      this.at + BigInt(OPERATION_SIZE),
      inner ? 1 : pid,
      inner ? { next: 2 } : this.space,
    );
    const into = memory.read64(this.at + 64n);
    if (into !== 0n) memory.write64(into, 0n);
    child.nextFd = this.nextFd;
    this.children.push(child);
    return pid;
  }
}

const names: Record<Arch, Map<number, Syscall>> = { x86_64: new Map(), aarch64: new Map() };
for (const [name, [x86, arm]] of Object.entries(SYSCALLS)) {
  names.x86_64.set(x86, name as Syscall);
  names.aarch64.set(arm, name as Syscall);
}

function nameOf(number: number, arch: Arch): Syscall {
  const name = names[arch].get(number);
  if (name === undefined) throw new Error(`no system call has the number ${number}`);
  return name;
}

/** A process that is about to execute an image: segments and a stack as execve(2) lays them out. */
export function load(
  image: Uint8Array,
  { argv = ["cordon"], env = [] }: { argv?: string[]; env?: string[] } = {},
): Process {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const machine = view.getUint16(18, true);
  const arch = (["x86_64", "aarch64"] as const).find((a) => ELF_MACHINE[a] === machine);
  if (!arch) throw new Error(`no architecture has the ELF machine ${machine}`);
  const table = Number(view.getBigUint64(32, true));
  const regions: Region[] = [];
  for (let i = 0; i < view.getUint16(56, true); i++) {
    const at = table + i * view.getUint16(54, true);
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const field = (n: number) => Number(view.getBigUint64(at + n, true));
    const bytes = new Uint8Array(field(40));
    bytes.set(image.subarray(field(8), field(8) + field(32)));
    const writable = (view.getUint32(at + 4, true) & PF_W) !== 0;
    regions.push({ start: field(16), bytes, writable, original: bytes.slice() });
  }
  regions.push({ start: STACK, bytes: stack(argv, env), writable: true });
  const memory = new Memory(regions);
  memory.write64(DATA_ADDRESS, BigInt(STACK));
  return new Process(arch, memory, BigInt(DATA_ADDRESS + 16), FIRST_PID, { next: FIRST_PID + 1 });
}

const AT_EXECFN = 31;

/** argc, argv, NULL, envp, NULL, a short auxiliary vector, then the strings and the name of the executed file. */
function stack(argv: string[], env: string[]): Uint8Array<ArrayBuffer> {
  const strings = [...argv, ...env, argv[0] ?? ""].map((text) => encodeOs(text + "\0"));
  const vectors = argv.length + env.length + 3;
  const head = 8 * (vectors + 4);
  const bytes = new Uint8Array(head + strings.reduce((sum, s) => sum + s.length, 0));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(argv.length), true);
  view.setBigUint64(8 * vectors, BigInt(AT_EXECFN), true);
  let text = head;
  strings.forEach((string, i) => {
    const last = i === strings.length - 1;
    const word = last ? vectors + 1 : 1 + i + (i >= argv.length ? 1 : 0);
    view.setBigUint64(8 * word, BigInt(STACK + text), true);
    bytes.set(string, text);
    text += string.length;
  });
  return bytes;
}
