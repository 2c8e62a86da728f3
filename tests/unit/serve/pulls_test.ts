import assert from "node:assert/strict";
import { CordonError } from "../../../lib/errors.ts";
import type { Host } from "../../../lib/host/host.ts";
import { Pulls } from "../../../lib/serve/pulls.ts";
import { type FakeCall, FakeEngine, gate } from "../../helpers/fake-engine.ts";
import { tmp } from "../../helpers/run.ts";
import { until } from "../../helpers/serving.ts";

const never = new AbortController().signal;
const wanted = (image: string, seconds: number, signal = never) => ({ tenant: "t", image, seconds, signal });

/** An engine without images, whose registry does what the test says. */
function registry(pull: (call: FakeCall) => Promise<void>, { silentMs = 60_000 } = {}) {
  const there = new Set<string>();
  const engine = new FakeEngine({
    "GET /images/*/json": async (call) => {
      const name = decodeURIComponent(call.path.split("/")[2]!);
      if (there.has(name)) await call.json(200, { Id: name });
      else await call.json(404, { message: "No such image" });
    },
    "POST /images/create": pull,
  });
  const host = { env: { DOCKER_CONFIG: tmp() }, home: tmp() } as unknown as Host;
  const pulls = new Pulls(engine.engine(), host, { silentMs });
  const begun = () => engine.asked.filter((line) => line === "POST /images/create").length;
  return { engine, pulls, there, begun };
}

const PULLING = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

Deno.test("a registry that hangs holds nobody beyond the time limit, and is asked once", async () => {
  const hang = gate();
  const { engine, pulls, begun } = registry(async (call) => {
    await call.send(PULLING);
    await hang.promise;
  });
  await using _ = engine;
  const late = (error: unknown) => {
    assert.ok(error instanceof CordonError);
    assert.equal(error.message, "The image a was not there within the time limit of 0.05 s");
    return true;
  };
  await Promise.all([
    assert.rejects(pulls.need(wanted("a", 0.05)), late),
    assert.rejects(pulls.need(wanted("a", 0.05)), late),
  ]);
  await assert.rejects(pulls.need(wanted("a", 0.05)), late);
  assert.equal(begun(), 1);
  // The one after waits for the same pull, which comes to its end.
  const last = pulls.need(wanted("a", 60));
  hang.resolve();
  await last;
});

Deno.test("who asked and goes away waits no longer; an engine that hangs is waited for as long", async () => {
  const { engine, pulls, begun } = registry((call) => call.closed());
  const gone = new AbortController();
  const waiting = pulls.need(wanted("a", 60, gone.signal));
  await until(() => begun() === 1);
  gone.abort();
  await waiting;
  await engine[Symbol.asyncDispose]();
  await using hanging = new FakeEngine({ "GET /images/*/json": (call) => call.closed() });
  const other = new Pulls(
    hanging.engine(),
    { env: {}, home: tmp() } as unknown as Host,
  );
  await assert.rejects(other.need(wanted("a", 0.05)), /within the time limit/);
});

Deno.test("a pull of which nothing is heard is given up, and another one begun", async () => {
  const { engine, pulls, begun } = registry(async (call) => {
    await call.send(PULLING);
    await call.closed();
  }, { silentMs: 50 });
  await using _ = engine;
  await assert.rejects(pulls.need(wanted("a", 60)), /Nothing came from its registry|Cannot pull/);
  await assert.rejects(pulls.need(wanted("a", 60)), /Nothing came from its registry|Cannot pull/);
  assert.equal(begun(), 2);
});

Deno.test("the end of the server ends what is under way", async () => {
  const { engine, pulls } = registry((call) => call.closed());
  await using _ = engine;
  await assert.rejects(pulls.need(wanted("a", 0.05)));
  await pulls.close();
  await assert.rejects(pulls.need(wanted("a", 60)), /The server ends/);
});

Deno.test("a tenant has four pulls under way at most, whoever still waits for them", async () => {
  const hang = gate();
  const { engine, pulls, begun } = registry(async (call) => {
    await call.send(PULLING);
    await hang.promise;
  });
  await using _ = engine;
  for (const image of ["a", "b", "c", "d", "e"]) await assert.rejects(pulls.need(wanted(image, 0.05)));
  assert.equal(begun(), 4);
  await assert.rejects(pulls.need({ ...wanted("f", 0.05), tenant: "another" }));
  assert.equal(begun(), 5);
  const fifth = pulls.need(wanted("e", 60));
  hang.resolve();
  await fifth;
  assert.equal(begun(), 6);
});
