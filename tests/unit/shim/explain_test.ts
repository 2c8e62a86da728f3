/** Programs in print. */
import assert from "node:assert/strict";
import { explain } from "../../../lib/shim/explain.ts";
import { Program } from "../../../lib/shim/program.ts";
import { sandboxProgram } from "../../../lib/shim/programs/sandbox.ts";
import { madeUpPlan } from "./plan.ts";

Deno.test("calls read like strace's lines, with where a failure leads and what the step is called", () => {
  const p = new Program("x86_64");
  const fd = p.slot();
  const failed = p.label("no file");
  p.sys("openat", [-100, "/etc/x y", 0o2000000, 0], { into: fd, fail: failed, say: "open x" });
  p.sys("close", [fd]);
  p.place(failed);
  p.exit(3);
  const lines = explain(p).split("\n");
  assert.match(
    lines[0]!,
    /^ +\w+ = openat\(-100, "\/etc\/x y", 0x80000, 0\) {2}else (no-file\.\d+) {2}# open x$/,
  );
  assert.match(lines[1]!, /^ +close\(\w+\)$/);
  assert.match(lines[2]!, /^no-file\.\d+:$/);
  assert.match(lines[3]!, /^ +exit_group\(3\)$/);
});

Deno.test("computations, branches and addresses read as what they are", () => {
  const p = new Program("x86_64");
  const a = p.slot(), b = p.slot(), big = p.buffer(4096);
  const there = p.label("there");
  p.set(a, -1);
  p.add(a, a, b);
  p.sub(a, 1, b);
  p.and(a, a, 255);
  p.shl(a, a, 3);
  p.shr(a, a, b);
  p.load(a, big);
  p.store(big, a);
  p.set(b, p.errno);
  p.when([a, "<", 5], there);
  p.when([a, "!=", b], there);
  p.goto(there);
  p.place(there);
  p.exit(0);
  const text = explain(p).replaceAll(/^ +/gm, "").split("\n");
  const [x, y, z] = [
    /^(\w+) = -1$/.exec(text[0]!)![1],
    /\+ (\w+)$/.exec(text[1]!)![1],
    /\*(&\w+)$/.exec(text[6]!)![1],
  ];
  const label = /goto (there\.\d+)$/.exec(text[9]!)![1];
  assert.deepEqual(text, [
    `${x} = -1`,
    `${x} = ${x} + ${y}`,
    `${x} = 1 - ${y}`,
    `${x} = ${x} & 255`,
    `${x} = ${x} << 3`,
    `${x} = ${x} >> ${y}`,
    `${x} = *${z}`,
    `*${z} = ${x}`,
    `${y} = errno`,
    `if ${x} < 5 goto ${label}`,
    `if ${x} != ${y} goto ${label}`,
    `goto ${label}`,
    `${label}:`,
    "exit_group(0)",
    "",
  ]);
});

Deno.test("a whole sandbox: every label that is gone to is there once, and the steps are told", () => {
  const text = explain(sandboxProgram(madeUpPlan({ rawStdio: false })));
  const placed = [...text.matchAll(/^(\S+):$/gm)].map((m) => m[1]);
  const gone = new Set(
    [...text.matchAll(/(?:goto|else) (\S+)/g)].map((m) => m[1]!).filter((name) => /\.\d+$/.test(name)),
  );
  assert.equal(new Set(placed).size, placed.length);
  for (const name of gone) assert.ok(placed.includes(name), name);
  for (const step of ["create namespaces", "detach the old root", "install the seccomp filter"]) {
    assert.ok(text.includes(`# ${step}`), step);
  }
});
