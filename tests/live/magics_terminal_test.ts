/** The magics in IPython's terminal, loaded by `--autoload`. */
import assert from "node:assert/strict";
import { cordon } from "../helpers/binary.ts";
import { pythonModule, test, userns } from "../helpers/need.ts";
import { notebookNeeds, notebooks } from "./magics_setup.ts";

const TERMINAL = new URL("magics_terminal.py", import.meta.url).pathname;

test("IPython in a terminal: output as it comes, an interrupt, on and off", {
  needs: [...notebookNeeds, userns, pythonModule("pexpect")],
}, async () => {
  const { python, run } = await notebooks();
  const installed = await cordon(["magics", "install", "--autoload", "--python", python]);
  assert.equal(installed.code, 0, installed.stderr);
  const { code, stderr } = await run([python, TERMINAL]);
  assert.equal(code, 0, stderr);
});
