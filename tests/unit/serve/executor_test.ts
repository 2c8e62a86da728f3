import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import type { Result } from "../../../lib/engine/engine.ts";
import { CordonError } from "../../../lib/errors.ts";
import type { Rate, Tenant } from "../../../lib/serve/config/types.ts";
import type { Execution, Job } from "../../../lib/serve/execution.ts";
import { Busy, Executor } from "../../../lib/serve/executor.ts";
import { Metrics } from "../../../lib/serve/metrics.ts";
import { Printed } from "../../../lib/serve/printed.ts";
import { Store } from "../../../lib/serve/store.ts";

const EXITED: Result = {
  reason: "exited",
  exitCode: 0,
  signal: null,
  wallMs: 1,
  userMs: 1,
  systemMs: 1,
  maxRssBytes: 1,
};

function tenant(name: string, rate?: Rate): Tenant {
  return { name, tokens: [], policy: {} as Tenant["policy"], ...(rate && { rate }) };
}

const job = { engine: "namespaces", limits: { outputBytes: 100 }, dropped: [], notes: [] } as unknown as Job;

/** An executor whose executions end when the test says so. */
function begin({ concurrency = 1, length = 10 } = {}) {
  const store = new Store(":memory:");
  const running: { execution: Execution; end: (result: Result) => void; fail: (error: unknown) => void }[] =
    [];
  const recorded: string[] = [];
  const executor = new Executor({
    perform(execution) {
      // Nothing begins that is not in the record.
      recorded.push(store.get(execution.id, execution.admitted.tenant)?.state ?? "absent");
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      execution.signal.addEventListener(
        "abort",
        () => resolve({ ...EXITED, reason: "aborted", exitCode: null }),
      );
      running.push({ execution, end: resolve, fail: reject });
      return promise;
    },
    store,
    metrics: new Metrics("test"),
    log() {},
    limits: { concurrency, length },
  });
  const submit = (who = tenant("t"), key?: { name: string; asked: string }) =>
    executor.submit(who, {
      requestId: "r",
      via: "v1",
      job,
      args: "host",
      command: '"true"',
      script: "true",
      ...(key && { key }),
    });
  return { store, executor, running, recorded, submit };
}

/** Lets everything happen that needs no more than some turns of the event loop. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setTimeout(() => setImmediate(resolve), 1));
  }
}

function busy(kind: Busy["kind"]) {
  return (error: unknown) => error instanceof Busy && error.kind === kind && error.retryAfter >= 1;
}

Deno.test("nothing begins before it is recorded, and its end is recorded too", async () => {
  const { store, running, recorded, submit } = begin();
  const execution = submit();
  assert.equal(execution.state, "queued");
  await settle();
  assert.deepEqual([execution.state, recorded], ["running", ["queued"]]);
  assert.equal(store.get(execution.id, "t")?.state, "running");
  execution.output.write("stdout", new TextEncoder().encode("printed"));
  running[0]!.end({ ...EXITED, exitCode: 7 });
  await execution.ended;
  await settle();
  const row = store.get(execution.id, "t");
  assert.deepEqual([row?.state, row?.reason, row?.exit_code, row?.stdout_bytes], [
    "finished",
    "exited",
    7,
    7,
  ]);
  const kept = [...store.output(execution.id)];
  assert.deepEqual(kept.map(({ type }) => type), ["state", "state", "stdout", "state"]);
  await settle();
  store.close();
});

Deno.test("nobody is told of an end before the record has it", async () => {
  const { store, running, submit } = begin();
  const execution = submit();
  await settle();
  running[0]!.end(EXITED);
  for (let told = false; !told;) {
    await execution.output.changed();
    told = execution.output.read(0).some((event) =>
      event.type === "state" && event.state["state"] === "finished"
    );
    assert.equal(store.get(execution.id, "t")?.state, told ? "finished" : "running");
  }
  await settle();
  store.close();
});

Deno.test("one that waits is cancelled without having run, one that runs by its signal", async () => {
  const { store, executor, running, submit } = begin();
  const [first, second] = [submit(), submit()];
  await settle();
  executor.cancel(second, "client");
  await second.ended;
  assert.deepEqual([second.state, second.started], ["cancelled", undefined]);
  executor.cancel(first, "asked");
  await first.ended;
  assert.equal(first.state, "cancelled");
  await settle();
  assert.deepEqual([first, second].map(({ id }) => store.get(id, "t")?.reason), ["asked", "client"]);
  assert.equal(running.length, 1);
  await settle();
  store.close();
});

Deno.test("who asks for the end of what has ended changes nothing", async () => {
  const { store, executor, running, submit } = begin();
  const execution = submit();
  await settle();
  running[0]!.end(EXITED);
  await execution.ended;
  executor.cancel(execution, "asked");
  await settle();
  assert.equal(store.get(execution.id, "t")?.state, "finished");
  await settle();
  store.close();
});

Deno.test("a failure of the engine is the execution's end, and gives its place to the next", async () => {
  const { store, running, submit } = begin();
  const [first, second] = [submit(), submit()];
  await settle();
  running[0]!.fail(new CordonError("The engine is away", { why: "It was stopped" }));
  await first.ended;
  await settle();
  assert.deepEqual([first.failure, second.state], ["The engine is away: It was stopped", "running"]);
  assert.equal(store.get(first.id, "t")?.reason, "cordon");
  const stderr = new Printed(first.output.pieces("stderr"), { encoding: "text" });
  assert.equal(stderr.toJSON(), "cordon: The engine is away: It was stopped\n");
  running[1]!.fail(new TypeError("of which nobody outside is to know"));
  await second.ended;
  assert.equal(second.failure, "the server failed");
  await settle();
  store.close();
});

Deno.test("what cannot be admitted says why, and when to come back", async () => {
  const { store, executor, submit } = begin({ concurrency: 1, length: 1 });
  const slow = tenant("slow", { count: 1, seconds: 30 });
  submit(slow);
  assert.throws(() => submit(slow), busy("rate"));
  submit(tenant("a"));
  assert.throws(() => submit(tenant("b")), busy("capacity"));
  assert.throws(() => submit({ ...tenant("a"), queue: 1 }), busy("tenant"));
  const drained = executor.drain();
  assert.throws(() => submit(tenant("c")), busy("draining"));
  executor.cancelAll("shutdown");
  await drained;
  await settle();
  store.close();
});

Deno.test("draining ends when everything is recorded", async () => {
  const { store, executor, running, submit } = begin();
  const executions = [submit(), submit()];
  await settle();
  let over = false;
  const drained = executor.drain().then(() => over = true);
  running[0]!.end(EXITED);
  await executions[0]!.ended;
  await settle();
  assert.equal(over, false);
  running[1]!.end(EXITED);
  await drained;
  assert.deepEqual(executions.map(({ id }) => store.get(id, "t")?.state), ["finished", "finished"]);
  await settle();
  store.close();
});

Deno.test("without a record nothing runs", async () => {
  const { store, executor, running, submit } = begin({ concurrency: 2 });
  const key = { name: "k", asked: "h" };
  const first = submit(tenant("t"), key);
  // Against the record's own rule of one for each key.
  const second = submit(tenant("t"), key);
  await second.ended;
  assert.match(second.failure ?? "", /record/);
  assert.deepEqual(running.map(({ execution }) => execution), [first]);
  running[0]!.end(EXITED);
  await executor.drain();
  await settle();
  store.close();
});

Deno.test("while the record takes nothing, nothing is admitted", async () => {
  const { store, running, submit } = begin();
  store.limitPages(1);
  const large = { name: "k", asked: "x".repeat(100_000) };
  const execution = submit(tenant("t"), large);
  await execution.ended;
  assert.match(execution.failure ?? "", /record/);
  assert.throws(() => submit(), busy("record"));
  assert.equal(running.length, 0);
  await settle();
  store.close();
});

Deno.test("what waiting executions bring along has a bound, for each tenant and for all", async () => {
  const { executor, running, submit } = begin({ length: 1000 });
  const bring = (name: string, bytes: number) =>
    executor.submit(tenant(name), {
      requestId: "r",
      via: "v1",
      job: { ...job, stdin: new Uint8Array(bytes) },
      args: "host",
      command: '"true"',
      script: "true",
    });
  const large = 60 * 2 ** 20;
  const first = bring("a", large);
  assert.throws(() => bring("a", large), busy("tenant"));
  for (const name of ["b", "c", "d"]) bring(name, large);
  assert.throws(() => bring("e", large), busy("capacity"));
  submit(tenant("e"));
  await settle();
  running[0]!.end(EXITED);
  await first.ended;
  await settle();
  bring("a", large);
  executor.cancelAll("shutdown");
  await executor.drain();
  await settle();
});

Deno.test("output that a full disk leaves no room for is given up, and nothing else is", async () => {
  const { store, executor, running, submit } = begin({ concurrency: 4 });
  const large = { ...job, limits: { outputBytes: 2 ** 20 } } as Job;
  const executions = Array.from({ length: 4 }, () =>
    executor.submit(tenant("t"), {
      requestId: "r",
      via: "v1",
      job: large,
      args: "host",
      command: '"true"',
      script: "true",
    }));
  await settle();
  store.limitPages(1);
  for (const { execution, end } of running) {
    // As many pieces as are kept of one.
    for (let n = 0; n < 40_000; n++) execution.output.write(n % 2 ? "stdout" : "stderr", Uint8Array.of(120));
    end(EXITED);
  }
  await Promise.all(executions.map(({ ended }) => ended));
  store.limitPages(1e6);
  await store.written();
  assert.deepEqual(executions.map(({ id }) => store.get(id, "t")?.state), Array(4).fill("finished"));
  assert.equal(executor.of("t").running, 0);
  submit();
  await settle();
  executor.cancelAll("shutdown");
  await executor.drain();
  await settle();
  store.close();
});
