/**
 * The instruction set of seccomp filters: classic BPF as linux/filter.h and seccomp(2) restrict it, and the verdicts a
 * filter returns.
 */

/** One `struct sock_filter`: operation, jump if true, jump if false (both count from the next instruction), operand. */
export type Instruction = readonly [code: number, yes: number, no: number, k: number];

export const BPF = {
  /** Load 32 bits of `struct seccomp_data` at offset k. */
  load: 0x20,
  and: 0x54,
  /** Unconditional jump, 32 bits wide where the conditional ones have 8. */
  jump: 0x05,
  jumpIfEqual: 0x15,
  jumpIfGreater: 0x25,
  jumpIfAtLeast: 0x35,
  return: 0x06,
} as const;

/** The kernel takes no longer program (BPF_MAXINSNS). */
export const MAX_INSTRUCTIONS = 4096;

/** What a filter returns (seccomp(2), "SECCOMP_RET_…"). */
export const SECCOMP = {
  killProcess: 0x80000000,
  killThread: 0x00000000,
  trap: 0x00030000,
  log: 0x7ffc0000,
  allow: 0x7fff0000,
} as const;

/** The verdict that makes the call fail with `errno` (0 to 4095) without being made. */
export function failWith(errno: number): number {
  return 0x00050000 | errno;
}

/** Offsets in `struct seccomp_data`; an argument is two 32-bit words, the low one first on both architectures. */
export const DATA = { number: 0, arch: 4, argument: (index: number) => 16 + 8 * index } as const;

/**
 * The bytes the kernel takes, an array of `struct sock_filter`, of a program given last instruction first. Both
 * architectures are little endian, as this process is.
 */
export function encodeReversed(program: readonly Instruction[]): Uint8Array {
  const words = new Uint32Array(program.length * 2);
  let word = words.length;
  for (let i = 0; i < program.length; i++) {
    const instruction = program[i]!;
    words[--word] = instruction[3];
    words[--word] = instruction[0] | instruction[1] << 16 | instruction[2] << 24;
  }
  return new Uint8Array(words.buffer);
}
