/** The demonstration of grading: with cordon the attack of a submission gets nothing, and the grades stay. */
import assert from "node:assert/strict";
import { executable } from "../helpers/binary.ts";
import { python, pythonModule, test, userns } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";
import { asUserArgv, ordinaryTmp } from "../helpers/user.ts";

const DEMO = new URL("../../demo/grading/", import.meta.url).pathname;
const needs = [userns, pythonModule("nbgrader"), pythonModule("ipykernel")];

/** `read the gradebook   155648 bytes   nothing` as its three columns. */
function columns(line: string): string[] {
  return line.split(/ {2,}/);
}

async function grades(as: (argv: string[]) => string[], home: string): Promise<void> {
  // A copy, because the ordinary user may not be able to reach the checkout.
  for (const file of ["grading.py", "attack.py"]) Deno.copyFileSync(DEMO + file, `${home}/${file}`);
  const { code, stdout, stderr } = await run(as([python, `${home}/grading.py`, executable()]), {
    cwd: home,
    deadline: 300_000,
  });
  assert.equal(code, 0, stdout + stderr);
  const rows = new Map(stdout.split("\n").map(columns).map(([name, ...rest]) => [name!, rest]));
  const refused = ["gradebook", "solutions"].map((what) => rows.get(`read the ${what}`)!);
  for (const [without, isolated] of refused) {
    assert.deepEqual([/bytes$/.test(without!), isolated], [true, "nothing"]);
  }
  assert.deepEqual(rows.get("reach a service of the grading server"), ["a secret of the server", "nothing"]);
  assert.deepEqual(rows.get("leave a process behind"), ["1 left", "0 left"]);
  assert.deepEqual(rows.get("score of an honest one"), ["3", "3"]);
}

if (Deno.uid() === 0) test("demo/grading [root]", { needs }, () => grades((argv) => argv, tmp()));
test("demo/grading [user]", { needs }, () => grades(asUserArgv, ordinaryTmp()));
