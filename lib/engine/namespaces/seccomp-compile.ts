/**
 * Rules about system calls → a classic BPF program. The call is found by binary search, so that an ordinary call costs
 * some ten instructions; since Linux 5.11 the kernel also remembers calls that are allowed whatever their arguments.
 *
 * Code is made from its end towards its start, because jumps only go forward: what a jump leads to is then already
 * there and its distance known. Every `Instruction[]` here is in that reversed order.
 */
import {
  BPF,
  DATA,
  encodeReversed,
  failWith,
  type Instruction,
  MAX_INSTRUCTIONS,
  SECCOMP,
} from "../../../ffi/bpf.ts";
import { AUDIT_ARCH, type SeccompArch, X32_BIT } from "../../../ffi/seccomp-default.ts";
import { CordonError } from "../../errors.ts";

/**
 * A condition on one argument, an unsigned number of 64 bits in two halves (plain numbers, because this runs at every
 * start). The mask applies to `eq` and `ne`: `(argument & mask) op value`.
 */
export interface Test {
  argument: number;
  op: "eq" | "ne" | "lt" | "le" | "gt" | "ge";
  high: number;
  low: number;
  maskHigh: number;
  maskLow: number;
}

/** The verdict (a SECCOMP_RET value) on a call by number when all tests hold. */
export interface Rule {
  call: number;
  when: readonly Test[];
  verdict: number;
}

export interface Filter {
  arch: SeccompArch;
  /** For one call the first rule that matches decides. */
  rules: readonly Rule[];
  /** The verdict where no rule matches. */
  otherwise: number;
  /** The highest number that `otherwise` is for. */
  newest: number;
  /** The verdict on higher numbers. */
  newer: number;
  /** Numbers up to `newest` that are answered like an old kernel would, as [first, last]. */
  unused: readonly (readonly [number, number])[];
}

const ENOSYS = failWith(38);
const ALL = 0xffffffff;

/** Numbers from `first` on have one verdict, or one piece of code that looks at the arguments. */
interface Run {
  first: number;
  verdict: number | Instruction[];
  /** How likely calls are to fall here: what the search tree is balanced by. */
  weight: number;
}

/**
 * The program as an array of `struct sock_filter`. Calls of another architecture's ABI, x32 included, get ENOSYS and
 * are never killed. Throws {@link CordonError} when it is longer than the kernel takes.
 */
export function compile(filter: Filter): Uint8Array {
  const runs = findRuns(filter);
  const total = [0];
  for (const run of runs) total.push(total[total.length - 1]! + run.weight);
  const program: Instruction[] = [];
  search(program, { runs, from: 0, to: runs.length, total });
  program.push(
    [BPF.load, 0, 0, DATA.number],
    [BPF.return, 0, 0, ENOSYS],
    [BPF.jumpIfEqual, 1, 0, AUDIT_ARCH[filter.arch]],
    [BPF.load, 0, 0, DATA.arch],
  );
  if (program.length > MAX_INSTRUCTIONS) {
    throw new CordonError(`Seccomp filter has ${program.length} instructions`, {
      why: `The kernel takes at most ${MAX_INSTRUCTIONS}`,
    });
  }
  return encodeReversed(program);
}

/** The number line from 0 up, cut where the verdict changes. */
function findRuns(filter: Filter): Run[] {
  const verdicts: Run["verdict"][] = new Array(filter.newest + 1).fill(filter.otherwise);
  for (const [first, last] of filter.unused) verdicts.fill(ENOSYS, first, last + 1);
  const byCall = new Map<number, Rule[]>();
  for (const rule of filter.rules) {
    const rules = byCall.get(rule.call);
    if (rules) rules.push(rule);
    else byCall.set(rule.call, [rule]);
  }
  for (const [call, rules] of byCall) verdicts[call] = callVerdict(rules, filter.otherwise);
  const runs: Run[] = [];
  for (let first = 0; first < verdicts.length; first++) {
    const verdict = verdicts[first]!;
    const last = runs[runs.length - 1];
    if (last?.verdict !== verdict) runs.push({ first, verdict, weight: 1 });
    else if (verdict === SECCOMP.allow) last.weight++;
  }
  for (const [first, verdict] of [[verdicts.length, filter.newer], [X32_BIT, ENOSYS]] as const) {
    if (runs[runs.length - 1]?.verdict !== verdict) runs.push({ first, verdict, weight: 1 });
  }
  return runs;
}

/** A plain verdict where no rule looks at arguments, else the code that does. */
function callVerdict(rules: readonly Rule[], otherwise: number): Run["verdict"] {
  let conditional = 0;
  while (conditional < rules.length && rules[conditional]!.when.length > 0) conditional++;
  const last = rules[conditional]?.verdict ?? otherwise;
  if (conditional === 0) return last;
  const code: Instruction[] = [[BPF.return, 0, 0, last]];
  for (let i = conditional - 1; i >= 0; i--) {
    const { when, verdict } = rules[i]!;
    const end = code.length;
    code.push([BPF.return, 0, 0, verdict]);
    for (let t = when.length - 1; t >= 0; t--) pushTest(code, when[t]!, end);
  }
  return code;
}

/** One test; where it fails its rule goes on at `end`, which is a length that `code` had. */
function pushTest(code: Instruction[], test: Test, end: number): void {
  const start = code.length;
  if (test.op === "eq" || test.op === "ne") {
    const same = test.op === "eq" ? start : end;
    const different = test.op === "eq" ? end : start;
    code.push([BPF.jumpIfEqual, code.length - same, code.length - different, test.low]);
    pushLoad(code, DATA.argument(test.argument), test.maskLow);
    if (test.maskHigh === 0 && test.high === 0) return;
    code.push([BPF.jumpIfEqual, 0, code.length - different, test.high]);
    pushLoad(code, DATA.argument(test.argument) + 4, test.maskHigh);
    return;
  }
  const above = test.op === "gt" || test.op === "ge" ? start : end;
  const below = test.op === "gt" || test.op === "ge" ? end : start;
  // gt and le part at "greater", ge and lt at "at least".
  const compare = test.op === "gt" || test.op === "le" ? BPF.jumpIfGreater : BPF.jumpIfAtLeast;
  code.push([compare, code.length - above, code.length - below, test.low]);
  pushLoad(code, DATA.argument(test.argument), ALL);
  code.push([BPF.jumpIfEqual, 0, code.length - below, test.high]);
  code.push([BPF.jumpIfGreater, code.length - above, 0, test.high]);
  pushLoad(code, DATA.argument(test.argument) + 4, ALL);
}

function pushLoad(code: Instruction[], offset: number, mask: number): void {
  if (mask !== ALL) code.push([BPF.and, 0, 0, mask]);
  code.push([BPF.load, 0, 0, offset]);
}

/** Binary search over `runs[from..to)`; `total[i]` is the weight of all runs before i. */
function search(
  program: Instruction[],
  part: { runs: readonly Run[]; from: number; to: number; total: number[] },
): void {
  const { runs, from, to, total } = part;
  if (to - from === 1) {
    const verdict = runs[from]!.verdict;
    if (typeof verdict === "number") program.push([BPF.return, 0, 0, verdict]);
    else for (const instruction of verdict) program.push(instruction);
    return;
  }
  const half = (total[from]! + total[to]!) / 2;
  let middle = from + 1;
  while (middle < to - 1 && total[middle + 1]! <= half) middle++;
  if (middle < to - 1 && total[middle + 1]! - half < half - total[middle]!) middle++;
  search(program, { runs, from: middle, to, total });
  const right = program.length;
  search(program, { runs, from, to: middle, total });
  const skip = program.length - right;
  const k = runs[middle]!.first;
  if (skip <= 255) program.push([BPF.jumpIfAtLeast, skip, 0, k]);
  else program.push([BPF.jump, 0, 0, skip], [BPF.jumpIfAtLeast, 0, 1, k]);
}
