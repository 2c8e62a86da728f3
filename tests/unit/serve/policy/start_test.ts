/** A configuration held against a machine: the real one where files are concerned. */
import assert from "node:assert/strict";
import { CordonError } from "../../../../lib/errors.ts";
import { readConfig } from "../../../../lib/serve/config/read.ts";
import { containersHold, namespacesHold } from "../../../../lib/serve/policy/enforceable.ts";
import { mountSource } from "../../../../lib/serve/policy/mounts.ts";
import { boundSockets, mountPoints, realPlaces } from "../../../../lib/serve/policy/places.ts";
import { checkAgainstHost } from "../../../../lib/serve/policy/start.ts";
import type { PolicyFacts } from "../../../../lib/serve/policy/verdict.ts";
import { ALL, facts, policyOf } from "./policies.ts";
import { root, test } from "../../../helpers/need.ts";
import { tmp } from "../../../helpers/run.ts";

const NONE = { memory: "none here", cpus: "none here", pids: "none here" };

function check(text: string, more: Partial<PolicyFacts> = {}): string[] {
  return checkAgainstHost(readConfig(text, "/etc/cordon/serve.toml"), facts(more));
}

function why(text: string, more: Partial<PolicyFacts> = {}): string {
  try {
    check(text, more);
  } catch (error) {
    assert.ok(error instanceof CordonError);
    return error.why ?? "";
  }
  assert.fail("it was taken");
}

Deno.test("defaults that nothing enforces are told, once; configured limits are errors", () => {
  const engines = { namespaces: NONE, docker: ALL };
  const notes = check(
    '[policies.default]\nimages = ["host", "python"]\n[policies.b]\nimages = ["host"]\n' +
      '[tenants.a]\n[tenants.b]\npolicy = "b"',
    { engines },
  );
  assert.deepEqual(notes, [
    "namespaces: no limit of 512 MiB of memory: none here",
    "namespaces: no limit of 1 processor: none here",
    "namespaces: no limit of 128 processes: none here",
  ]);
  const told = why('[policies.default]\nimages = ["host"]\nlimits = { pids = 10 }', { engines });
  assert.equal(told, "policies.default.limits.pids: namespaces: no limit of 10 processes: none here");
  // Of an engine whose images nobody may have nothing is asked.
  assert.deepEqual(check('[policies.default]\nimages = ["python"]\nlimits = { pids = 10 }', { engines }), []);
});

Deno.test("mounts that are not safe are refused at the start", () => {
  const mounts = (list: string) => `[policies.default]\nimages = ["host"]\nmounts = [${list}]`;
  const told = why(
    mounts(
      '"/", "/etc", "/proc/1", "/srv/none", "/var", "/run/cordon", { path = "/usr/share", write = true }',
    ),
  );
  for (
    const says of [
      /: \/ cannot be mounted: \/etc\/cordon\/serve.toml is this server's own/,
      /\/etc cannot be mounted/,
      /\/proc\/1 cannot be mounted: \/proc is the system's own/,
      /\/srv\/none cannot be mounted: it does not exist/,
      /\/var cannot be mounted/,
      /\/run\/cordon cannot be mounted: \/run is the system's own/,
      /\/usr\/share cannot be mounted: \/usr holds programs and is never written/,
    ]
  ) assert.match(told, says);
  assert.deepEqual(check(mounts('"/srv/data", "/usr/share"')), []);
});

Deno.test("the server's own files are nobody's to mount", () => {
  const told = why(
    'state = "/srv/data/a/b"\ntokens = "/srv/work/x/tokens"\n[policies.default]\nimages = ["host"]\n' +
      'mounts = ["/srv/data", "/srv/work"]',
  );
  assert.match(told, /\/srv\/data cannot be mounted: \/srv\/data\/a\/b is this server's own/);
  assert.match(told, /\/srv\/work cannot be mounted: \/srv\/work\/x\/tokens is this server's own/);
});

Deno.test("an image that is kept ready must be somebody's", () => {
  const text = 'pool = { containers = { "r:4" = 1 } }\n[policies.default]\nimages = ["python:*"]';
  assert.match(why(text), /pool\.containers: no policy allows the image r:4/);
  assert.deepEqual(check(text.replace("r:4", "python:3")), []);
});

Deno.test("what the engines hold is told in words", () => {
  const group = { by: "cgroup2", parent: "/x" } as const;
  assert.deepEqual(
    namespacesHold({
      controllers: { memory: group, pids: { by: "none", why: "no group" }, cpu: { by: "reexec" } },
      evacuate: false,
    }),
    { memory: true, pids: "no group", cpus: "this server was not started in a control group of its own" },
  );
  assert.deepEqual(containersHold({ memory: true, pids: true, cpus: true }), ALL);
  assert.match(String(containersHold({ memory: false, pids: true, cpus: true }).memory), /no control group/);
});

Deno.test("places: who could exchange a directory on the way", () => {
  const places = realPlaces();
  const top = tmp();
  Deno.mkdirSync(`${top}/a/b/c`, { recursive: true });
  // /tmp is everybody's, but sticky, and what is below it is ours.
  assert.equal(places.exchangeable(`${top}/a/b/c`), undefined);
  Deno.chmodSync(`${top}/a`, 0o777);
  assert.equal(places.exchangeable(`${top}/a/b/c`), `${top}/a/b`);
  assert.equal(places.exchangeable(`${top}/a`), undefined, "what is in it does not matter");
  Deno.chmodSync(`${top}/a`, 0o1777);
  assert.equal(places.exchangeable(`${top}/a/b/c`), undefined);
  assert.equal(places.realpath(`${top}/a/../a/b`), `${top}/a/b`);
  assert.equal(places.realpath(`${top}/none`), undefined);
});

test("places: a directory of another user's on the way", { needs: [root] }, () => {
  const top = tmp();
  Deno.mkdirSync(`${top}/a/b`, { recursive: true });
  Deno.chownSync(`${top}/a`, 12345, 12345);
  assert.equal(realPlaces().exchangeable(`${top}/a/b`), `${top}/a`);
  assert.equal(realPlaces([12345]).exchangeable(`${top}/a/b`), undefined);
});

Deno.test("places: a link planted in a directory that may be read leads nowhere", () => {
  const top = tmp();
  Deno.mkdirSync(`${top}/data/set`, { recursive: true });
  Deno.symlinkSync("/etc", `${top}/data/out`);
  Deno.symlinkSync("set", `${top}/data/in`);
  const policy = policyOf(`mounts = ["${top}/data"]`);
  const source = (path: string) => mountSource(path, { writable: false, policy, places: realPlaces() });
  assert.equal(source(`${top}/data/in`), `${top}/data/set`);
  for (const path of [`${top}/data/out`, `${top}/data/out/passwd`, `${top}/data/../..`, `${top}/data/none`]) {
    assert.throws(() => source(path), /there is nothing that may be mounted/, path);
  }
});

Deno.test("places: a socket that something listens on", () => {
  const top = tmp();
  Deno.mkdirSync(`${top}/data/deep`, { recursive: true });
  using _listener = Deno.listen({ transport: "unix", path: `${top}/data/deep/s` });
  const policy = policyOf(`mounts = ["${top}/data"]`);
  assert.ok(realPlaces().sockets().includes(`${top}/data/deep/s`));
  assert.throws(
    () => mountSource(`${top}/data`, { writable: false, policy, places: realPlaces() }),
    /something listens on/,
  );
});

Deno.test("tables of /proc are read as they are written", () => {
  const unix = "Num       RefCount Protocol Flags    Type St Inode Path\n" +
    "0000000000000000: 00000002 00000000 00010000 0001 01 22343 /run/a b/s\n" +
    "0000000000000000: 00000003 00000000 00000000 0001 03 40920603\n" +
    "0000000000000000: 00000002 00000000 00010000 0001 01     4 @/abstract\n";
  assert.deepEqual(boundSockets(unix), ["/run/a b/s"]);
  assert.deepEqual(mountPoints("22 1 8:1 / / rw - ext4 x rw\n23 22 0:5 / /a\\040b rw - tmpfs x rw\n"), [
    "/",
    "/a b",
  ]);
});
