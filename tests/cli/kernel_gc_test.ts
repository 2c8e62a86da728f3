/** `cordon kernel gc` after everything of a kernel was killed: nothing remains. With engines: tests/live/kernel_gc.py. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone } from "../helpers/everyone.ts";
import { exists } from "../helpers/machine.ts";
import { family, running, sandboxOf, whileRunning } from "../helpers/processes.ts";

const CHANNELS = ["shell", "iopub", "stdin", "control", "hb"];

/** Control groups that a process made, which its pid tells from those of other tests. */
function groupsOf(pid: number): string[] {
  const name = new RegExp(`^cordon-\\d+-${pid}-\\d+-[0-9a-f]+$`), found: string[] = [];
  const look = (directory: string) => {
    for (const entry of Deno.readDirSync(directory)) {
      if (!entry.isDirectory) continue;
      if (name.test(entry.name)) found.push(`${directory}/${entry.name}`);
      look(`${directory}/${entry.name}`);
    }
  };
  look("/sys/fs/cgroup");
  return found;
}

everyone("kernel gc: all processes of a kernel in namespaces are killed at once", async (p) => {
  const home = p.dir(), runtime = p.dir(), temporary = p.dir();
  const env = { HOME: home, XDG_RUNTIME_DIR: runtime, TMPDIR: temporary };
  const names = CHANNELS.map((name, i) => [`${name}_port`, i + 1]);
  const connection = { transport: "ipc", ip: `${home}/k`, key: "k", ...Object.fromEntries(names) };
  await p.sh(`cat >c.json <<'END'\n${JSON.stringify(connection)}\nEND`, home);
  const launch = [
    "kernel",
    "launch",
    "-f",
    `${home}/c.json`,
    "--memory",
    "200M",
    "--best-effort",
    "--copy-workdir",
  ];
  const argv = cordonArgv([...launch, "--", "sh", "-c", "setsid sleep 3600 & exec sleep 3600"]);
  await whileRunning(p, argv, async (started) => {
    await sandboxOf(started.pid);
    const all = family(started.pid), groups = groupsOf(started.pid);
    // Root can make control groups; elsewhere it depends on the session.
    assert.ok(groups.length > 0 || p.name === "user", "the limit has a control group");
    for (const { pid } of all) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error; // the one before took it along
      }
    }
    await started.end;
    const { code, stdout, stderr } = await p.cordon(["kernel", "gc", "--json"], { env });
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout).left, []);
    assert.deepEqual(groups.filter(exists), []);
    const alive = all.filter(({ pid, argv }) => {
      const now = running(pid);
      return now !== undefined && now.state !== "Z" && now.argv.join() === argv.join();
    });
    assert.deepEqual(alive, []);
    for (const directory of [runtime, temporary]) assert.deepEqual([...Deno.readDirSync(directory)], []);
  }, { cwd: home, env });
});
