import assert from "node:assert/strict";
import { EngineError } from "../../../lib/docker/errors.ts";
import { isRootless, NEWEST_API, openEngine } from "../../../lib/docker/system.ts";
import { FakeEngine, type Handler } from "../../helpers/fake-engine.ts";

function pong(headers: Record<string, string>): Handler {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return (call) => {
    assert.equal(call.version, "");
    return call.send(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nOK`);
  };
}

Deno.test("the version is the older of both sides' newest", async () => {
  const cases: [string, string][] = [["1.41", "1.41"], ["1.40", "1.40"], ["1.52", NEWEST_API], [
    "2.0",
    NEWEST_API,
  ]];
  for (const [theirs, agreed] of cases) {
    await using fake = new FakeEngine({
      "GET /_ping": pong({ "Api-Version": theirs, Server: "Docker/20.10" }),
    });
    const engine = await openEngine(fake.endpoint);
    assert.equal(engine.apiVersion, agreed);
    assert.equal(engine.name, "docker");
  }
});

Deno.test("an engine that wants 1.44 at least is asked with no less", async () => {
  await using fake = new FakeEngine({ "GET /_ping": pong({ "Api-Version": "1.52" }) });
  const [, minor] = (await openEngine(fake.endpoint)).apiVersion.split(".").map(Number);
  assert.ok(minor !== undefined && minor >= 44);
});

Deno.test("an engine whose ping does not tell is asked for its version", async () => {
  await using fake = new FakeEngine({
    "GET /_ping": pong({}),
    "GET /version": (call) => call.json(200, { ApiVersion: "1.42" }),
  });
  assert.equal((await openEngine(fake.endpoint)).apiVersion, "1.42");
});

Deno.test("an engine that is too old is refused with both versions", async () => {
  await using fake = new FakeEngine({ "GET /_ping": pong({ "Api-Version": "1.24" }) });
  await assert.rejects(openEngine(fake.endpoint), (error: EngineError) => {
    assert.match(error.message, /1\.24/);
    assert.match(error.why ?? "", /1\.40/);
    return error instanceof EngineError;
  });
});

Deno.test("a version asked for is used as it is, and must look like one", async () => {
  await using fake = new FakeEngine({ "GET /_ping": pong({ "Api-Version": "1.52" }) });
  assert.equal((await openEngine(fake.endpoint, { apiVersion: "1.44" })).apiVersion, "1.44");
  await assert.rejects(openEngine(fake.endpoint, { apiVersion: "latest" }), EngineError);
});

Deno.test("Podman is recognised", async () => {
  await using fake = new FakeEngine({
    "GET /_ping": pong({
      "Api-Version": "1.41",
      "Libpod-Api-Version": "4.3.1",
      Server: "Libpod/4.3.1 (linux)",
    }),
  });
  assert.equal((await openEngine(fake.endpoint)).name, "podman");
});

Deno.test("an engine that takes the connection and says nothing is given up on", async () => {
  await using fake = new FakeEngine({ "GET /_ping": (call) => call.closed() });
  await assert.rejects(openEngine(fake.endpoint, { pingMs: 30 }), (error: EngineError) => {
    return error.why === "It did not answer within 30 ms";
  });
  const reason = new Error("stop");
  await assert.rejects(
    openEngine(fake.endpoint, { signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
});

Deno.test("rootless engines are told by Podman's field and Docker's option", () => {
  assert.equal(isRootless({ Rootless: true }), true);
  assert.equal(isRootless({ SecurityOptions: ["name=seccomp,profile=default", "name=rootless"] }), true);
  assert.equal(isRootless({ SecurityOptions: ["name=seccomp,profile=default"] }), false);
  assert.equal(isRootless({ SecurityOptions: null }), false);
});
