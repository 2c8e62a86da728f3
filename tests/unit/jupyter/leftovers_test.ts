import assert from "node:assert/strict";
import { realCgroupSystem } from "../../../lib/host/cgroups.ts";
import {
  launcherIsGone,
  launcherLabel,
  privateName,
  privateParents,
  sweepDirectories,
} from "../../../lib/jupyter/leftovers.ts";
import { FakeCgroups, OWN_PID, statLine } from "../../helpers/fake_cgroups.ts";
import { tmp } from "../../helpers/run.ts";

const NAMESPACE = "4026531836";

Deno.test("a launcher is gone when its pid is free or another process has it", () => {
  const system = new FakeCgroups({ files: { "/proc/9/stat": statLine(9, 5, "Z") } });
  assert.equal(launcherLabel(system), `${NAMESPACE}:${OWN_PID}:77`);
  const gone: Record<string, boolean> = {
    [launcherLabel(system)]: false,
    [`${OWN_PID}:77`]: false,
    [`${OWN_PID}:78`]: true,
    [`${NAMESPACE}:${OWN_PID}:78`]: true,
    "1234:1": true,
    "9:5": true, // dead, and not waited for
    "1:1234:1": false, // another pid namespace: nothing can be told
    "": false,
    "x:1": false,
  };
  for (const [label, expected] of Object.entries(gone)) {
    assert.equal(launcherIsGone(label, system), expected, label);
  }
});

Deno.test("directories: a dead maker's go, everything else stays", () => {
  const parent = tmp();
  const own = privateName();
  const dead = own.replace(/^(cordon-\d+)-\d+-\d+/, "$1-4194303-1");
  const kept = [own, "cordon-abcdef", dead.replace(/\d+/, "1"), `${dead}-more`];
  for (const name of [...kept, dead]) Deno.mkdirSync(`${parent}/${name}/deep`, { recursive: true });
  const victim = tmp();
  Deno.writeTextFileSync(`${victim}/file`, "");
  Deno.symlinkSync(victim, `${parent}/${dead}/deep/out`);
  const linked = dead.replace(/.$/, (digit) => digit === "0" ? "1" : "0");
  Deno.symlinkSync(victim, `${parent}/${linked}`);

  assert.deepEqual(sweepDirectories([parent, "/nonexistent"]), { removed: [`${parent}/${dead}`], left: [] });
  const rest = Array.from(Deno.readDirSync(parent), ({ name }) => name).sort();
  assert.deepEqual(rest, [...kept, linked].sort());
  assert.ok(Deno.statSync(`${victim}/file`).isFile);
});

Deno.test("directories of another user stay", () => {
  const parent = tmp();
  const dead = privateName().replace(/^(cordon-\d+)-\d+-\d+/, "$1-4194303-1");
  Deno.mkdirSync(`${parent}/${dead}`);
  const stranger = { ...realCgroupSystem, uid: () => 4_000_000 };
  assert.deepEqual(sweepDirectories([parent], stranger), { removed: [], left: [] });
});

Deno.test("where private directories are: the runtime directory first, relative names never", () => {
  const env = { XDG_RUNTIME_DIR: "/run/user/7", TMPDIR: "tmp" };
  assert.deepEqual(privateParents(env), ["/run/user/7", "/tmp"]);
  assert.deepEqual(privateParents({ TMPDIR: "/tmp" }), ["/tmp"]);
});
