/**
 * A classic-BPF machine for seccomp filters, written from linux/filter.h and seccomp(2) and independent of the compiler
 * it checks: it knows no instruction by the compiler's names.
 */

/** One system call as a filter sees it (`struct seccomp_data`). */
export interface Call {
  number: number;
  /** AUDIT_ARCH_…; default: x86_64. */
  audit?: number;
  arguments?: readonly bigint[];
}

export const AUDIT = { x86_64: 0xc000003e, aarch64: 0xc00000b7, i386: 0x40000003, arm: 0x40000028 } as const;

/** The verdict on `call` and how many instructions it took. Throws where the kernel would refuse the program. */
export function runFilter(filter: Uint8Array, call: Call): { verdict: number; steps: number } {
  const data = seccompData(call);
  const program = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  const length = filter.byteLength / 8;
  let accumulator = 0;
  let at = 0;
  for (let steps = 1;; steps++) {
    if (at >= length) throw new Error(`fell off the end at ${at}`);
    const code = program.getUint16(at * 8, true);
    const yes = program.getUint8(at * 8 + 2);
    const no = program.getUint8(at * 8 + 3);
    const k = program.getUint32(at * 8 + 4, true);
    at++;
    switch (code) {
      case 0x20:
        if (k % 4 !== 0 || k > 60) throw new Error(`load from ${k}`);
        accumulator = data.getUint32(k, true);
        break;
      case 0x54:
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05:
        at += k;
        break;
      case 0x15:
        at += accumulator === k ? yes : no;
        break;
      case 0x25:
        at += accumulator > k ? yes : no;
        break;
      case 0x35:
        at += accumulator >= k ? yes : no;
        break;
      case 0x45:
        at += (accumulator & k) !== 0 ? yes : no;
        break;
      case 0x06:
        return { verdict: k, steps };
      default:
        throw new Error(`unknown instruction 0x${code.toString(16)} at ${at - 1}`);
    }
  }
}

function seccompData(call: Call): DataView {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.audit ?? AUDIT.x86_64, true);
  for (const [i, value] of (call.arguments ?? []).entries()) data.setBigUint64(16 + 8 * i, value, true);
  return data;
}

/** A verdict in words: `allow`, `errno 38`, `kill_process`, … */
export function verdictName(verdict: number): string {
  const value = verdict & 0xffff;
  switch ((verdict & 0xffff0000) >>> 0) {
    case 0x7fff0000:
      return "allow";
    case 0x7ffc0000:
      return "log";
    case 0x00050000:
      return `errno ${value}`;
    case 0x00030000:
      return "trap";
    case 0x80000000:
      return "kill_process";
    case 0x00000000:
      return "kill_thread";
    default:
      return `0x${verdict.toString(16)}`;
  }
}

/** Repeatable random numbers (mulberry32): from 0 up to, not including, `below`. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * below);
  };
}
