/** What is allowed, and what it becomes. */
import assert from "node:assert/strict";
import { DOCKER_FLAGS } from "../../../../lib/dockerargs/flags.ts";
import { defaultConfig } from "../../../../lib/serve/config/read.ts";
import { judge } from "../../../../lib/serve/policy/judge.ts";
import { FURTHER_FLAGS, NEVER_FLAGS, USUAL_FLAGS } from "../../../../lib/serve/policy/tables.ts";
import type { DockerVerdict, NamespacesVerdict, PolicyFacts } from "../../../../lib/serve/policy/verdict.ts";
import { ALL, facts, GENEROUS, HOST, places, verdict } from "./policies.ts";

const MIB = 2 ** 20;

function container(args: string, lines = GENEROUS, more: Partial<PolicyFacts> = {}): DockerVerdict {
  const answer = verdict(args, lines, more);
  assert.ok("config" in answer, `${args}: ${JSON.stringify(answer)}`);
  return answer;
}

function program(args: string, lines = GENEROUS, more: Partial<PolicyFacts> = {}): NamespacesVerdict {
  const answer = verdict(args, lines, more);
  assert.ok("spec" in answer, `${args}: ${JSON.stringify(answer)}`);
  return answer;
}

function refusal(args: string, lines = GENEROUS, more: Partial<PolicyFacts> = {}) {
  const answer = verdict(args, lines, more);
  assert.ok("refused" in answer, `${args}: ${JSON.stringify(answer)}`);
  return answer;
}

Deno.test("every flag of docker run is usual, further or never allowed, and only one of them", () => {
  const names = DOCKER_FLAGS.filter(({ aliasOf }) => aliasOf === undefined).map(({ name }) => name);
  const sorted = [...USUAL_FLAGS, ...FURTHER_FLAGS, ...Object.keys(NEVER_FLAGS)].sort();
  assert.deepEqual(sorted, names.sort());
});

Deno.test("a container has nothing that was not asked for, and every limit", () => {
  const { config, image, pull, limits, notes, dropped } = container("python", 'images = ["python"]');
  assert.equal(image, "docker.io/library/python:latest");
  assert.deepEqual([pull, notes, dropped], ["never", [], []]);
  assert.deepEqual(limits, {
    wallSeconds: 60,
    outputBytes: MIB,
    memoryBytes: 512 * MIB,
    cpus: 1,
    pids: 128,
    tmpBytes: 256 * MIB,
  });
  const { HostConfig, Cmd, ...rest } = config;
  assert.equal(Cmd?.at(-1), "echo hi");
  assert.deepEqual(rest, {
    Image: image,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    Healthcheck: { Test: ["NONE"] },
    Labels: { "cordon.serve.tenant": "class" },
  });
  assert.deepEqual(HostConfig, {
    NetworkMode: "none",
    IpcMode: "private",
    CapDrop: ["ALL"],
    SecurityOpt: ["no-new-privileges"],
    ReadonlyRootfs: true,
    Tmpfs: {
      "/tmp": `rw,exec,nosuid,nodev,mode=1777,size=${256 * MIB}`,
      "/var/tmp": `rw,exec,nosuid,nodev,mode=1777,size=${64 * MIB}`,
      "/run": `rw,exec,nosuid,nodev,mode=1777,size=${64 * MIB}`,
    },
    LogConfig: { Type: "none" },
    Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
    Memory: 512 * MIB,
    MemorySwap: 512 * MIB,
    NanoCpus: 1e9,
    PidsLimit: 128,
  });
});

Deno.test("what is harmless reaches the container as it was asked for", () => {
  const { config, notes } = container(
    "--rm -it -q -e A=1 -e 'B=x y' --env=C= -w /work -h box --entrypoint '' -u 1000:1000 -m 64m --cpus .5 " +
      "--pids-limit 10 --network=none --ipc none --init --shm-size 1m --security-opt no-new-privileges:true " +
      "--cap-drop NET_RAW --label team=a --stop-signal TERM --cpuset-cpus 0-1 python:3.12",
  );
  const host = config.HostConfig!;
  assert.deepEqual(config.Env, ["A=1", "B=x y", "C="]);
  assert.deepEqual(
    [config.WorkingDir, config["Hostname"], config.Entrypoint, config.User, config["StopSignal"]],
    ["/work", "box", [""], "1000:1000", "TERM"],
  );
  assert.deepEqual(
    [host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"], host["IpcMode"], host["Init"]],
    [64 * MIB, 64 * MIB, 5e8, 10, "none", true],
  );
  assert.deepEqual([host["ShmSize"], host["CpusetCpus"], host["CapDrop"]], [MIB, "0-1", ["ALL"]]);
  assert.deepEqual(config.Labels, { team: "a", "cordon.serve.tenant": "class" });
  assert.deepEqual(notes, ["-t has no effect: there is no terminal"]);
});

Deno.test("0 is no way around a limit", () => {
  const { config } = container("-m 0 --cpus 0 --pids-limit 0 img");
  const { Memory, NanoCpus, PidsLimit } = config.HostConfig!;
  assert.deepEqual([Memory, NanoCpus, PidsLimit], [512 * MIB, 1e9, 128]);
});

Deno.test("limits go up to what the policy has as the most, with its own defaults", () => {
  const lines =
    `images = ["**"]\nlimits = { memory = { default = "100M", most = "2G" }, cpus = { most = 4 }, ` +
    `pids = 50, time = "5m", output = "2M", tmp = "1G" }`;
  const plain = container("img", lines);
  assert.deepEqual(plain.limits, {
    wallSeconds: 300,
    outputBytes: 2 * MIB,
    memoryBytes: 100 * MIB,
    cpus: 1,
    pids: 50,
    tmpBytes: 1024 * MIB,
  });
  const asked = container("-m 2g --cpus 4 img", lines);
  assert.deepEqual([asked.limits.memoryBytes, asked.limits.cpus], [2048 * MIB, 4]);
  const { refused, rule, configuredAt } = refusal("-m 2049m img", lines);
  assert.deepEqual([rule, configuredAt], ["limit", "policies.default.limits.memory"]);
  assert.match(refused, /there is at most 2 GiB of memory/);
});

Deno.test("a default that the engine cannot enforce is dropped and named; what was asked for is refused", () => {
  const engines = { docker: { ...ALL, memory: "the engine is rootless" }, namespaces: ALL };
  const { dropped, notes, limits, config } = container("img", GENEROUS, { engines });
  assert.deepEqual(dropped, ["memory"]);
  assert.deepEqual(notes, ["no limit of 512 MiB of memory: the engine is rootless"]);
  assert.deepEqual([limits.memoryBytes, config.HostConfig!["Memory"]], [undefined, undefined]);
  assert.match(refusal("-m 64m img", GENEROUS, { engines }).refused, /cannot hold.*rootless/);
  const configured = GENEROUS + 'limits = { memory = "1G" }';
  assert.match(refusal("img", configured, { engines }).refused, /cannot hold.*rootless/);
});

Deno.test("mounts: the engine is given the real path, read-only unless it may be written", () => {
  const world = places({ there: ["/mnt/disk/set/a", "/srv/work"], links: { "/srv/data": "/mnt/disk" } });
  const { config } = container("-v /srv/data/set/:/d:ro -v /srv/work:/w/ -u 7:7 img", GENEROUS, {
    places: world,
  });
  assert.deepEqual(config.HostConfig!["Mounts"], [
    { Type: "bind", Source: "/mnt/disk/set", Target: "/d", ReadOnly: true },
    { Type: "bind", Source: "/srv/work", Target: "/w", ReadOnly: false },
  ]);
});

Deno.test("mounts: a link that leads out, a place others could exchange, and a socket below are refused", () => {
  const there = ["/srv/data/a/b", "/srv/work"];
  const out = places({ there, links: { "/srv/data/a": "/etc" } });
  assert.match(
    refusal("-v /srv/data/a:/x:ro img", GENEROUS, { places: out }).refused,
    /nothing that may be mounted/,
  );
  const loose = places({ there, loose: ["/srv/data/a"] });
  assert.match(
    refusal("-v /srv/data/a/b:/x:ro img", GENEROUS, { places: loose }).refused,
    /others than root and the server could exchange \/srv\/data\/a/,
  );
  assert.ok(container("-v /srv/data:/x:ro img", GENEROUS, { places: loose }));
  const socket = places({ there, sockets: ["/srv/data/a/db.sock"] });
  assert.match(
    refusal("-v /srv/data:/x:ro img", GENEROUS, { places: socket }).refused,
    /something listens on/,
  );
});

Deno.test("mounts: whether something exists is told only of what may be mounted", () => {
  const there = refusal("-v /etc/passwd:/x:ro img").refused.replace("/etc/passwd", "X");
  const not = refusal("-v /etc/no-such-file:/x:ro img").refused.replace("/etc/no-such-file", "X");
  assert.equal(there, not);
});

Deno.test("mounts: file systems below a read-only one stay read-only, or it is refused", () => {
  const world = places({ there: ["/srv/data"], mounted: ["/srv/data/nfs"] });
  const old = { places: world, apiVersion: "1.41" };
  assert.match(refusal("-v /srv/data:/x:ro img", GENEROUS, old).refused, /leave \/srv\/data\/nfs.*writable/);
  const { config } = container("-v /srv/data:/x:ro img", GENEROUS, { places: world, apiVersion: "1.44" });
  assert.deepEqual((config.HostConfig!["Mounts"] as { BindOptions: unknown }[])[0]!.BindOptions, {
    Propagation: "rprivate",
    ReadOnlyForceRecursive: true,
  });
});

Deno.test("a tmpfs of the client's takes the place of /tmp, and has a size", () => {
  const { config } = container("--tmpfs /tmp:size=1m,mode=700 --mount type=tmpfs,dst=/scratch img");
  const tmpfs = config.HostConfig!["Tmpfs"] as Record<string, string>;
  assert.equal(tmpfs["/tmp"], `rw,exec,nosuid,nodev,mode=700,size=${MIB}`);
  assert.equal(tmpfs["/scratch"], `rw,exec,nosuid,nodev,mode=1777,size=${256 * MIB}`);
  assert.match(refusal("--tmpfs /a --tmpfs /a/ -v /srv/data:/a:ro img").refused, /a second mount/);
});

Deno.test("the first network of a policy is the default; docker's word default is the bridge", () => {
  const lines = 'images = ["**"]\nnetwork = ["bridge", "none"]';
  assert.equal(container("img", lines).config.HostConfig!["NetworkMode"], "bridge");
  assert.equal(container("--network none img", lines).config.HostConfig!["NetworkMode"], "none");
  assert.equal(container("--net default img", lines).config.HostConfig!["NetworkMode"], "bridge");
  assert.match(refusal("--net default img", 'images = ["**"]').refused, /there is none/);
});

Deno.test("flags and values are the policy's", () => {
  const few = 'images = ["**"]\nflags = ["env"]';
  assert.ok(container("-e A=1 img", few));
  assert.deepEqual(refusal("-w /x img", few).configuredAt, "policies.default.flags");
  const further =
    'images = ["**"]\nflags = ["usual", "gpus"]\nvalues = { gpus = ["1"], user = ["1000:1000"] }';
  assert.deepEqual(container("--gpus 1 img", further).config.HostConfig!["DeviceRequests"], [
    { Capabilities: [["gpu"]], Count: 1 },
  ]);
  const no = refusal("--gpus all img", further);
  assert.deepEqual([no.rule, no.configuredAt], ["value", "policies.default.values.gpus"]);
  assert.match(refusal("--gpus 1 img", 'images = ["**"]').refused, /does not name it among its flags/);
  assert.match(refusal("-u 0 img", further).refused, /there is 1000:1000/);
});

Deno.test("a configured user is the default and, unless others are listed, the only one", () => {
  const lines = 'images = ["**"]\nuser = "1000:1000"';
  assert.equal(container("img", lines).config.User, "1000:1000");
  assert.match(refusal("-u 0 img", lines).refused, /containers run as 1000:1000/);
  assert.equal(container("-u 7:7 img", `${lines}\nvalues = { user = ["7:7"] }`).config.User, "7:7");
});

Deno.test("pulling is the policy's", () => {
  const pulled = 'images = ["docker.io/**"]\npull = "missing"';
  assert.equal(container("--pull missing img", pulled).pull, "missing");
  assert.equal(container("--pull=never img", pulled).pull, "missing");
  assert.match(
    refusal("--pull missing img", 'images = ["**"]').refused,
    /put here by whoever runs the server/,
  );
});

Deno.test("programs of this machine: no container, no environment and no name of the server's", () => {
  const { spec, limits } = program("-e A=1 -m 64m --rm -it --security-opt no-new-privileges host");
  assert.deepEqual(spec.command, ["/bin/bash", "-lc", "echo hi"]);
  assert.deepEqual(spec.env, {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    LANG: "C.UTF-8",
    HOME: "/tmp",
    USER: "user",
    LOGNAME: "user",
    A: "1",
  });
  assert.deepEqual([spec.user.uid, spec.user.name, spec.user.home], [HOST.uid, "user", "/tmp"]);
  assert.deepEqual(spec.limits, {
    wallSeconds: 60,
    memoryBytes: 64 * MIB,
    cpus: 1,
    pids: 128,
    tmpBytes: 256 * MIB,
    coreBytes: 0,
    bestEffort: false,
  });
  assert.equal(limits.outputBytes, MIB);
  assert.equal(spec.workdir.path, "/tmp");
  assert.deepEqual(program("host", GENEROUS, { shell: "/bin/sh" }).spec.command, [
    "/bin/sh",
    "-c",
    "echo hi",
  ]);
});

Deno.test("programs of this machine: mounts by the same rules, and no network", () => {
  const { spec } = program(
    "-v /srv/data:/d:ro --mount type=bind,src=/srv/work,dst=/w --tmpfs /t:size=1m host",
    GENEROUS + 'user = "1000:1000"',
  );
  assert.deepEqual(spec.mounts.map(({ dest, source, readOnly }) => [dest, source, readOnly]), [
    ["/d", "/srv/data", true],
    ["/w", "/srv/work", false],
    ["/t", undefined, false],
  ]);
  assert.match(refusal("--network bridge host").refused, /run without a network/);
  assert.match(refusal("-v /etc:/x:ro host").refused, /nothing that may be mounted/);
  assert.match(refusal("--shm-size 1m host").refused, /--shm-size/);
  assert.match(
    refusal("-u 1234 host").refused,
    /-u "1234" is not allowed: programs of this machine run as one user/,
  );
  assert.equal(program("-u 0 host").spec.mapRoot, true);
});

Deno.test("an engine that is not there is said so", () => {
  assert.match(
    refusal("img", GENEROUS, { engines: { namespaces: ALL } }).refused,
    /no container engine answers/,
  );
  assert.match(refusal("host", GENEROUS, { engines: { docker: ALL } }).refused, /containers only/);
});

Deno.test("without a configuration there is this machine and its images, and nothing is pulled", () => {
  const [tenant] = defaultConfig().tenants;
  const ask = (args: string) => judge({ tenant: tenant!, args, cmd: "id" }, facts());
  const host = ask("host"), image = ask("anything:1");
  assert.ok("spec" in host && "config" in image && image.pull === "never");
  const mount = ask("-v /srv/data:/x:ro host");
  assert.ok("refused" in mount);
  assert.match(mount.refused, /nothing that may be mounted/);
});

Deno.test("a refusal is one line, whatever the client wrote", () => {
  for (const args of ["'a\nb\u001b[31m'", "--env 'A\nB' img", "-v '/x\n:/y' img", "--nette\u0007 img"]) {
    const { refused } = refusal(args);
    assert.doesNotMatch(refused, /\p{Cc}/u);
    assert.ok(refused.length < 2100);
  }
});
