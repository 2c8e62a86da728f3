import assert from "node:assert/strict";
import { makeStyle } from "../../../lib/cli/style.ts";
import { allChecks, isSound, runChecks } from "../../../lib/host/checks.ts";
import { gatherHost } from "../../../lib/host/host.ts";
import { type Probes, realProbes } from "../../../lib/host/probes.ts";
import { renderChecks } from "../../../lib/host/report.ts";
import {
  gatherSituation,
  maskedParts,
  mountOf,
  parseMounts,
  type Situation,
} from "../../../lib/host/situation.ts";
import { hostFs } from "../../../lib/host/fs.ts";
import { STEPS } from "../../../lib/host/steps.ts";
import { program, test, userns } from "../../helpers/need.ts";

// libc stays open for the process; opened inside a test it would count as leaked.
const host = gatherHost();
hostFs.readable("/");

const NONE = { by: "none", why: "no delegation", hint: "the command" } as const;
const SITUATION: Situation = {
  uid: 1000,
  kernel: { release: "6.1.0", major: 6, minor: 1 },
  distribution: "debian",
  executable: "/usr/bin/cordon",
  sysctl: {},
  inUserNamespace: false,
  hasUserNamespaces: true,
  filtered: false,
  apparmor: "",
  masked: [],
  rootOnInitramfs: false,
  runtimeDir: { path: "/run/user/1000", noexec: false },
  cgroups: { controllers: { memory: NONE, pids: NONE, cpu: NONE }, evacuate: false },
};

const WORKING: Probes = {
  steps: () => undefined,
  sandbox: () => undefined,
  memfd: () => undefined,
  fileExec: () => undefined,
  write: () => undefined,
  which: () => undefined,
  usable: (path) => ({ step: path, errno: "ENOENT" }),
};

function checkWith(probes: Partial<Probes>, situation: Partial<Situation> = {}) {
  return runChecks(allChecks({ home: "/u/ann" }), {
    probes: { ...WORKING, ...probes },
    situation: { ...SITUATION, ...situation },
  });
}

const byId = (reports: ReturnType<typeof checkWith>, id: string) => {
  const report = reports.find((each) => each.id === id);
  assert.ok(report, `no check ${id}`);
  return report;
};

Deno.test("what is optional may be missing and the machine is sound", () => {
  const reports = checkWith({});
  assert.equal(isSound(reports), true);
  assert.equal(byId(reports, "limit-memory").status, "missing");
  assert.deepEqual(byId(reports, "limit-memory").advice?.mend, "the command");
  assert.equal(byId(reports, "network").status, "missing");
});

Deno.test("no user namespaces: what rests on them is skipped, and the machine is not sound", () => {
  const reports = checkWith({ steps: () => ({ step: "user-namespace", errno: "EPERM" }) });
  assert.equal(isSound(reports), false);
  assert.equal(byId(reports, "user-namespace").status, "failed");
  const rest = ["mounts", "pid-namespace", "proc", "pivot", "seccomp", "overlay"];
  assert.deepEqual(rest.map((id) => byId(reports, id).status), rest.map(() => "skipped"));
});

Deno.test("every step of a sandbox is tried by some check", () => {
  const tried = new Set<string>();
  checkWith({
    steps(steps) {
      for (const step of steps) tried.add(step);
      return undefined;
    },
  });
  assert.deepEqual([...tried].sort(), [...STEPS].sort());
});

Deno.test("a machine that takes every step and makes no sandbox is not sound", () => {
  const sandbox = () => "cordon: Open /usr: ENOSYS (Function not implemented)\n\nhint: cordon doctor\n";
  const kernel = { release: "3.10.0-1160.el7", major: 3, minor: 10 };
  const old = checkWith({ sandbox }, { kernel });
  assert.equal(isSound(old), false);
  assert.deepEqual(byId(old, "sandbox").advice, {
    what: "Open /usr: ENOSYS (Function not implemented)",
    why: "Linux 3.10.0-1160.el7 is older than 4.18, which cordon needs",
  });
  assert.match(
    byId(checkWith({ sandbox }, { filtered: true }), "sandbox").advice?.why ?? "",
    /seccomp filter/,
  );
  const full = () => "cordon: Make a tmpfs: ENOMEM (Cannot allocate memory)\n";
  assert.match(byId(checkWith({ sandbox: full }), "sandbox").advice?.what ?? "", /^Make a tmpfs: ENOMEM/);
});

test("this machine makes a whole sandbox", { needs: [userns] }, () => {
  assert.equal(realProbes(host).sandbox(), undefined);
});

Deno.test("memory that cannot be executed is no failure while a file can", () => {
  const memfd = () => ({ step: "memfd", errno: "EACCES" });
  const saved = byId(checkWith({ memfd }), "exec");
  assert.equal(saved.status, "ok");
  assert.match(saved.detail ?? "", /private file in \/run\/user\/1000/);
  const lost = checkWith({ memfd, fileExec: () => ({ step: "file", errno: "EACCES" }) });
  assert.equal(byId(lost, "exec").status, "failed");
  assert.equal(isSound(lost), false);
});

Deno.test("an outbound network needs a program and the tun device", () => {
  const which = (name: string) => name === "pasta" ? "/usr/bin/pasta" : undefined;
  const denied = checkWith({ which, usable: (path) => ({ step: path, errno: "EACCES" }) });
  assert.match(byId(denied, "network").advice?.why ?? "", /may not be opened/);
  assert.equal(byId(checkWith({ which, usable: () => undefined }), "network").detail, "through pasta");
});

Deno.test("the text tells a common cause once, and the verdict last", () => {
  const reports = checkWith({
    steps: (steps) => steps.includes("overlay") ? { step: "overlay", errno: "EPERM" } : undefined,
  });
  const text = renderChecks(reports, makeStyle(false));
  assert.match(text, /^ok {7}Executing the sandbox's set-up program +from memory$/m);
  assert.match(text, /^missing {2}Overlay mounts$/m);
  assert.equal(text.split("why: the kernel answered EPERM").length, 2);
  assert.ok(text.endsWith("\ncordon isolate works here\n"));
});

Deno.test("a path lies on the longest mount above it", () => {
  const mounts = parseMounts(
    "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / /run rw,nosuid - tmpfs t rw\n" +
      "3 2 0:6 / /run/user/1000 rw,noexec shared:3 - tmpfs t rw\n",
  );
  assert.equal(mountOf("/run/user/1000/x", mounts)?.point, "/run/user/1000");
  assert.equal(mountOf("/run/user/10001", mounts)?.point, "/run");
  assert.equal(mountOf("/home", mounts)?.point, "/");
  assert.equal(mountOf("/home", mounts)?.type, "ext4");
  assert.equal(mountOf("/run/user/1000", mounts)?.type, "tmpfs");
});

test("the steps work on this machine, one more at a time", { needs: [userns] }, () => {
  const probes = realProbes(host);
  for (let count = 0; count <= STEPS.length; count++) {
    assert.equal(probes.steps(STEPS.slice(0, count)), undefined);
  }
});

test("a step that the kernel refuses is named with its errno", { needs: [userns] }, () => {
  // Nothing has made the directory that would hold the old root.
  assert.deepEqual(realProbes(host).steps(["user-namespace", "id-map", "mount-namespace", "pivot-root"]), {
    step: "pivot-root",
    errno: "ENOENT",
  });
});

Deno.test("mounts that belong into /proc do not count as masks", () => {
  const points = ["/proc", "/proc/sys/fs/binfmt_misc", "/proc/kcore", "/procession"];
  assert.deepEqual(maskedParts(points), ["/proc/kcore"]);
});

Deno.test("this machine's own situation is read", () => {
  const situation = gatherSituation(host);
  assert.equal(situation.hasUserNamespaces, true);
  assert.ok((situation.sysctl["user.max_user_namespaces"] ?? -1) >= 0);
});

const DOCTOR = new URL("../../../cmd/doctor.ts", import.meta.url).href;

/** `cordon doctor --json` below a shell script that takes something away first. */
async function doctorAfter(script: string): Promise<{ code: number; report: Record<string, unknown> }> {
  const code = `import { run } from ${JSON.stringify(DOCTOR)};` +
    `Deno.exitCode = run({ json: true }, { invokedAs: "cordon", env: {}, args: [], noColor: true });`;
  const shell = `${script}\nexec "$0" eval --no-lock "$1"`;
  const output = await new Deno.Command("unshare", {
    args: [
      "--user",
      "--map-root-user",
      "--mount",
      "--pid",
      "--fork",
      "--",
      "sh",
      "-ec",
      shell,
      Deno.execPath(),
      code,
    ],
    stdin: "null",
  }).output();
  return { code: output.code, report: JSON.parse(new TextDecoder().decode(output.stdout)) };
}

interface Reported {
  id: string;
  status: string;
  failure?: { step: string; errno: string };
  advice?: { mend?: string };
}

const took = [userns, program("unshare")];

test("user namespaces really taken away: doctor fails closed and says why", { needs: took }, async () => {
  const { code, report } = await doctorAfter("echo 0 > /proc/sys/user/max_user_namespaces");
  assert.equal(code, 1);
  assert.equal(report["sound"], false);
  const check = (report["checks"] as Reported[]).find(({ id }) => id === "user-namespace");
  assert.deepEqual(check?.failure, { step: "user-namespace", errno: "ENOSPC" });
  assert.match(check?.advice?.mend ?? "", /--nested/);
});

test("a /proc really masked: doctor names it", { needs: took }, async () => {
  const { code, report } = await doctorAfter(
    "mount -t proc proc /proc; mount --bind /dev/null /proc/version",
  );
  assert.equal(code, 1);
  const check = (report["checks"] as Reported[]).find(({ id }) => id === "proc");
  assert.deepEqual(check?.failure, { step: "proc", errno: "EPERM" });
  assert.ok(check?.advice?.mend);
});
