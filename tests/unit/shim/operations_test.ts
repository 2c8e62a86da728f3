/** Operations and control flow in real processes, on both architectures. */
import assert from "node:assert/strict";
import { writeImage } from "../../../lib/shim/image.ts";
import { type Argument, type Condition, Program, type Slot } from "../../../lib/shim/program.ts";
import { test } from "../../helpers/need.ts";
import { load } from "../../helpers/simulator.ts";
import { ARCHITECTURES, build, runs } from "./running.ts";

/** Programs leave by writing the words of interest to stdout. */
function tellWords(p: Program, words: Slot[]): void {
  const all = p.buffer(8 * words.length);
  words.forEach((slot, i) => p.set(all.cell(8 * i), slot));
  p.sys("write", [1, all, 8 * words.length]);
}

/** What {@link tellWords} wrote. */
function words(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 8 }, (_, i) => view.getBigUint64(8 * i, true));
}

const u64 = (value: bigint) => BigInt.asUintN(64, value);

const BIG = 0x1234_5678_9abc_def0n;
const NEGATIVE = -3n;

type Binary = "add" | "sub" | "and" | "shr" | "shl";
const BINARY: [Binary, bigint, number | bigint, bigint][] = [
  ["add", 2n, 3, 5n],
  ["add", u64(-1n), 1, 0n],
  ["add", 0x7fff_ffff_ffff_ffffn, 1, 0x8000_0000_0000_0000n],
  ["add", BIG, -BIG, 0n],
  ["sub", 3n, 5, u64(-2n)],
  ["sub", 0n, 1, u64(-1n)],
  ["sub", BIG, 0x1_0000_0000n, BIG - 0x1_0000_0000n],
  ["and", BIG, 0xffff_ffff, 0x9abc_def0n],
  ["and", BIG, -256, BIG - 0xf0n],
  ["and", u64(-1n), 0x8000_0000_0000_0000n, 0x8000_0000_0000_0000n],
  ["shr", BIG, 4, BIG >> 4n],
  ["shr", u64(-1n), 63, 1n],
  ["shr", u64(NEGATIVE), 1, 0x7fff_ffff_ffff_fffen],
  ["shr", BIG, 0, BIG],
  ["shl", BIG, 4, u64(BIG << 4n)],
  ["shl", 1n, 63, 0x8000_0000_0000_0000n],
  ["shl", BIG, 32, u64(BIG << 32n)],
];

/** Comparisons are signed: a result of -1 is below 0. */
const COMPARED: [bigint, bigint][] = [
  [0n, 0n],
  [0n, 1n],
  [1n, 0n],
  [-1n, 0n],
  [0n, -1n],
  [-1n, -2n],
  [-2n, -1n],
  [-(2n ** 63n), 2n ** 63n - 1n],
  [2n ** 63n - 1n, -(2n ** 63n)],
  [0xffff_ffffn, -1n],
  [1n << 32n, 0n],
  [5n, 5n + (1n << 40n)],
];
const COMPARISONS: Record<Condition[1], (a: bigint, b: bigint) => boolean> = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  ">=": (a, b) => a >= b,
};

for (const arch of ARCHITECTURES) {
  const needs = runs(arch);

  for (const by of ["constants", "slots"] as const) {
    test(`${arch}: add, sub, and, shr, shl of ${by}`, { needs }, async () => {
      const { bytes, code } = await build(arch, (p) => {
        const results = BINARY.map(([operation, a, b]) => {
          const to = p.slot(77);
          if (by === "constants") p[operation](to, a, b as number);
          else p[operation](to, p.slot(a), p.slot(b));
          return to;
        });
        tellWords(p, results);
        p.exit(0);
      });
      assert.equal(code, 0);
      assert.deepEqual(words(bytes), BINARY.map(([, , , expected]) => expected));
    });

    test(`${arch}: comparisons of ${by} are signed and of all 64 bits`, { needs }, async () => {
      const cases = COMPARED.flatMap(([a, b]) =>
        (Object.keys(COMPARISONS) as Condition[1][]).map((comparison) => ({ a, b, comparison }))
      );
      const { bytes } = await build(arch, (p) => {
        const value = (n: bigint): Argument => by === "constants" ? n : p.slot(n);
        const results = cases.map(({ a, b, comparison }) => {
          const to = p.slot(7);
          p.if([value(a), comparison, value(b)], () => p.set(to, 1), () => p.set(to, 0));
          const taken = p.slot(7), yes = p.label();
          p.set(taken, 2);
          p.when([value(a), comparison, value(b)], yes);
          p.set(taken, 0);
          p.place(yes);
          p.add(to, to, taken);
          return to;
        });
        tellWords(p, results);
        p.exit(0);
      });
      const expected = cases.map(({ a, b, comparison }) => COMPARISONS[comparison](a, b) ? 3n : 0n);
      assert.deepEqual(words(bytes), expected);
    });
  }

  test(
    `${arch}: load, store, words that point to each other, fields of 8, 16 and 32 bits`,
    { needs },
    async () => {
      const { bytes } = await build(arch, (p) => {
        const inner = p.words(BIG, -1n);
        const outer = p.words(inner, inner.plus(8), "text");
        const at = p.slot(), loaded = p.slot(), second = p.slot(), text = p.slot(), stored = p.slot();
        p.load(at, outer);
        p.load(loaded, at);
        p.load(at, outer.plus(8));
        p.load(second, at);
        p.set(at, outer);
        p.add(at, at, 16);
        p.load(at, at);
        p.load(text, at);
        p.and(text, text, 0xffff_ffff);
        p.store(inner, 42);
        p.store(at, BIG); // over the string
        p.load(stored, at);
        p.add(stored, stored, inner.cell());
        const fields = ([8, 16, 32] as const).map((bits) => {
          const field = p.slot();
          p.field(field, p.words(BIG).plus(1), bits);
          return field;
        });
        tellWords(p, [loaded, second, text, stored, ...fields]);
        p.exit(0);
      });
      assert.deepEqual(words(bytes), [
        BIG,
        u64(-1n),
        0x74786574n,
        BIG + 42n,
        0xden,
        0xbcden,
        0x789abcden & 0xffffffffn,
      ]);
    },
  );

  test(
    `${arch}: loops nest, leave and start again; subroutines return to their callers`,
    { needs },
    async () => {
      const { bytes } = await build(arch, (p) => {
        const i = p.slot(), j = p.slot(), sum = p.slot(), odd = p.slot(), t = p.slot();
        p.loop((leave) => {
          p.when([i, ">=", 10], leave);
          p.set(j, 0);
          p.loop((enough, again) => {
            p.add(j, j, 1);
            p.when([j, "==", 100], enough);
            p.and(t, j, 1);
            p.when([t, "==", 0], again);
            p.add(odd, odd, j);
          });
          p.add(sum, sum, j);
          p.add(i, i, 1);
        });
        const main = p.label(), twice = p.label(), back = p.slot(), value = p.slot(1);
        p.goto(main);
        p.place(twice);
        p.add(value, value, value);
        p.goto(back);
        p.place(main);
        for (let k = 0; k < 3; k++) {
          const here = p.label();
          p.set(back, here);
          p.goto(twice);
          p.place(here);
        }
        tellWords(p, [sum, odd, value]);
        p.exit(0);
      });
      assert.deepEqual(words(bytes), [1000n, 25_000n, 8n]);
    },
  );

  test(`${arch}: the stack pointer is there before the first failure, errno and the failed step after`, {
    needs,
  }, async () => {
    const { bytes, code } = await build(arch, (p) => {
      const stack = p.slot(), argc = p.slot(), argument = p.slot(), errno = p.slot(), kept = p.slot(99);
      p.set(stack, p.errno);
      p.load(argc, stack);
      p.add(stack, stack, 16);
      p.load(argument, stack);
      p.load(argument, argument);
      const failed = p.label();
      p.sys("close", [-1], { into: kept, fail: failed });
      p.exit(1);
      p.place(failed);
      p.set(errno, p.errno);
      const again = p.label();
      p.sys("chdir", ["/nowhere/at/all"], { into: kept, fail: again });
      p.place(again);
      const later = p.slot();
      p.set(later, p.errno);
      tellWords(p, [argc, argument, errno, later, kept]);
      p.exit(7);
    }, { args: ["seven77", "x"] });
    assert.equal(code, 7);
    const [argc, argument, errno, later, kept] = words(bytes);
    assert.equal(argc, 3n);
    assert.equal(argument, 0x0037_376e_6576_6573n, "seven77 and its NUL");
    assert.equal(BigInt.asIntN(64, errno!), -9n, "EBADF");
    assert.equal(BigInt.asIntN(64, later!), -2n, "ENOENT");
    assert.equal(kept, 99n, "a failed call stores no result");
  });

  test(`${arch}: a program of 20,000 operations runs, and each is done once`, { needs }, async () => {
    const { bytes } = await build(arch, (p) => {
      const n = p.slot();
      for (let i = 0; i < 20_000; i++) p.add(n, n, 1);
      tellWords(p, [n]);
      p.exit(0);
    });
    assert.deepEqual(words(bytes), [20_000n]);
  });
}

Deno.test("a field at the very end of zeroed memory can be read", () => {
  const p = new Program("x86_64");
  const last = p.buffer(4096), value = p.slot(1);
  p.field(value, last.plus(4095), 8);
  p.exit(value);
  assert.deepEqual(load(writeImage(p)).run().end, { exit: 0 });
});

Deno.test("numbers outside 32 bits, negative ones and big ones become the right words", () => {
  const values = [0, 1, -1, 0xffff_ffff, 0x1_0000_0000, -0x1_0000_0000, 2 ** 52 + 1, -(2 ** 52) - 1, 2 ** 63];
  const p = new Program("x86_64");
  const block = p.words(...values, -(2n ** 63n), 2n ** 64n - 1n);
  const results = values.map((value) => {
    const slot = p.slot(), initial = p.slot(value), equal = p.slot();
    p.set(slot, value);
    p.if([slot, "==", initial], () => p.set(equal, slot));
    return equal;
  });
  p.sys("write", [1, block, 8 * (values.length + 2)]);
  tellWords(p, results);
  p.exit(0);
  const process = load(writeImage(p)).run();
  const [laidOut, computed] = process.output.get(1)!.map(words);
  const expected = values.map((value) => u64(BigInt(value)));
  assert.deepEqual(laidOut, [...expected, 2n ** 63n, 2n ** 64n - 1n]);
  assert.deepEqual(computed, expected);
});
