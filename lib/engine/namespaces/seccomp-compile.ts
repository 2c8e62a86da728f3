/**
 * Rules about system calls → a classic BPF program. The call is found by binary search, so that an ordinary call costs
 * some ten instructions; since Linux 5.11 the kernel also remembers calls that are allowed whatever their arguments.
 */
import {
  BPF,
  DATA,
  encodeBpf,
  failWith,
  type Instruction,
  MAX_INSTRUCTIONS,
  SECCOMP,
} from "../../../ffi/bpf.ts";
import { AUDIT_ARCH, type SeccompArch, X32_BIT } from "../../../ffi/seccomp-default.ts";
import { CordonError } from "../../errors.ts";

/** A condition on one argument, compared unsigned. `mask` applies to `eq` and `ne`: `(argument & mask) op value`. */
export interface Test {
  argument: number;
  op: "eq" | "ne" | "lt" | "le" | "gt" | "ge";
  value: bigint;
  mask?: bigint;
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
const ALL = 0xffff_ffff_ffff_ffffn;

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
  const program: Instruction[] = [
    [BPF.load, 0, 0, DATA.arch],
    [BPF.jumpIfEqual, 1, 0, AUDIT_ARCH[filter.arch]],
    [BPF.return, 0, 0, ENOSYS],
    [BPF.load, 0, 0, DATA.number],
    ...search(runs, { from: 0, to: runs.length, total }),
  ];
  if (program.length > MAX_INSTRUCTIONS) {
    throw new CordonError(`Seccomp filter has ${program.length} instructions`, {
      why: `The kernel takes at most ${MAX_INSTRUCTIONS}`,
    });
  }
  return encodeBpf(program);
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
  for (let first = 0; first < verdicts.length; first++) add(runs, first, verdicts[first] ?? filter.otherwise);
  add(runs, verdicts.length, filter.newer);
  add(runs, X32_BIT, ENOSYS);
  return runs;
}

function add(runs: Run[], first: number, verdict: Run["verdict"]): void {
  const last = runs[runs.length - 1];
  if (last?.verdict !== verdict) runs.push({ first, verdict, weight: 1 });
  else if (verdict === SECCOMP.allow && first < X32_BIT) last.weight++;
}

/** A plain verdict where no rule looks at arguments, else the code that does. */
function callVerdict(rules: readonly Rule[], otherwise: number): Run["verdict"] {
  const always = rules.findIndex((rule) => rule.when.length === 0);
  const conditional = always < 0 ? rules : rules.slice(0, always);
  const last = always < 0 ? otherwise : rules[always]!.verdict;
  if (conditional.length === 0) return last;
  return [...conditional.flatMap(ruleCode), [BPF.return, 0, 0, last]];
}

/** Tests, then the verdict; a test that fails goes on behind it. */
function ruleCode(rule: Rule): Instruction[] {
  let code: Instruction[] = [[BPF.return, 0, 0, rule.verdict]];
  for (const test of rule.when.toReversed()) code = [...testCode(test, code.length), ...code];
  return code;
}

/** Where a comparison leads: on with this test, to the end of it as passed, or out of the rule. */
type Way = "on" | "pass" | "fail";

/** One test, with `rest` instructions of its rule after it. */
function testCode(test: Test, rest: number): Instruction[] {
  const steps: [code: number, yes: Way, no: Way, k: number][] = [];
  const mask = test.mask ?? ALL;
  const load = (half: "high" | "low") => {
    steps.push([BPF.load, "on", "on", DATA.argument(test.argument) + (half === "high" ? 4 : 0)]);
    const bits = half === "high" ? high(mask) : low(mask);
    if (bits !== 0xffffffff) steps.push([BPF.and, "on", "on", bits]);
  };
  const [hi, lo] = [high(test.value), low(test.value)];
  if (test.op === "eq" || test.op === "ne") {
    const [same, different]: [Way, Way] = test.op === "eq" ? ["pass", "fail"] : ["fail", "pass"];
    if (high(mask) !== 0 || hi !== 0) {
      load("high");
      steps.push([BPF.jumpIfEqual, "on", different, hi]);
    }
    load("low");
    steps.push([BPF.jumpIfEqual, same, different, lo]);
  } else {
    const [above, below]: [Way, Way] = test.op[0] === "g" ? ["pass", "fail"] : ["fail", "pass"];
    load("high");
    steps.push([BPF.jumpIfGreater, above, "on", hi], [BPF.jumpIfEqual, "on", below, hi]);
    load("low");
    // gt and le part at "greater", ge and lt at "at least".
    const code = test.op === "gt" || test.op === "le" ? BPF.jumpIfGreater : BPF.jumpIfAtLeast;
    steps.push([code, above, below, lo]);
  }
  return steps.map(([code, yes, no, k], i) => {
    const left = steps.length - 1 - i;
    const distance = (way: Way) => way === "on" ? 0 : way === "pass" ? left : left + rest;
    return [code, distance(yes), distance(no), k];
  });
}

function high(value: bigint): number {
  return Number(value >> 32n);
}

function low(value: bigint): number {
  return Number(value & 0xffff_ffffn);
}

/** Binary search over `runs[from..to)`; `total[i]` is the weight of all runs before i. */
function search(
  runs: readonly Run[],
  at: { from: number; to: number; total: readonly number[] },
): Instruction[] {
  const { from, to, total } = at;
  if (to - from === 1) {
    const verdict = runs[from]!.verdict;
    return typeof verdict === "number" ? [[BPF.return, 0, 0, verdict]] : verdict;
  }
  const half = (total[from]! + total[to]!) / 2;
  let middle = from + 1;
  while (middle < to - 1 && Math.abs(total[middle + 1]! - half) < Math.abs(total[middle]! - half)) middle++;
  const left = search(runs, { from, to: middle, total });
  const right = search(runs, { from: middle, to, total });
  const k = runs[middle]!.first;
  const jump: Instruction[] = left.length <= 255
    ? [[BPF.jumpIfAtLeast, left.length, 0, k]]
    : [[BPF.jumpIfAtLeast, 0, 1, k], [BPF.jump, 0, 0, left.length]];
  return [...jump, ...left, ...right];
}
