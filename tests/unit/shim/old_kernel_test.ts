/** Programs for kernels before Linux 5.12: what they do without, and the flags of mounts that they set one by one. */
import assert from "node:assert/strict";
import { E, MS, O, openFlags, PR, SIG } from "../../../ffi/constants.ts";
import { SYSCALLS } from "../../../ffi/syscalls.ts";
import type { Step } from "../../../lib/engine/namespaces/steps.ts";
import { parseMounts } from "../../../lib/host/mounts.ts";
import type { Program } from "../../../lib/shim/program.ts";
import { containerProgram } from "../../../lib/shim/programs/container.ts";
import { containerInit } from "../../../lib/shim/programs/container_init.ts";
import { keeperProgram } from "../../../lib/shim/programs/keeper.ts";
import { sandboxProgram } from "../../../lib/shim/programs/sandbox.ts";
import type { Kernel } from "../../helpers/fake_kernel.ts";
import type { Process } from "../../helpers/simulator.ts";
import { bornInit, matching, report, runMonitor, script, signal } from "./events.ts";
import { madeUpPlan, STEPS } from "./plan.ts";

/** The first number of x86_64 that Linux 4.18 had not given out. */
const FIRST_NEW = 335;
const NOFOLLOW = openFlags("x86_64").NOFOLLOW;
const bind = (source: string, dest: string, changes: Partial<Step & { do: "bind" }> = {}): Step => ({
  do: "bind",
  source,
  dest,
  own: true,
  readOnly: true,
  devices: false,
  optional: false,
  ...changes,
});
const forwards = [{
  listenFd: 7,
  to: { unix: "/run/s" },
  absent: "hold" as const,
}, {
  listenFd: 8,
  to: { host: "127.0.0.1", port: 80 },
  absent: "reset" as const,
}];

Deno.test("no program for an old kernel holds a call that Linux 4.18 lacks", () => {
  const steps: Step[] = [
    ...STEPS,
    { do: "directory", path: "/dev", mode: 0o755 },
    { do: "tmpfs", dest: "/t", own: true, readOnly: true, bytes: 4096, mode: 0o755 },
    {
      do: "tmpfs",
      dest: "/home/ann/w/t",
      own: false,
      readOnly: true,
      bytes: 4096,
      mode: 0o755,
      unlessGone: true,
    },
    { do: "copy", source: "/c", dest: "/c", type: "directory", readOnly: true },
    { do: "copy", source: "/f", dest: "/f", type: "file", readOnly: true },
    { do: "devpts", dest: "/dev/pts" },
    { do: "console", dest: "/dev/console" },
    { do: "text", dest: "/etc/hosts", content: "x" },
    bind("/gone", "/gone", { optional: true }),
    { do: "seal" },
  ];
  const plan = madeUpPlan({
    hostMounts: [],
    steps,
    rawStdio: false,
    keepFds: [9],
    outputBytes: 10,
    wallSeconds: 1,
    endWithParent: 5,
    pty: { master: 5, slave: 6 },
    ownSession: true,
    result: { to: { fd: 4 }, members: '"engine":"namespaces"' },
    relay: { forwards, most: 8 },
    outbound: {
      aliases: [],
      listeners: [{ address: "10.1.2.3", port: 443 }],
      helper: { name: "pasta", argv: ["pasta"], after: [], resolverArgs: [], resolver: "10.0.2.3" },
    },
  });
  const shared = { arch: "x86_64" as const, oldKernel: true, env: [] };
  const programs: Record<string, Program> = {
    sandbox: sandboxProgram(plan),
    container: containerProgram({
      ...shared,
      streamFd: 5,
      doorFd: 22,
      waitedFor: true,
      early: new Uint8Array(),
      relay: { forwards, most: 8 },
      finish: ["/cordon"],
      keeperFd: 6,
      endWithParent: 5,
    }),
    keeper: keeperProgram({
      ...shared,
      line: { read: 5, write: 6 },
      reap: ["/cordon"],
      reapLater: ["/cordon"],
    }),
    // The engine's kernel is not ours to ask.
    init: containerInit({
      arch: "x86_64",
      command: ["prog"],
      env: [],
      path: ["/bin"],
      rlimits: [],
      wallSeconds: 1,
      door: "/d",
      waits: true,
      directory: "/s",
      files: [],
      ports: [{ path: "/run/s", port: 80 }],
    }),
  };
  for (const [name, { operations }] of Object.entries(programs)) {
    const calls = new Set(
      operations.flatMap(({ name }) => name in SYSCALLS ? [name as keyof typeof SYSCALLS] : []),
    );
    assert.ok(calls.size > 5, name);
    assert.deepEqual([...calls].filter((call) => SYSCALLS[call][0] >= FIRST_NEW), [], name);
  }
  const young = new Set(sandboxProgram({ ...madeUpPlan(), steps: STEPS }).operations.map(({ name }) => name));
  assert.ok(young.has("mount_setattr") && young.has("openat2") && young.has("close_range"));
});

const HOST_MOUNTS = parseMounts(`1 0 8:1 / / rw,relatime - ext4 a rw
2 1 8:2 / /data rw,nosuid,relatime - ext4 b rw
3 2 8:3 / /data/in\\040ner rw,noexec,noatime - ext4 c rw
4 2 8:4 / /data/ready ro,nosuid,nodev,relatime - ext4 d rw
`);
/** Ours, the new root, and four that the bind takes along. */
const MOUNTED = 1 + 1 + 3;

/** Init assembling a root with one bind of /data, in a kernel that lists so many mounts. */
function assemble(
  { kernel = {}, mounted = MOUNTED, steps = [bind("/data", "/d")] }: {
    kernel?: Kernel;
    mounted?: number;
    steps?: Step[];
  } = {},
): Process {
  const { init } = bornInit({ steps, hostMounts: HOST_MOUNTS });
  let list = -1, told = false;
  const events = script([signal(17)]);
  return init.run({
    ...events,
    wait4: (call) => (call.put32(1, 0), 2),
    readlinkat: () => E.NOENT,
    read(call) {
      if (call.number(0) !== list) return events.read!(call);
      if (told) return 0;
      told = true;
      const here = Array.from({ length: mounted }, (_, i) => `${i} 1 0:1 / /newroot/${i} rw - t t rw\n`);
      const text = `90 1 0:1 / /oldroot rw - t t rw\n91 90 0:1 / /oldroot/x rw - t t rw\n${here.join("")}`;
      const bytes = new TextEncoder().encode(text);
      call.put(1, bytes);
      return bytes.length;
    },
    ...kernel,
    openat(call) {
      const answer = kernel.openat?.(call);
      if (answer !== undefined) return answer;
      const fd = call.process.nextFd++;
      if (call.line.includes("mountinfo")) [list, told] = [fd, false];
      return fd;
    },
  });
}

const remounts = (init: Process) =>
  init.named("mount").filter((call) => call.number(3) & MS.REMOUNT).map((call) => call.number(3));

Deno.test("each mount below a bind gets its flags, those it has among them; also one that had them all", () => {
  const init = assemble();
  assert.deepEqual(init.end, { exit: 0 });
  const wanted = MS.REMOUNT | MS.BIND | MS.RDONLY | MS.NOSUID | MS.NODEV;
  assert.deepEqual(remounts(init), [wanted, wanted | MS.NOEXEC, wanted]);
  const [inner] = matching(init, /^openat\(\d+, "in ner"/);
  assert.ok(inner && inner.number(2) & NOFOLLOW && inner.number(2) & O.PATH);
  // By its descriptor, and before it is moved to its place.
  const lines = init.lines;
  const at = lines.indexOf(`mount(0, "/proc/self/fd/${inner.result}", 0, ${wanted | MS.NOEXEC}, 0)`);
  const moved = lines.findLastIndex((line) =>
    new RegExp(`^mount\\("/proc.*, 0, ${MS.MOVE}, 0\\)`).test(line)
  );
  assert.ok(at > 0 && at < moved, lines.join("\n"));
});

Deno.test("a writable bind keeps what is read-only in it", () => {
  const steps = [bind("/data", "/d", { readOnly: false })];
  const flags = remounts(assemble({ steps })).map((all) => all & ~(MS.REMOUNT | MS.BIND));
  const added = MS.NOSUID | MS.NODEV;
  assert.deepEqual(flags, [added, MS.NOEXEC | added, MS.RDONLY | added]);
});

Deno.test("a mount that came after planning is noticed before anything runs; a list read in a bad moment is read again", () => {
  const init = assemble({ mounted: MOUNTED + 1 });
  assert.deepEqual(init.end, { exit: 125 });
  assert.match(init.written(2), /^cordon: Something has been mounted while this was set up/);
  assert.deepEqual(init.children, []);
  assert.ok(matching(init, /^openat\(.*mountinfo/).length > 1);
  assert.deepEqual(assemble({ mounted: MOUNTED - 1 }).end, { exit: 125 });
});

Deno.test("a mount that has gone, or lies where nobody inside may go, is none to set flags of", () => {
  const looking = (errno: number): Kernel => ({
    openat: (call) => call.line.includes('"in ner"') ? errno : undefined,
  });
  assert.deepEqual(assemble({ kernel: looking(E.NOENT), mounted: MOUNTED - 1 }).end, { exit: 0 });
  assert.deepEqual(assemble({ kernel: looking(E.NOENT) }).end, { exit: 125 });
  assert.deepEqual(assemble({ kernel: looking(E.ACCES) }).end, { exit: 0 });
  const setting = (errno: number): Kernel => ({
    mount: (call) => call.number(3) & MS.REMOUNT && call.number(3) & MS.NOEXEC ? errno : 0,
  });
  assert.deepEqual(assemble({ kernel: setting(E.INVAL), mounted: MOUNTED - 1 }).end, { exit: 0 });
  const refused = assemble({ kernel: setting(E.PERM) });
  assert.deepEqual(refused.end, { exit: 125 });
  assert.match(refused.written(2), /^cordon: Set the mount flags of \/data\/in ner: EPERM/);
  assert.deepEqual(refused.children, []);
});

Deno.test("a mount under another one is passed over where it cannot be uncovered, else refused", () => {
  const more = (text: string) => [...HOST_MOUNTS, ...parseMounts(text)];
  const plan = (hostMounts: typeof HOST_MOUNTS) =>
    sandboxProgram(madeUpPlan({ hostMounts, steps: [bind("/data", "/d")] }));
  plan(more("5 3 8:5 / /data/in\\040ner rw - ext4 e rw\n"));
  assert.throws(
    () => plan(more("5 2 8:5 / /data/x/y rw - ext4 e rw\n6 2 8:6 / /data/x rw - ext4 f rw\n")),
    /\/data\/x\/y cannot be made part of a sandbox/,
  );
});

Deno.test("sources are opened part by part, and a symlink in the place of one is told", () => {
  const init = assemble({ steps: [bind("/data/ready/x", "/d")], mounted: 3 });
  const parts = ["data", "ready", "x"].map((name) =>
    matching(init, new RegExp(`^openat\\(\\d+, "${name}"`))[0]!
  );
  for (const part of parts) assert.equal(part.number(2) & NOFOLLOW, NOFOLLOW);
  assert.deepEqual(
    [parts[1]!.number(0), parts[2]!.number(0)],
    parts.slice(0, 2).map(({ result }) => Number(result)),
  );
  const swapped = assemble({ kernel: { readlinkat: (call) => call.text(1) === "" ? 4 : E.NOENT } });
  assert.deepEqual(swapped.end, { exit: 125 });
  assert.match(swapped.written(2), /^cordon: Open \/data: a symlink has taken its place/);
});

Deno.test("nothing is mounted by a name of the host's, and propagation ends before all", () => {
  const init = assemble();
  const [first, ...rest] = init.named("mount");
  assert.equal(first!.line, `mount("none", "/", 0, ${MS.REC | MS.PRIVATE}, 0)`);
  for (const { line } of rest) {
    assert.match(
      line,
      /^mount\((0|"none"|"tmpfs"|"\/proc\/self\/fd\/\d+"), "(\/stage|\/stage-file|\/newroot|\/proc\/self\/fd\/\d+)", /,
    );
  }
});

Deno.test("the parent's end is a SIGCHLD, after which it is no parent any more", () => {
  let parent = 5;
  const kernel: Kernel = { getppid: () => parent };
  const alive = runMonitor(
    { hostMounts: [], endWithParent: 5 },
    [signal(SIG.CHLD), report("exited")],
    kernel,
  );
  assert.deepEqual(alive.end, { exit: 0 });
  assert.equal(alive.named("prctl").filter((call) => call.number(0) === PR.SET_PDEATHSIG).length, 1);
  let asked = 0;
  const orphaned = runMonitor({ hostMounts: [], endWithParent: 5 }, [signal(SIG.CHLD)], {
    getppid: () => asked++ === 0 ? parent : parent = 1,
  });
  assert.deepEqual(orphaned.end, { exit: 125 });
  assert.equal(matching(orphaned, new RegExp(`^kill\\(\\d+, ${SIG.KILL}\\)`)).length, 1);
});

Deno.test("descriptors are closed one by one: all that are listed, from the first that is not kept", () => {
  const names = [".", "..", "0", "3", "57", "100", "1234"]; // 100 is the list
  const list = new Uint8Array(24 * names.length);
  names.forEach((name, i) => {
    new DataView(list.buffer).setUint16(24 * i + 16, 24, true);
    list.set(new TextEncoder().encode(name), 24 * i + 19);
  });
  let given = false;
  const kernel: Kernel = {
    getdents64: (call) => given ? 0 : (given = true, call.put(1, list), list.length),
  };
  const monitor = runMonitor({ hostMounts: [], keepFds: [57] }, [report("exited")], kernel);
  const listed = matching(monitor, /^openat\(-100, "\/proc\/self\/fd"/)[0]!;
  const from = monitor.calls.indexOf(listed);
  const closed = monitor.calls.slice(0, from + 12).filter(({ name }) => name === "close")
    .map((call) => call.number(0));
  // Below what is kept each number, above it each that is there; the list itself at the end.
  assert.deepEqual(closed, [...Array.from({ length: 54 }, (_, i) => 3 + i), 1234, Number(listed.result)]);
});
