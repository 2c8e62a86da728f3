/** Reaching processes: those of the host, the sandbox's own init, and living on after the end. */
import assert from "node:assert/strict";
import { cordonArgv } from "../helpers/binary.ts";
import { everyone, ok, type Person, userOnly } from "../helpers/everyone.ts";
import { asUserArgv } from "../helpers/user.ts";
import { compiler, inside, outside, quote, worked } from "./security_attack.ts";

const needs = [compiler];

/** A process of this person's that waits until the test is done with it. */
async function withVictim(p: Person, body: (pid: number) => Promise<void>): Promise<void> {
  const argv = ["sleep", "600"];
  const [program, ...args] = p.name === "user" ? asUserArgv(argv) : argv;
  const child = new Deno.Command(program!, { args, stdin: "null", stdout: "null" }).spawn();
  try {
    // setpriv execs: the pid is the victim's, once it has the name.
    while (Deno.readTextFileSync(`/proc/${child.pid}/comm`) !== "sleep\n") {
      await new Promise((done) => setTimeout(done, 5));
    }
    await body(child.pid);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}

/** Commands lines of all processes of the machine. */
function commandLines(): string[] {
  return [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).flatMap(({ name }) => {
    try {
      return [Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim()];
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return []; // it has just ended
      if ((error as { code?: string }).code === "ESRCH") return [];
      throw error;
    }
  });
}

/** A number that no other process has as its argument. */
function unique(): string {
  return `86400.${crypto.getRandomValues(new Uint32Array(1))[0]}`;
}

everyone("processes of the host cannot be seen or signalled", async (p) => {
  await withVictim(p, async (pid) => {
    const attacks = [`signal_process:${pid}`, `read_file:/proc/${pid}/status`];
    worked(await outside(p, attacks));
    assert.deepEqual(await inside(p, attacks), { [attacks[0]!]: "ESRCH", [attacks[1]!]: "ENOENT" });
  });
  const seen = ok(await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", "cat /proc/[0-9]*/comm; :"]));
  assert.deepEqual(seen.split("\n").sort(), ["cordon-init", "sh"]);
}, { needs });

everyone("signals to everybody and to the own group stay inside", async (p) => {
  const dir = p.dir();
  for (const target of ["0", "-1"]) {
    const run = cordonArgv(["isolate", "-m", "ro:/usr", "--", "sh", "-c", `kill -9 ${target}; sleep 1`]).map(
      quote,
    );
    assert.equal(
      await p.sh(`{ ${run.join(" ")}; } 2>/dev/null || :; echo alive`, dir),
      "alive",
      `kill -9 ${target}`,
    );
  }
  // Without a sandbox the group that is hit is the caller's.
  const bare = "setsid -w sh -c 'sh -c \"kill -9 0\"; echo alive' 2>/dev/null || echo $?";
  assert.equal(await p.sh(bare, dir), "137");
});

everyone("init, which has the same user, cannot be traced, read, rewritten or robbed", async (p) => {
  const attacks = (
    pid: number,
  ) => [`trace:${pid}`, `write_memory:${pid}`, `write_vm:${pid}`, `steal_descriptor:${pid}`];
  await withVictim(p, async (pid) => {
    const yama = {
      trace: ["EPERM"],
      write_memory: ["EACCES"],
      write_vm: ["EPERM"],
      steal_descriptor: ["EPERM"],
    };
    worked(await outside(p, attacks(pid)), { except: restricted() ? yama : {} });
  });
  assert.deepEqual(await inside(p, attacks(1)), {
    "trace:1": "EPERM",
    "write_memory:1": "EACCES",
    "write_vm:1": "EPERM",
    "steal_descriptor:1": "EPERM",
  });
  const files = ["environ", "maps", "root/.", "cwd/.", "exe", "fd/3"].map((name) =>
    `read_file:/proc/1/${name}`
  );
  const found = await inside(p, files);
  for (const file of files) assert.equal(found[file], "EACCES", file);
}, { needs });

/** Whether Yama lets processes trace only their descendants. */
function restricted(): boolean {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/yama/ptrace_scope").trim() !== "0";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

everyone("nothing lives on after the end", async (p) => {
  const [free, caught] = [unique(), unique()];
  const daemon = (name: string) => `(setsid nohup sleep ${name} >/dev/null 2>&1 &)`;
  await p.sh(daemon(free), "/");
  try {
    // It is still on its way; if it never comes the test's deadline tells.
    while (!commandLines().includes(`sleep ${free}`)) await new Promise((done) => setTimeout(done, 5));
  } finally {
    await p.sh(`pkill -KILL -xf 'sleep ${free.replace(".", "\\.")}'`, "/");
  }
  ok(await p.isolate(["-m", "ro:/usr", "--", "sh", "-c", daemon(caught)]));
  assert.deepEqual(commandLines().filter((line) => line.includes(caught)), []);
});

userOnly("a fork bomb meets a limit though none was asked for", async (p) => {
  const bomb = "fork_bomb:4200";
  worked(await outside(p, [bomb]));
  assert.deepEqual(await inside(p, [bomb]), { [bomb]: "EAGAIN" });
}, { needs });

everyone("--core 0 forbids core files, also to a program that asks for them", async (p) => {
  const crash = "ulimit -c unlimited 2>/dev/null || ulimit -c";
  assert.equal(ok(await p.isolate(["-m", "ro:/usr", "--core", "0", "--", "bash", "-c", crash])), "0");
  assert.equal(ok(await p.isolate(["-m", "ro:/usr", "--", "bash", "-c", crash])), "");
});

everyone("nothing is left on the host: no mount, no file, no process", async (p) => {
  const dir = p.dir();
  await p.sh("mkdir a b", dir);
  // Where a sandbox assembles, and what it mounts on and from. Elsewhere mounts of others come and go.
  const places = ["/tmp", dir, "/x", "/y", "/z", "/usr", "/etc", "/dev", "/proc"];
  const look = () => [
    Deno.readTextFileSync("/proc/self/mountinfo").split("\n").filter((line) =>
      places.some((place) => line.split(" ")[4] === place || line.split(" ")[4]?.startsWith(`${dir}/`))
    ),
    [...Deno.readDirSync(dir)].map(({ name }) => name).sort(),
  ];
  const before = look();
  const name = unique();
  const mounts = `${dir}/a ro:${dir}/b /x=${dir}/b tmp:/y /z=none`;
  const out = await p.isolate(["-m", mounts, "--", "sh", "-c", `sleep ${name} & ls /x /y /z`]);
  assert.equal(out.code, 0, out.stderr);
  assert.deepEqual(look(), before);
  assert.deepEqual(commandLines().filter((line) => line.includes(name)), []);
});
