/** A batch system's commands from inside portwrap, as docs/portwrap.md describes: Debian's Slurm, one node. */
import assert from "node:assert/strict";
import { executable } from "../helpers/binary.ts";
import { program, root, test } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";

const SCRIPT = new URL("slurm.sh", import.meta.url).pathname;
const USER = 64712;
const needs = [root, ...["slurmctld", "slurmd", "munged", "sbatch", "ip"].map(program)];

test("sbatch, squeue and scancel reach the controller that is allowed, and no other", { needs }, async () => {
  const directory = tmp(), home = `${directory}/home`;
  Deno.mkdirSync(home);
  Deno.chownSync(home, USER, USER);
  const portwrap = `${executable()} portwrap -p 0 -P 8888`;
  const session = `
${portwrap} -- timeout 5 squeue -h 2>/dev/null && echo reached || echo closed
${portwrap} --allow slurmctl.test:6817 -- sh -euc '
  sbatch --wait --output="$HOME/job" --wrap "id -un" >/dev/null
  cat job
  id=$(sbatch --parsable --hold --wrap "sleep 600")
  squeue --noheader --format="%u %T"
  scancel $id
  squeue --noheader'`;
  const namespaces = "--mount --propagation private --net --uts --pid --fork --kill-child --mount-proc".split(
    " ",
  );
  const argv = ["unshare", ...namespaces, "sh", SCRIPT, directory, String(USER), "sh", "-c", session];
  const { code, stdout, stderr } = await run(argv, { deadline: 180_000 });
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.trim().split("\n"), ["closed", "alice", "alice PENDING"]);
});
