/** What `cordon run --engine namespaces` makes of docker's arguments. */
import assert from "node:assert/strict";
import { hostSpec } from "../../../lib/dockerargs/host.ts";
import { parseRun } from "../../../lib/dockerargs/run.ts";
import { CordonError } from "../../../lib/errors.ts";
import type { Host } from "../../../lib/host/host.ts";
import type { Spec } from "../../../lib/spec/spec.ts";

const HOST: Host = {
  uid: 1000,
  gid: 100,
  groups: [],
  user: "someone",
  group: "users",
  home: "/home/someone",
  shell: "/bin/bash",
  env: { PATH: "/bin", SECRET: "x", LANG: "C" },
  cwd: "/here",
  arch: "x86_64",
  kernel: { release: "6.1", major: 6, minor: 1 },
  rlimits: {} as Host["rlimits"],
  tasks: 1,
};

function spec(argv: string[], options: { script?: boolean; bestEffort?: boolean } = {}): Spec {
  const facts = { cwd: "/here", env: HOST.env, readFile: () => new Uint8Array() };
  return hostSpec(
    parseRun(argv, facts),
    { script: false, bestEffort: false, tmpBytes: 2 ** 28, ...options },
    HOST,
  );
}

Deno.test("by default there is no network, no mount, and the root to stand in", () => {
  const { command, workdir, mounts, network, mapRoot, root, env } = spec(["host"]);
  assert.deepEqual(command, ["/bin/bash"]);
  assert.deepEqual(workdir, { path: "/", required: true });
  assert.deepEqual([mounts, network.mode, mapRoot, root.readOnly], [[], "none", false, undefined]);
  assert.equal(env["SECRET"], undefined);
});

Deno.test("mounts mean what they mean to docker", () => {
  const argv = ["-v", "/a:/b", "-v", "./x:/c:ro,z", "--mount", "type=bind,src=/d/,dst=/e,readonly"];
  const tmp = [
    "--tmpfs",
    "/t:size=1m,mode=700",
    "--mount",
    "type=tmpfs,dst=/u,tmpfs-size=2m",
    "-v",
    "/anonymous",
  ];
  const shown = spec([...argv, ...tmp, "host"]).mounts.map(({ dest, source, kind, readOnly, bytes, mode }) =>
    [dest, source ?? kind, readOnly, bytes, mode].filter((value) => value !== undefined).join(" ")
  );
  assert.deepEqual(shown, [
    "/b /a false",
    "/c /here/x true",
    "/e /d true",
    "/u tmp false 2097152",
    "/t tmp false 1048576 448",
    "/anonymous tmp false",
  ]);
});

Deno.test("variables are set, passed and taken away", () => {
  const { env } = spec(["-e", "A=1", "-e", "SECRET", "-e", "LANG=de", "host"]);
  assert.deepEqual([env["A"], env["SECRET"], env["LANG"]], ["1", "x", "de"]);
  assert.equal("ABSENT" in spec(["-e", "ABSENT", "host"]).env, false);
});

Deno.test("limits are the sandbox's", () => {
  const { limits } = spec(["-m", "64m", "--cpus", "1.5", "--pids-limit", "10", "host"], { bestEffort: true });
  assert.deepEqual(
    [limits.memoryBytes, limits.cpus, limits.pids, limits.bestEffort],
    [64 << 20, 1.5, 10, true],
  );
  assert.equal(spec(["--pids-limit", "-1", "host"]).limits.pids, undefined);
});

Deno.test("the user is the caller or root", () => {
  for (const user of ["1000", "someone", "1000:100", "someone:users"]) {
    assert.equal(spec(["-u", user, "host"]).mapRoot, false, user);
  }
  for (const user of ["0", "root", "0:0", "root:root"]) {
    assert.equal(spec(["-u", user, "host"]).mapRoot, true, user);
  }
});

Deno.test("a working directory that nothing brings along is made", () => {
  const made = (...argv: string[]) => spec([...argv, "host"]).mounts.map(({ dest }) => dest);
  assert.deepEqual(made("-w", "/work"), ["/work"]);
  assert.deepEqual(made("-w", "/work", "-v", "/a:/work"), ["/work"]);
  assert.deepEqual(made("-w", "/work/in", "-v", "/a:/work"), ["/work"]);
  for (const path of ["/", "/tmp", "/usr/share", "/home/someone", "/run"]) {
    assert.deepEqual(made("-w", path), []);
  }
});

Deno.test("a read-only root leaves /dev/shm, an entry point goes first, a script is read by a shell", () => {
  const { root, mounts } = spec(["--read-only", "host"]);
  assert.deepEqual([root.readOnly, mounts.map(({ dest }) => dest)], [true, ["/dev/shm"]]);
  assert.deepEqual(spec(["--entrypoint", "env", "host", "a"]).command, ["env", "a"]);
  const { command } = spec(["host", "a", "b"], { script: true });
  assert.deepEqual([...command.slice(0, 2), ...command.slice(-2)], ["sh", "-c", "a", "b"]);
});

for (
  const argv of [
    ["alpine"],
    ["--gpus", "all", "host"],
    ["--privileged", "host"],
    ["--privileged=false", "host"],
    ["--network", "bridge", "host"],
    ["--network", "container:x", "host"],
    ["--cap-add", "ALL", "host"],
    ["-d", "host"],
    ["-p", "80", "host"],
    ["-u", "1001", "host"],
    ["-u", "1000:0", "host"],
    ["-v", "name:/x", "host"],
    ["-v", "/a:/b:rshared", "host"],
    ["-v", "/a:b", "host"],
    ["--mount", "src=x,dst=/y", "host"],
    ["--mount", "type=bind,src=/a,dst=/b,bind-propagation=rshared", "host"],
    ["--mount", "type=volume,dst=/b,volume-opt=device=/", "host"],
    ["--tmpfs", "/t:noexec", "host"],
    ["-w", "relative", "host"],
  ]
) {
  Deno.test(`refused: ${argv.join(" ")}`, () => assert.throws(() => spec(argv), CordonError));
}
