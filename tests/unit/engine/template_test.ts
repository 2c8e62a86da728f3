import assert from "node:assert/strict";
import { Templates } from "../../../lib/engine/namespaces/template.ts";
import { randomId } from "../../../lib/host/cgroups.ts";
import type { Spec } from "../../../lib/spec/spec.ts";

function spec(script: string, change: Partial<Spec> = {}): Spec {
  return {
    command: ["/bin/sh", "-c", script],
    env: {},
    workdir: { path: "/", required: true },
    user: { uid: 1, gid: 1, groups: [], name: "u", group: "g", home: "/", shell: "/bin/sh" },
    mapRoot: false,
    hostname: "h",
    root: { assembleAt: "/tmp", etc: true },
    mounts: [],
    network: { mode: "none", allow: [] },
    limits: { tmpBytes: 1, bestEffort: false },
    keepFds: [],
    rawStdio: true,
    nested: false,
    verbose: false,
    ...change,
  };
}

/** Stands for the images: what matters is that the strings are in there. */
function builder(paths: readonly string[]) {
  const built = { count: 0 };
  const build = ({ command }: Spec) => {
    built.count++;
    const text = `\x7fELF\0${command.join("\0")}\0${paths.join("\0")}\0${paths[0]}/x\0`;
    return new Uint8Array(new TextEncoder().encode(text));
  };
  return { built, build };
}

const shown = (image: Uint8Array) =>
  new TextDecoder().decode(image).split("\0").filter((word) => word !== "");

Deno.test("the same but for script and names is made once, and says the same as one of its own", () => {
  const templates = new Templates();
  const first = [`/a/${randomId()}`, `/b/${randomId()}`], second = [`/a/${randomId()}`, `/b/${randomId()}`];
  const { built, build } = builder(first);
  const one = shown(templates.image({ spec: spec("echo a long first script"), paths: first, build }, 0));
  assert.deepEqual(one, ["\x7fELF", "/bin/sh", "-c", "echo a long first script", ...first, `${first[0]}/x`]);
  const two = shown(templates.image({ spec: spec("é"), paths: second, build }, 999));
  assert.deepEqual(two, ["\x7fELF", "/bin/sh", "-c", "é", ...second, `${second[0]}/x`]);
  assert.equal(built.count, 1);
});

Deno.test("what was looked at on the machine is looked at again after a second", () => {
  const templates = new Templates();
  const paths = [`/a/${randomId()}`];
  const { built, build } = builder(paths);
  for (const now of [0, 1000, 1001]) templates.image({ spec: spec("x"), paths, build }, now);
  assert.equal(built.count, 2);
});

for (
  const [what, a, b] of [
    ["another Spec", spec("x"), spec("x", { env: { A: "b" } })],
    ["another program", spec("x"), spec("x", { command: ["/bin/bash", "-c", "x"] })],
    ["a program alone", spec("x", { command: ["x"] }), spec("x", { command: ["y"] })],
    ["a longer script", spec("x"), spec("x".repeat(2000))],
    ["mounts", spec("x"), spec("x", { mounts: [{} as Spec["mounts"][number]] })],
    ["bytes that are no text", spec("x"), spec("\udc80")],
    ["a NUL", spec("x"), spec("a\0b")],
    ["a script of its own size", spec("x"), spec("x".repeat(100_000))],
  ] as const
) {
  Deno.test(`${what} takes an image of its own`, () => {
    const templates = new Templates();
    const paths = [`/a/${randomId()}`];
    const { built, build } = builder(paths);
    for (const one of [a, b]) templates.image({ spec: one, paths, build }, 0);
    assert.equal(built.count, 2);
  });
}

Deno.test("where a name does not stand in the image, it is built as asked", () => {
  const { built, build } = builder([`/a/${randomId()}`]);
  const image = new Templates().image({ spec: spec("script"), paths: [`/a/${randomId()}`], build }, 0);
  assert.equal(built.count, 2);
  assert.ok(shown(image).includes("script"));
});
