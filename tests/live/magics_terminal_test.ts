/** The magics in IPython's terminal, loaded by `--autoload`. */
import assert from "node:assert/strict";
import { cordon } from "../helpers/binary.ts";
import { pythonModule, test, userns } from "../helpers/need.ts";
import { run } from "../helpers/run.ts";
import { environment, notebookNeeds, notebooks } from "./magics_setup.ts";

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

test("--autoload --user: every session of that user has the magics, and none after remove", {
  needs: notebookNeeds,
}, async () => {
  const { home, python } = await environment();
  // Most virtual environments do not look at the user's packages; this one does.
  const config = `${home}/venv/pyvenv.cfg`;
  const text = Deno.readTextFileSync(config);
  Deno.writeTextFileSync(config, text.replace("site-packages = false", "site-packages = true"));
  const env = { HOME: home, DOCKER_HOST: "unix:///nonexistent.sock" };
  const place = ["--python", python, "--user"];
  const ask = (line: string) => run([python, "-m", "IPython", "--no-banner", "-c", line], { cwd: home, env });
  const installed = await cordon(["magics", "install", "--autoload", ...place], { env });
  assert.equal(installed.code, 0, installed.stderr);
  assert.match(installed.stdout, RegExp(`^Saved ${home}/.local/`));
  assert.match((await ask("%docker_status")).stdout, /^=== Dockyter Backend Status ===$/m);
  const removed = await cordon(["magics", "remove", ...place], { env });
  assert.equal(removed.code, 0, removed.stderr);
  const after = await ask("%docker_status");
  assert.match(after.stdout + after.stderr, /`%docker_status` not found/);
});
