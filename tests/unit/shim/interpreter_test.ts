/** The bytes of the interpreter are what its listings assemble to. */
import assert from "node:assert/strict";
import { interpreter } from "../../../ffi/interpreter.ts";
import type { Arch } from "../../../ffi/syscalls.ts";
import { program, test } from "../../helpers/need.ts";
import { run, tmp } from "../../helpers/run.ts";

const TOOLS: Record<Arch, { prefix: string; flags: string[] }> = {
  x86_64: { prefix: Deno.build.arch === "x86_64" ? "" : "x86_64-linux-gnu-", flags: ["--64"] },
  aarch64: { prefix: Deno.build.arch === "aarch64" ? "" : "aarch64-linux-gnu-", flags: [] },
};

for (const [arch, { prefix, flags }] of Object.entries(TOOLS) as [Arch, typeof TOOLS[Arch]][]) {
  const needs = [program(`${prefix}as`), program(`${prefix}objcopy`)];
  test(`the listing for ${arch} assembles to the interpreter's bytes`, { needs }, async () => {
    const listing = new URL(`../../../ffi/interpreter-${arch}.S`, import.meta.url).pathname;
    const directory = tmp();
    const object = `${directory}/i.o`, text = `${directory}/i.bin`;
    const steps = [
      [`${prefix}as`, ...flags, listing, "-o", object],
      [`${prefix}objcopy`, "-O", "binary", "-j", ".text", object, text],
    ];
    for (const argv of steps) {
      const { code, stderr } = await run(argv);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    }
    assert.equal(hex(await Deno.readFile(text)), hex(interpreter(arch)));
  });
}

/** Sixteen bytes a line, so that a difference shows where it is. */
function hex(bytes: Uint8Array): string {
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return (digits.match(/.{1,32}/g) ?? []).join("\n");
}
