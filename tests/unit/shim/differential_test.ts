/** The simulator and the real interpreter agree on random programs: what other tests simulate is what would happen. */
import assert from "node:assert/strict";
import type { Arch } from "../../../ffi/syscalls.ts";
import { writeImage } from "../../../lib/shim/image.ts";
import { type Argument, type Condition, Program } from "../../../lib/shim/program.ts";
import { test } from "../../helpers/need.ts";
import { load } from "../../helpers/simulator.ts";
import { ARCHITECTURES, execute, runs } from "./running.ts";

const EBADF = -9, ENOENT = -2;
const SLOTS = 12, TABLE = 16, STATEMENTS = 120;

/** xorshift32: the same programs for the same seed, everywhere. */
function random(seed: number): (below: number) => number {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** A program of random statements that ends, and writes everything it computed to stdout. */
function randomProgram(arch: Arch, seed: number): Program {
  const pick = random(seed * 2654435761);
  const p = new Program(arch);
  const table = p.words(...Array.from({ length: TABLE }, (_, i) => BigInt(i) * 0x0101_0101_0101_0101n));
  const interesting = [0n, 1n, -1n, 63n, 64n, 255n, 2n ** 31n, 2n ** 32n, -(2n ** 63n), 2n ** 63n - 1n];
  const slots = Array.from({ length: SLOTS }, (_, i) => p.slot(interesting[i % interesting.length]!));
  const slot = () => slots[pick(SLOTS)]!;
  const value = (): Argument => {
    if (pick(3) > 0) return slot();
    return pick(2)
      ? interesting[pick(interesting.length)]!
      : BigInt(pick(2 ** 31)) * BigInt(pick(2 ** 31)) - 2n ** 60n;
  };
  const condition = (): Condition => [value(), (["==", "!=", "<", ">="] as const)[pick(4)]!, value()];
  const cell = p.slot();
  const element = () => {
    p.and(cell, slot(), TABLE - 1);
    p.shl(cell, cell, 3);
    p.add(cell, cell, table);
  };

  function statement(depth: number): void {
    const kind = pick(depth < 3 ? 13 : 9);
    if (kind < 3) return p[(["add", "sub", "and"] as const)[kind]!](slot(), value(), value());
    switch (kind) {
      case 3:
        return p.shr(slot(), value(), pick(2) ? slot() : pick(64));
      case 4:
        return p.shl(slot(), value(), pick(2) ? slot() : pick(64));
      case 5:
        return p.set(slot(), value());
      case 6:
        element();
        return p.load(slot(), cell);
      case 7:
        element();
        return p.store(cell, value());
      case 8:
        return failingCall();
      case 9:
      case 10:
        return p.if(condition(), () => block(depth + 1), pick(2) ? () => block(depth + 1) : undefined);
      case 11: {
        const turn = p.slot(), turns = 1 + pick(5);
        p.set(turn, 0);
        return p.loop((leave, again) => {
          p.when([turn, ">=", turns], leave);
          p.add(turn, turn, 1);
          block(depth + 1);
          p.when(condition(), pick(4) ? again : leave);
          block(depth + 1);
        });
      }
      default: {
        const skip = p.label();
        p.when(condition(), skip);
        block(depth + 1);
        p.place(skip);
      }
    }
  }
  function failingCall(): void {
    const failed = p.label(), to = slot();
    const args: [number] | [string] = pick(2) ? [-1] : ["/nowhere/at/all"];
    p.sys(typeof args[0] === "number" ? "close" : "chdir", args, { into: to, fail: failed });
    p.set(to, 12345);
    p.place(failed);
    if (pick(2)) p.add(slot(), p.errno, 0);
  }
  function block(depth: number): void {
    for (let n = 1 + pick(4); n > 0; n--) statement(depth);
  }

  p.set(p.errno, 0); // holds the stack pointer, which is another one each time
  for (let i = 0; i < STATEMENTS; i++) statement(0);
  const out = p.buffer(8 * SLOTS);
  slots.forEach((from, i) => p.set(out.cell(8 * i), from));
  p.sys("write", [1, out, 8 * SLOTS]);
  p.sys("write", [1, table, 8 * TABLE]);
  p.exit(slots[0]!);
  return p;
}

for (const arch of ARCHITECTURES) {
  test(`${arch}: simulator and interpreter agree on random programs`, { needs: runs(arch) }, async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 60; seed++) {
      const image = writeImage(randomProgram(arch, seed));
      const real = await execute(image, { arch });
      const simulated = load(image).run({ close: () => EBADF, chdir: () => ENOENT });
      const written = (simulated.output.get(1) ?? []).flatMap((bytes) => [...bytes]);
      assert.deepEqual([...real.bytes], written, `seed ${seed}`);
      assert.deepEqual(simulated.end, { exit: real.code }, `seed ${seed}`);
      assert.equal(real.stderr, "");
      seen.add(written.join());
    }
    assert.equal(seen.size, 60, "the programs differ in what they compute");
  });
}

test("simulator and interpreter agree on argv, environment, forks and the failure message", {
  needs: runs("x86_64"),
}, async () => {
  const p = new Program("x86_64");
  const at = p.slot(),
    argc = p.slot(),
    text = p.slot(),
    child = p.slot(),
    status = p.slot(),
    second = p.label();
  p.load(argc, p.errno);
  p.add(at, p.errno, 16);
  p.load(text, at); // argv[1]
  p.sys("write", [1, text, 4]);
  p.shl(argc, argc, 3);
  p.add(at, at, argc);
  p.load(text, at); // envp[0]
  p.sys("write", [1, text, 5]);
  p.sys("clone", [17, 0, 0, 0, 0], { into: child });
  p.when([child, "==", 0], second);
  p.sys("wait4", [child, status.address, 0, 0]);
  p.shr(status, status, 8);
  p.exit(status);
  p.place(second);
  p.sys("chdir", ["/nowhere/at/all"], { say: "look" });
  const image = writeImage(p);

  const real = await execute(image, {
    arch: "x86_64",
    args: ["four"],
    env: { PATH: undefined, HOME: undefined, LANG: undefined, A: "b c" },
  });
  let born: ReturnType<typeof load> | undefined;
  const simulated = load(image, { argv: ["image", "four"], env: ["A=b c"] }).run({
    wait4: (call) => {
      born = call.process.children[0]!.run({ chdir: () => ENOENT });
      call.put32(1, (born.end as { exit: number }).exit << 8);
      return born.pid;
    },
  });
  assert.deepEqual(simulated.end, { exit: real.code });
  assert.equal(simulated.written(1), real.stdout);
  assert.equal(real.stdout, "fourA=b c");
  assert.equal(born!.written(2), real.stderr);
  assert.equal(real.stderr, "cordon: Look: ENOENT (No such file or directory)\n");
});
