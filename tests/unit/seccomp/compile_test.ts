import assert from "node:assert/strict";
import { failWith, SECCOMP } from "../../../ffi/bpf.ts";
import {
  compile,
  type Filter,
  type Rule,
  type Test,
} from "../../../lib/engine/namespaces/seccomp-compile.ts";
import { CordonError } from "../../../lib/errors.ts";
import { AUDIT, runFilter, seeded, verdictName } from "../../helpers/bpf.ts";

const ALL = 0xffffffff;

function filter(rules: Rule[], other: Partial<Filter> = {}): Uint8Array {
  const whole: Filter = {
    arch: "x86_64",
    rules,
    otherwise: SECCOMP.allow,
    newest: 471,
    newer: failWith(38),
    unused: [],
    ...other,
  };
  return compile(whole);
}

function verdict(program: Uint8Array, number: number, args: bigint[] = []): string {
  return verdictName(runFilter(program, { number, arguments: args }).verdict);
}

Deno.test("seccomp compiler: jumps longer than 255 instructions reach their call", () => {
  // Every second number has its own errno, so that nothing can be merged: a program of over a thousand instructions.
  const rules = Array.from(
    { length: 235 },
    (_, i): Rule => ({ call: 2 * i, when: [], verdict: failWith(i + 1) }),
  );
  const withTests = rules.map((rule): Rule => ({
    ...rule,
    when: [{ argument: 0, op: "ge", high: 1, low: rule.call, maskHigh: ALL, maskLow: ALL }],
  }));
  for (const [program, args] of [[filter(rules), [0n]], [filter(withTests), [1n << 33n]]] as const) {
    assert.ok(program.length / 8 > 255);
    for (let number = 0; number <= 471; number++) {
      const expected = number % 2 === 0 && number < 470 ? `errno ${number / 2 + 1}` : "allow";
      assert.equal(verdict(program, number, [...args]), expected, String(number));
    }
  }
});

Deno.test("seccomp compiler: a filter longer than the kernel takes is an error with its length", () => {
  const rules: Rule[] = [];
  for (let i = 0; i < 900; i++) {
    rules.push({
      call: i % 300,
      when: [{ argument: i % 6, op: "lt", high: i, low: i, maskHigh: ALL, maskLow: ALL }],
      verdict: failWith(1 + i),
    });
  }
  assert.throws(
    () => filter(rules),
    (error: Error) =>
      error instanceof CordonError && /^Seccomp filter has \d{4} instructions$/.test(error.message) &&
      error.why === "The kernel takes at most 4096",
  );
});

Deno.test("seccomp compiler: the first rule that matches decides, then `otherwise`", () => {
  const low = (value: number): Test => ({
    argument: 1,
    op: "eq",
    high: 0,
    low: value,
    maskHigh: 0,
    maskLow: ALL,
  });
  const program = filter([
    { call: 5, when: [low(1)], verdict: failWith(11) },
    { call: 5, when: [low(1)], verdict: failWith(12) },
    { call: 5, when: [low(2)], verdict: SECCOMP.log },
    { call: 6, when: [low(1)], verdict: failWith(13) },
    { call: 6, when: [], verdict: SECCOMP.trap },
    { call: 6, when: [low(2)], verdict: failWith(14) },
  ], { otherwise: SECCOMP.killProcess });
  assert.equal(verdict(program, 5, [0n, 1n]), "errno 11");
  assert.equal(verdict(program, 5, [0n, 2n]), "log");
  assert.equal(verdict(program, 5, [0n, 3n]), "kill_process");
  assert.equal(verdict(program, 6, [0n, 1n]), "errno 13");
  assert.equal(verdict(program, 6, [0n, 2n]), "trap");
  assert.equal(verdict(program, 7, []), "kill_process");
  assert.equal(verdict(program, 472, []), "errno 38");
});

Deno.test("seccomp compiler: comparisons agree with 64-bit arithmetic", () => {
  const words = [
    0n,
    1n,
    2n,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
    1n << 32n,
    (1n << 32n) + 1n,
    1n << 63n,
    (1n << 64n) - 1n,
  ];
  const masks = [0n, 1n, 0xffffffffn, 0xffffffff00000000n, 0x100000001n, (1n << 64n) - 1n];
  const random = seeded(1);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  for (const op of ["eq", "ne", "lt", "le", "gt", "ge"] as const) {
    for (let i = 0; i < 300; i++) {
      const [value, mask, given] = [
        pick(words),
        op === "eq" || op === "ne" ? pick(masks) : (1n << 64n) - 1n,
        pick(words),
      ];
      const half = (number: bigint) => [Number(number >> 32n), Number(number & 0xffffffffn)] as const;
      const [[high, low], [maskHigh, maskLow]] = [half(value), half(mask)];
      const program = filter([{
        call: 0,
        when: [{ argument: 5, op, high, low, maskHigh, maskLow }],
        verdict: failWith(1),
      }]);
      const left = given & mask;
      const holds = {
        eq: left === value,
        ne: left !== value,
        lt: left < value,
        le: left <= value,
        gt: left > value,
        ge: left >= value,
      };
      const args = [0n, 0n, 0n, 0n, 0n, given];
      assert.equal(
        verdict(program, 0, args),
        holds[op] ? "errno 1" : "allow",
        `${given} & ${mask} ${op} ${value}`,
      );
    }
  }
});

Deno.test("seccomp compiler: only the native ABI reaches the rules", () => {
  const program = filter([]);
  for (const audit of [AUDIT.i386, AUDIT.aarch64, AUDIT.arm, 0]) {
    assert.equal(verdictName(runFilter(program, { number: 0, audit }).verdict), "errno 38");
  }
  const open = filter([], { newer: SECCOMP.allow });
  assert.equal(verdict(open, 0x3fffffff), "allow");
  for (const number of [0x40000000, 0x40000001, 0x7fffffff, 0xffffffff]) {
    assert.equal(verdict(open, number), "errno 38");
  }
});
