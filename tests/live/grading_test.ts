/** demo/grading: nbgrader's quickstart course, graded without and with cordon. */
import assert from "node:assert/strict";
import { executable } from "../helpers/binary.ts";
import { everyone } from "../helpers/everyone.ts";
import { python, pythonModule } from "../helpers/need.ts";
import { run } from "../helpers/run.ts";
import { asUserArgv } from "../helpers/user.ts";

const DEMO = new URL("../../demo/grading/run", import.meta.url).pathname;
const picture = Deno.readTextFileSync(new URL("../../demo/grading/grading.svg", import.meta.url));

everyone("the grading demonstration keeps its promises", async (p) => {
  const home = p.dir();
  const argv = p.name === "user" ? asUserArgv([DEMO]) : [DEMO];
  const { code, stdout, stderr } = await run(argv, {
    cwd: home,
    deadline: 400_000,
    env: { HOME: home, TMPDIR: home, CORDON: executable(), PYTHON: python, PYTHONDONTWRITEBYTECODE: "1" },
  });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^read the gradebook +3 students read +-$/m);
  assert.match(stdout, /^leave a process behind +it runs on +-$/m);
  assert.match(stdout, /^ada +3 of 13 +3 of 13$/m);
  assert.deepEqual([...Deno.readDirSync(home)], []);
  // README shows this table as a picture: demo/grading/picture draws it again.
  for (const [, what, got] of stdout.matchAll(/^(\w.+?) {2,}(\w.*?) {2,}-$/gm)) {
    for (const words of [what!, got!]) assert.ok(picture.includes(`>${words}</text>`), words);
  }
}, { needs: [pythonModule("nbgrader")] });
