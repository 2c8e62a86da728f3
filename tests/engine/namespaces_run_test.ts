/** Running a sandbox beside the process that asks for it, as the daemon does. */
import assert from "node:assert/strict";
import type { Result } from "../../lib/engine/engine.ts";
import { namespaces } from "../../lib/engine/namespaces/engine.ts";
import { gatherHost } from "../../lib/host/host.ts";
import { userOf } from "../../lib/spec/defaults.ts";
import type { Spec } from "../../lib/spec/spec.ts";
import { test, userns } from "../helpers/need.ts";
import { tmp } from "../helpers/run.ts";

const runtime = tmp();
const gathered = gatherHost();
const host = { ...gathered, env: { ...gathered.env, XDG_RUNTIME_DIR: runtime } };
const options = { needs: [userns] };

function spec(script: string, change: Partial<Spec> = {}): Spec {
  return {
    command: ["/bin/sh", "-c", script],
    env: { PATH: "/usr/bin:/bin" },
    workdir: { path: "/tmp", required: true },
    user: userOf(host, host.user),
    mapRoot: false,
    hostname: "test",
    root: { assembleAt: "/tmp", etc: true },
    mounts: [],
    network: { mode: "none", allow: [] },
    limits: { tmpBytes: 2 ** 20, bestEffort: false },
    keepFds: [],
    rawStdio: false,
    nested: false,
    verbose: false,
    ...change,
  };
}

interface Ran {
  result: Result;
  stdout: string;
  stderr: string;
}

async function run(wanted: Spec, more: { stdin?: string; signal?: AbortSignal } = {}): Promise<Ran> {
  const out: string[] = [], err: string[] = [];
  const result = await namespaces.run(wanted, host, {
    stdout: (chunk) => void out.push(new TextDecoder().decode(chunk)),
    stderr: (chunk) => void err.push(new TextDecoder().decode(chunk)),
    ...(more.stdin !== undefined && { stdin: new TextEncoder().encode(more.stdin) }),
    ...(more.signal && { signal: more.signal }),
  });
  assert.deepEqual([...Deno.readDirSync(runtime)], [], "the private directory is left behind");
  return { result, stdout: out.join(""), stderr: err.join("") };
}

// The first one opens the C library, which stays open.
test("run tells a plain end", { ...options, sanitizeResources: false }, async () => {
  const { result } = await run(spec("true"));
  assert.deepEqual([result.reason, result.exitCode, result.signal], ["exited", 0, null]);
});

test("run gives input, both outputs and the status", options, async () => {
  const { result, stdout, stderr } = await run(spec("cat; echo to-err >&2; exit 7"), { stdin: "hello" });
  assert.deepEqual([stdout, stderr], ["hello", "to-err\n"]);
  assert.deepEqual([result.reason, result.exitCode, result.signal], ["exited", 7, null]);
});

test("run without input gives its end at once", options, async () => {
  assert.equal((await run(spec("wc -c"))).stdout.trim(), "0");
});

test("run survives a program that does not read its input", options, async () => {
  const { result } = await run(spec("exit 0"), { stdin: "x".repeat(2 ** 20) });
  assert.equal(result.exitCode, 0);
});

test("run delivers all of a large output", options, async () => {
  const { stdout } = await run(spec("head -c 3000000 /dev/zero"));
  assert.equal(stdout.length, 3_000_000);
});

test("run tells death by a signal from an exit", options, async () => {
  const { result } = await run(spec("kill -TERM $$"));
  assert.deepEqual([result.reason, result.exitCode, result.signal], ["signaled", null, 15]);
});

test("run tells the time limit, and keeps what was printed before", options, async () => {
  const limits = { tmpBytes: 2 ** 20, bestEffort: false, wallSeconds: 1 };
  const { result, stdout } = await run(spec("echo before; sleep 600", { limits }));
  assert.deepEqual([result.reason, stdout], ["timeout", "before\n"]);
});

test("an abort ends all that is inside, also what left its session", options, async () => {
  const abort = new AbortController();
  let begun = false;
  // Only a process inside holds the pipes: that run returns at all says that they are gone.
  const result = await namespaces.run(spec("setsid sleep 600 & trap '' TERM; echo begun; sleep 600"), host, {
    stdout() {
      begun = true;
      abort.abort();
    },
    stderr() {},
    signal: abort.signal,
  });
  assert.ok(begun);
  assert.equal(result.reason, "aborted");
  assert.deepEqual([...Deno.readDirSync(runtime)], []);
});

test("an abort before the start starts nothing", options, async () => {
  const { result, stdout } = await run(spec("echo ran"), { signal: AbortSignal.abort() });
  assert.deepEqual([result.reason, stdout], ["aborted", ""]);
});

test("a sink that fails ends the sandbox and is told", options, async () => {
  const failing = namespaces.run(spec("echo x; sleep 600"), host, {
    stdout() {
      throw new Error("no room");
    },
    stderr() {},
  });
  await assert.rejects(failing, /no room/);
  assert.deepEqual([...Deno.readDirSync(runtime)], []);
});

test("a sandbox that cannot be made is told in the result, with the reason on stderr", options, async () => {
  const { result, stderr } = await run(spec("true", { workdir: { path: "/nowhere", required: true } }));
  assert.equal(result.reason, "cordon");
  assert.match(stderr, /^cordon: .*\/nowhere/);
});
