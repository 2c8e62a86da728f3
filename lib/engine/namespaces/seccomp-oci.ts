/**
 * A seccomp profile in the JSON of Docker and OCI runtimes → a filter. What a profile means is what runc makes of it
 * with libseccomp; the few differences are stricter and said below.
 */
import { errnoName, LAST_ERRNO } from "../../../ffi/errno.ts";
import { failWith, SECCOMP } from "../../../ffi/bpf.ts";
import { NEWEST_CALL, type SeccompArch } from "../../../ffi/seccomp-default.ts";
import { syscallNumbers } from "../../../ffi/seccomp-syscalls.ts";
import { CordonError, reasonOf } from "../../errors.ts";
import { compile, type Rule, type Test } from "./seccomp-compile.ts";

const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_ALLOW: SECCOMP.allow,
  SCMP_ACT_LOG: SECCOMP.log,
  SCMP_ACT_TRAP: SECCOMP.trap,
  SCMP_ACT_KILL: SECCOMP.killThread,
  SCMP_ACT_KILL_THREAD: SECCOMP.killThread,
  SCMP_ACT_KILL_PROCESS: SECCOMP.killProcess,
};

const OPERATORS: Readonly<Record<string, Test["op"]>> = {
  SCMP_CMP_EQ: "eq",
  SCMP_CMP_NE: "ne",
  SCMP_CMP_LT: "lt",
  SCMP_CMP_LE: "le",
  SCMP_CMP_GT: "gt",
  SCMP_CMP_GE: "ge",
  SCMP_CMP_MASKED_EQ: "eq",
};

const KEYS = {
  profile: [
    ...["defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "syscalls"],
    ...["flags", "listenerPath", "listenerMetadata", "comment"],
  ],
  rule: ["name", "names", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"],
  argument: ["index", "value", "valueTwo", "op", "comment"],
  condition: ["arches", "caps", "minKernel"],
};

/** Architectures as `includes` and `excludes` name them (Go's names). */
const CONDITION_ARCH: Readonly<Record<SeccompArch, string>> = { x86_64: "amd64", aarch64: "arm64" };

const MAX_ERRNO = 4095;
const ALL = 0xffffffff;

export interface OciOptions {
  /** `uname -r`, for rules with `minKernel`. */
  kernelRelease: string;
}

/**
 * The text of a profile as plain JSON data for {@link ociFilter}. Whole numbers above 2^53 become strings of digits,
 * because as JavaScript numbers they would lose some. Throws {@link CordonError} when it is not JSON.
 */
export function parseProfile(text: string, file: string): unknown {
  const keepDigits = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^\d+$/.test(context?.source ?? "")
      ? context!.source
      : value;
  try {
    return JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown);
  } catch (cause) {
    throw new CordonError(`Seccomp profile ${file} is not JSON`, { why: reasonOf(cause), cause });
  }
}

/**
 * The filter of a profile as an array of `struct sock_filter`.
 *
 * Like runc: unknown names of calls are passed over; a rule with the default's action says nothing; a rule without
 * arguments outweighs those with; conditions on the same argument are alternatives, on different ones all must hold;
 * where the default refuses, calls newer than any the profile names get ENOSYS. The target has no capabilities, so what
 * depends on one is never in force. Unlike runc: of rules whose conditions overlap the first in the file decides; other
 * ABIs of the processor always get ENOSYS; and what is not understood is an error.
 *
 * Throws {@link CordonError} that names the place in the JSON.
 */
export function ociFilter(profile: unknown, arch: SeccompArch, options: OciOptions): Uint8Array {
  const top = fields(profile, "the profile", KEYS.profile);
  if (top.defaultAction === undefined) bad("defaultAction", "is missing");
  const otherwise = action(top.defaultAction, errno(top, "defaultErrno"), "defaultAction");
  checkArchitectures(top);
  for (const [i, flag] of list(top.flags, "flags").entries()) {
    // The only one that changes nothing: the filter is installed by a process of one thread.
    if (flag !== "SECCOMP_FILTER_FLAG_TSYNC") bad(`flags[${i}]`, `is ${show(flag)}, which is not supported`);
  }
  for (const key of ["listenerPath", "listenerMetadata"]) {
    if (absent(top[key]) !== undefined && top[key] !== "") bad(key, "is not supported");
  }

  const numbers = syscallNumbers(arch);
  const rules = new Map<number, Rule[]>();
  let newest = -1;
  for (const [i, entry] of list(top.syscalls, "syscalls").entries()) {
    const { names, verdict, alternatives, applies } = readRule(entry, `syscalls[${i}]`, { arch, ...options });
    if (!applies) continue;
    for (const name of names) {
      const call = numbers.get(name);
      if (call === undefined) continue;
      newest = Math.max(newest, call);
      if (verdict === otherwise) continue;
      const own = rules.get(call) ?? [];
      rules.set(call, own);
      for (const when of alternatives) own.push({ call, when, verdict });
    }
  }
  const permissive = otherwise === SECCOMP.allow || otherwise === SECCOMP.log;
  return compile({
    arch,
    rules: [...rules.values()].flatMap((own) => own.find((rule) => rule.when.length === 0) ?? own),
    otherwise,
    newest: permissive || newest < 0 ? NEWEST_CALL : newest,
    newer: permissive || newest < 0 ? otherwise : failWith(38),
    unused: [],
  });
}

interface ReadRule {
  names: string[];
  verdict: number;
  /** The rule holds when all tests of one of these hold. */
  alternatives: Test[][];
  applies: boolean;
}

function readRule(
  entry: unknown,
  path: string,
  host: { arch: SeccompArch; kernelRelease: string },
): ReadRule {
  const rule = fields(entry, path, KEYS.rule);
  const names = list(rule.names, `${path}.names`).map((name, i) => text(name, `${path}.names[${i}]`));
  if (absent(rule.name) !== undefined && rule.name !== "") {
    if (names.length > 0) bad(`${path}.name`, "stands beside names; only one of them may be given");
    names.push(text(rule.name, `${path}.name`));
  }
  if (names.length === 0) bad(`${path}.names`, "is missing or empty");
  const verdict = action(rule.action, errno(rule, "errno", path), `${path}.action`);
  const tests = list(rule.args, `${path}.args`).map((entry, i) => readTest(entry, `${path}.args[${i}]`));
  const distinct = new Set(tests.map((test) => test.argument)).size === tests.length;
  const alternatives = distinct ? [tests] : tests.map((test) => [test]);
  // Both are read in any case, so that a fault in either is reported on every machine.
  const included = condition(rule.includes, `${path}.includes`, host);
  const excluded = condition(rule.excludes, `${path}.excludes`, host);
  const applies = !included.some((holds) => !holds) && !excluded.some((holds) => holds);
  return { names, verdict, alternatives, applies };
}

function readTest(entry: unknown, path: string): Test {
  const argument = fields(entry, path, KEYS.argument);
  const index = argument.index;
  if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || index > 5) {
    bad(`${path}.index`, `is ${show(index)}, not the index of an argument (0 to 5)`);
  }
  const name = text(argument.op, `${path}.op`);
  const op = Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
  if (!op) bad(`${path}.op`, `is ${show(name)}, not one of ${Object.keys(OPERATORS).join(" ")}`);
  const value = word(argument.value, `${path}.value`);
  const valueTwo = word(argument.valueTwo, `${path}.valueTwo`);
  if (name !== "SCMP_CMP_MASKED_EQ") {
    return { argument: index, op, ...value, maskHigh: ALL, maskLow: ALL };
  }
  // libseccomp compares with the masked value too: bits outside the mask never matter.
  const [high, low] = [(valueTwo.high & value.high) >>> 0, (valueTwo.low & value.low) >>> 0];
  return { argument: index, op, high, low, maskHigh: value.high, maskLow: value.low };
}

/** Whether each part of `includes` or `excludes` holds here; a part that is absent or empty is left out. */
function condition(
  entry: unknown,
  path: string,
  host: { arch: SeccompArch; kernelRelease: string },
): boolean[] {
  if (absent(entry) === undefined) return [];
  const given = fields(entry, path, KEYS.condition);
  const holds: boolean[] = [];
  const arches = list(given.arches, `${path}.arches`).map((arch, i) => text(arch, `${path}.arches[${i}]`));
  if (arches.length > 0) holds.push(arches.includes(CONDITION_ARCH[host.arch]));
  const caps = list(given.caps, `${path}.caps`).map((cap, i) => text(cap, `${path}.caps[${i}]`));
  if (caps.length > 0) holds.push(false);
  if (absent(given.minKernel) !== undefined && given.minKernel !== "") {
    const wanted = version(text(given.minKernel, `${path}.minKernel`));
    if (!wanted) bad(`${path}.minKernel`, `is ${show(given.minKernel)}, not a version such as "4.8"`);
    const have = version(host.kernelRelease) ?? [0, 0];
    holds.push(have[0] > wanted[0] || (have[0] === wanted[0] && have[1] >= wanted[1]));
  }
  return holds;
}

function version(release: string): [major: number, minor: number] | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}

/** Only the native ABI is ever let in; the lists are checked for form. */
function checkArchitectures(top: Record<string, unknown>): void {
  const check = (value: unknown, path: string) => {
    if (!/^SCMP_ARCH_[A-Z0-9_]+$/.test(text(value, path))) {
      bad(path, `is ${show(value)}, not an SCMP_ARCH_… name`);
    }
  };
  const architectures = list(top.architectures, "architectures");
  const map = list(top.archMap, "archMap");
  if (architectures.length > 0 && map.length > 0) {
    bad("archMap", "stands beside architectures; only one may be given");
  }
  architectures.forEach((value, i) => check(value, `architectures[${i}]`));
  map.forEach((entry, i) => {
    const path = `archMap[${i}]`;
    const given = fields(entry, path, ["architecture", "subArchitectures"]);
    check(given.architecture, `${path}.architecture`);
    list(given.subArchitectures, `${path}.subArchitectures`).forEach((value, j) =>
      check(value, `${path}.subArchitectures[${j}]`)
    );
  });
}

function action(value: unknown, errno: number, path: string): number {
  const name = text(value, path);
  if (name === "SCMP_ACT_ERRNO") return failWith(errno);
  const verdict = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (verdict !== undefined) return verdict;
  const known = ["SCMP_ACT_ERRNO", ...Object.keys(ACTIONS)].join(" ");
  if (name === "SCMP_ACT_TRACE" || name === "SCMP_ACT_NOTIFY") {
    bad(path, `is ${name}, which needs a process that answers; supported are ${known}`);
  }
  bad(path, `is ${show(name)}, not one of ${known}`);
}

/** `errno` by name (Podman) or `errnoRet` by number; EPERM where neither is given. */
function errno(from: Record<string, unknown>, key: string, path?: string): number {
  const at = (name: string) => path ? `${path}.${name}` : name;
  const number = absent(from[`${key}Ret`]);
  if (
    number !== undefined &&
    (typeof number !== "number" || !Number.isInteger(number) || number < 0 || number > MAX_ERRNO)
  ) bad(at(`${key}Ret`), `is ${show(number)}, not an error number (0 to ${MAX_ERRNO})`);
  const name = absent(from[key]);
  if (name === undefined || name === "") return number === undefined ? 1 : number as number;
  for (let code = 1; code <= LAST_ERRNO; code++) if (errnoName(code) === name) return code;
  bad(at(key), `is ${show(name)}, not the name of an error such as "EPERM"`);
}

/** An unsigned number of 64 bits; absent is 0. */
function word(given: unknown, path: string): { high: number; low: number } {
  const value = absent(given) ?? 0;
  if (typeof value === "number" && Number.isInteger(value) && value > Number.MAX_SAFE_INTEGER) {
    bad(path, `is ${value}, above 2^53: digits may have been lost, write it as a string`);
  }
  const whole = typeof value === "bigint" || Number.isSafeInteger(value) ||
    (typeof value === "string" && /^(\d+|0x[\da-f]+)$/i.test(value));
  const number = whole ? BigInt(value as string | number | bigint) : -1n;
  if (number < 0n || number >= 1n << 64n) bad(path, `is ${show(value)}, not a whole number from 0 to 2^64-1`);
  return { high: Number(number >> 32n), low: Number(number & 0xffff_ffffn) };
}

function fields(value: unknown, path: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    bad(path, `is ${show(value)}, not an object`);
  }
  for (const key of Object.keys(value)) {
    // A misspelt condition would otherwise be a rule without it.
    if (!known.includes(key)) {
      bad(path === "the profile" ? key : `${path}.${key}`, "is not a field of a seccomp profile");
    }
  }
  return value as Record<string, unknown>;
}

function list(value: unknown, path: string): unknown[] {
  if (absent(value) === undefined) return [];
  if (!Array.isArray(value)) bad(path, `is ${show(value)}, not a list`);
  return value;
}

function text(value: unknown, path: string): string {
  if (absent(value) === undefined) bad(path, "is missing");
  if (typeof value !== "string" || value === "") bad(path, `is ${show(value)}, not a name`);
  return value;
}

/** Go's JSON takes null for a field that is not there. */
function absent(value: unknown): unknown {
  return value === null ? undefined : value;
}

function show(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  const shown = JSON.stringify(value) ?? "missing";
  return shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
}

function bad(path: string, why: string): never {
  throw new CordonError(`Seccomp profile: ${path} ${why}`);
}
