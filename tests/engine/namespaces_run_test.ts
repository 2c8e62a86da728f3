/** Running a sandbox beside the process that asks for it, as the daemon does. */
import assert from "node:assert/strict";
import { namespaces } from "../../lib/engine/namespaces/engine.ts";
import { probeCgroups } from "../../lib/host/cgroups.ts";
import { gatherHost } from "../../lib/host/host.ts";
import { userOf } from "../../lib/spec/defaults.ts";
import type { Spec } from "../../lib/spec/spec.ts";
import { test, userns } from "../helpers/need.ts";
import { tmp } from "../helpers/run.ts";
import { engineSuite, run, type Subject, type Wanted } from "./suite.ts";

const runtime = tmp();
const gathered = gatherHost();
const host = { ...gathered, env: { ...gathered.env, XDG_RUNTIME_DIR: runtime } };
const options = { needs: [userns] };

function spec({ script, env = {}, wallSeconds, memoryBytes }: Wanted, change: Partial<Spec> = {}): Spec {
  return {
    command: ["sh", "-c", script],
    env: { PATH: "/usr/bin:/bin", ...env },
    workdir: { path: "/tmp", required: true },
    user: userOf(host, host.user),
    mapRoot: false,
    hostname: "test",
    root: { assembleAt: "/tmp", etc: true },
    mounts: [],
    network: { mode: "none", allow: [] },
    limits: {
      tmpBytes: 2 ** 20,
      bestEffort: false,
      ...(wallSeconds !== undefined && { wallSeconds }),
      ...(memoryBytes !== undefined && { memoryBytes }),
    },
    keepFds: [],
    rawStdio: false,
    nested: false,
    verbose: false,
    ...change,
  };
}

function subject(change: Partial<Spec> = {}): Subject {
  return {
    run: (wanted, streams) => namespaces.run(spec(wanted, change), host, streams),
    left: () => Promise.resolve([...Deno.readDirSync(runtime)].map(({ name }) => name)),
    holdsMemory: probeCgroups().controllers.memory.by.startsWith("cgroup"),
  };
}

// The first one opens the C library, which stays open.
test("the namespaces engine", { ...options, sanitizeResources: false }, (t) => engineSuite(t, subject()));

test("run tells death by a signal from an exit", options, async () => {
  const { result } = await run(subject(), { script: "kill -TERM $$" });
  assert.deepEqual([result.reason, result.exitCode, result.signal], ["signaled", null, 15]);
});

test("a sandbox that cannot be made is told in the result, with the reason on stderr", options, async () => {
  const nowhere = subject({ workdir: { path: "/nowhere", required: true } });
  const { result, stderr } = await run(nowhere, { script: "true" });
  assert.equal(result.reason, "cordon");
  assert.match(stderr, /^cordon: .*\/nowhere/);
});
