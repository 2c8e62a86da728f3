/**
 * Command lines put together at random from every flag, every spelling and values that mean something somewhere:
 * whatever is allowed is harmless, and nothing makes the policy fail.
 */
import assert from "node:assert/strict";
import { DOCKER_FLAGS } from "../../../../lib/dockerargs/flags.ts";
import type { ContainerConfig } from "../../../../lib/docker/containers.ts";
import { judge } from "../../../../lib/serve/policy/judge.ts";
import type { Verdict } from "../../../../lib/serve/policy/verdict.ts";
import type { Spec } from "../../../../lib/spec/spec.ts";
import { facts, GENEROUS, tenantOf } from "./policies.ts";

const ROUNDS = 20_000;

const VALUES = [
  "",
  "-1",
  "0",
  "1",
  "64m",
  "1000:1000",
  "0:0",
  "root",
  "true",
  "false",
  "host",
  "none",
  "bridge",
  "course",
  "default",
  "private",
  "container:db",
  "unconfined",
  "ALL",
  "seccomp=unconfined",
  "seccomp:unconfined",
  "no-new-privileges",
  "no-new-privileges=false",
  "apparmor:unconfined",
  "systempaths=unconfined",
  "/",
  "/:/h",
  "/etc:/x:ro",
  "/srv/data:/x:ro",
  "/srv/data:/x",
  "/srv/data/a:/proc:ro",
  "/srv/work:/w",
  "/srv/work/x:/w:ro",
  "/srv/data/../../etc:/x:ro",
  "/srv/data/out:/x:ro",
  "/var/run/docker.sock:/s",
  "name:/x",
  "/x",
  "/tmp",
  "/tmp:exec,size=1m",
  "/x:suid,dev",
  "type=bind,src=/,dst=/h",
  "type=bind,src=/srv/data,dst=/x,ro",
  "type=bind,src=/srv/work,dst=/x",
  "type=volume,dst=/h,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/",
  "type=tmpfs,dst=/t,tmpfs-size=1m",
  "type=tmpfs,dst=/dev",
  "name=host",
  "name=course,ip=10.0.0.1",
  "A=1",
  "A",
  "PATH=/x",
  "cordon.serve.tenant=x",
  "team=x",
  "/dev/sda",
  "/dev/sda:/dev/x:rwm",
  "vendor.com/gpu=all",
  "all",
  "device=0",
  "driver=cdi,device=x/y=z",
  "nproc=100",
  "memlock=-1",
  "core=-1",
  "0-3",
  "me:host-gateway",
  "me:10.0.0.1",
  "8.8.8.8",
  "SIGKILL",
  "linux/arm64",
  "always",
  "never",
  "missing",
  "stdin",
  "x",
  "\u202e",
  "a b",
];

const IMAGES = [
  "host",
  "img",
  "img",
  "python:3",
  "sha256:" + "a".repeat(64),
  "x/y@sha256:" + "b".repeat(64),
  "IMG",
];

/** A generator of numbers below 1 that gives the same ones for a seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Half of the lines have only flags that may be allowed: the others hardly ever get past the first check. */
function line(next: () => number): string {
  const one = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const words: string[] = [];
  for (let count = Math.floor(next() * 5); count > 0; count--) {
    const flag = one(DOCKER_FLAGS);
    const value = one(VALUES);
    const plain = `'${value.replaceAll("'", "")}'`;
    const forms = [`--${flag.name}=${plain}`, `--${flag.name} ${plain}`];
    if (flag.short) {
      forms.push(`-${flag.short}${plain}`, `-${flag.short} ${plain}`, `-it${flag.short} ${plain}`);
    }
    if (flag.type === "bool") forms.push(`--${flag.name}`);
    words.push(one(forms));
  }
  if (next() < 0.3) {
    words.push(one(["-u 1000:1000", "-v /srv/work:/w", "-v /srv/data:/d:ro", "--network course"]));
  }
  return [...words, one(IMAGES), ...(next() < 0.05 ? ["ls"] : [])].join(" ");
}

/** Written down apart from the policy, as what an attacker would look for. */
function harmful(config: ContainerConfig): string[] {
  const found: string[] = [];
  const host = config.HostConfig as Record<string, unknown>;
  const must = (name: string, fine: boolean) => fine || found.push(name);
  const only = [
    "CapDrop CpuShares CpusetCpus DeviceRequests Dns DnsOptions DnsSearch ExtraHosts GroupAdd Init IpcMode LogConfig",
    "Memory MemorySwap Mounts NanoCpus NetworkMode PidsLimit ReadonlyRootfs SecurityOpt ShmSize Tmpfs Ulimits",
  ].join(" ").split(" ");
  for (const field of Object.keys(host)) must(`HostConfig.${field}`, only.includes(field));
  const outer = [
    "AttachStderr AttachStdin AttachStdout Cmd Domainname Entrypoint Env Healthcheck HostConfig Hostname Image Labels",
    "OpenStdin StdinOnce StopSignal StopTimeout Tty User WorkingDir",
  ].join(" ").split(" ");
  for (const field of Object.keys(config)) must(field, outer.includes(field));
  must("CapDrop", JSON.stringify(host["CapDrop"]) === '["ALL"]');
  must("SecurityOpt", JSON.stringify(host["SecurityOpt"]) === '["no-new-privileges"]');
  must("NetworkMode", ["none", "bridge", "course"].includes(String(host["NetworkMode"])));
  must("IpcMode", ["private", "none"].includes(String(host["IpcMode"])));
  must("ReadonlyRootfs", host["ReadonlyRootfs"] === true);
  must("LogConfig", JSON.stringify(host["LogConfig"]) === '{"Type":"none"}');
  must("Memory", Number(host["Memory"]) > 0 && Number(host["Memory"]) <= 512 * 2 ** 20);
  must("MemorySwap", host["MemorySwap"] === host["Memory"]);
  must("NanoCpus", Number(host["NanoCpus"]) > 0 && Number(host["NanoCpus"]) <= 1e9);
  must("PidsLimit", Number(host["PidsLimit"]) > 0 && Number(host["PidsLimit"]) <= 128);
  must("Labels", config.Labels?.["cordon.serve.tenant"] === "class");
  must("Env", (config.Env ?? []).every((text) => text.includes("=") && !text.includes("server")));
  must("core", JSON.stringify(host["Ulimits"]).includes('{"Name":"core","Soft":0,"Hard":0}'));
  for (const { Type, Source, Target, ReadOnly } of (host["Mounts"] ?? []) as Record<string, unknown>[]) {
    const source = String(Source), target = String(Target);
    const free = source === "/srv/data" || source.startsWith("/srv/data/a");
    must(`mount of ${source}`, Type === "bind" && (free || source === "/srv/work"));
    must(`${source} writable`, ReadOnly === true || source === "/srv/work");
    must(`${source} as root`, ReadOnly === true || config.User === "1000:1000");
    must(`mount at ${target}`, !/^\/$|^\/(proc|sys|dev)(\/|$)|\.\./.test(target));
  }
  for (const [target, options] of Object.entries((host["Tmpfs"] ?? {}) as Record<string, string>)) {
    must(`tmpfs at ${target}`, !/^\/$|^\/(proc|sys|dev)(\/|$)|\.\./.test(target));
    const size = Number(/size=(\d+)$/.exec(options)?.[1] ?? Infinity);
    must(`tmpfs ${options}`, size <= 256 * 2 ** 20 && /,nosuid,nodev,/.test(options));
  }
  return found;
}

function harmfulSpec(spec: Spec): string[] {
  const found: string[] = [];
  const must = (name: string, fine: boolean) => fine || found.push(name);
  const { memoryBytes = Infinity, cpus = Infinity, pids = Infinity, wallSeconds = Infinity } = spec.limits;
  must("limits", memoryBytes <= 512 * 2 ** 20 && cpus <= 1 && pids <= 128 && wallSeconds <= 60);
  must("bestEffort", !spec.limits.bestEffort);
  must("network", spec.network.mode === "none" && spec.network.allow.length === 0);
  must("nested", !spec.nested && spec.seccomp === undefined && spec.keepFds.length === 0);
  must("user", spec.user.uid === 990);
  must("env", !JSON.stringify(spec.env).includes("server"));
  for (const { source, kind, readOnly, devices } of spec.mounts) {
    must(`mount ${kind}`, (kind === "bind" || kind === "tmp") && !devices);
    if (kind !== "bind") continue;
    const free = source === "/srv/data" || source!.startsWith("/srv/data/a");
    must(`mount of ${source}`, (free && readOnly) || source === "/srv/work");
  }
  return found;
}

Deno.test("whatever command line is allowed, the container or sandbox is harmless", () => {
  const seed = Number(Deno.env.get("CORDON_TEST_SEED") ?? Math.floor(Math.random() * 2 ** 31));
  const next = random(seed);
  const tenant = tenantOf(GENEROUS);
  const answers = { docker: 0, namespaces: 0, refused: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const args = line(next);
    const told = `seed ${seed}, round ${round}: ${args}`;
    let verdict: Verdict;
    try {
      verdict = judge({ tenant, args, cmd: "id" }, facts());
    } catch (error) {
      throw new Error(`${told}: ${error instanceof Error ? error.stack : error}`);
    }
    if ("refused" in verdict) {
      answers.refused++;
      assert.ok(verdict.refused.length > 0 && !/\p{Cc}/u.test(verdict.refused), told);
      continue;
    }
    answers[verdict.engine]++;
    const found = verdict.engine === "docker" ? harmful(verdict.config) : harmfulSpec(verdict.spec);
    assert.deepEqual(found, [], told);
  }
  // Otherwise this would show nothing.
  assert.ok(
    answers.docker > 500 && answers.namespaces > 100 && answers.refused > 500,
    JSON.stringify(answers),
  );
});

Deno.test("the harmful is recognised as such", () => {
  const verdict = judge({ tenant: tenantOf(GENEROUS), args: "img", cmd: "id" }, facts());
  assert.ok("config" in verdict);
  const { config } = verdict;
  assert.deepEqual(harmful(config), []);
  for (
    const more of [
      { Privileged: true },
      { CapDrop: [] },
      { NetworkMode: "host" },
      { PidMode: "host" },
      { Mounts: [{ Type: "bind", Source: "/etc", Target: "/x", ReadOnly: true }] },
      { Memory: 2 ** 40 },
      { Tmpfs: { "/proc": "size=1" } },
    ]
  ) {
    assert.ok(
      harmful({ ...config, HostConfig: { ...config.HostConfig, ...more } }).length > 0,
      JSON.stringify(more),
    );
  }
});
