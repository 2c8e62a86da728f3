/** The manual as a release packs it. */
import assert from "node:assert/strict";
import { registry } from "../../cmd/commands.ts";
import { executable } from "../helpers/binary.ts";
import { run, tmp } from "../helpers/run.ts";

Deno.test("packaging/man writes a page for cordon and for each command", async () => {
  const directory = tmp();
  const script = new URL("../../packaging/man", import.meta.url).pathname;
  const { code, stderr } = await run([script, executable(), directory]);
  assert.equal(code, 0, stderr);
  const wanted = ["", ...registry.commands.map(({ name }) => `-${name.replaceAll(" ", "-")}`)];
  const written = [...Deno.readDirSync(`${directory}/man1`)].map(({ name }) => name);
  assert.deepEqual(written.sort(), wanted.map((name) => `cordon${name}.1`).sort());
  for (const [index, { name }] of registry.commands.entries()) {
    const page = Deno.readTextFileSync(`${directory}/man1/cordon${wanted[index + 1]}.1`);
    assert.ok(page.includes(`cordon ${name}`.replaceAll("-", "\\-")), name);
  }
});
