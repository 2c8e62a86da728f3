import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  createContainer,
  inspectContainer,
  killContainer,
  removeContainer,
} from "../../../lib/docker/containers.ts";
import {
  BrokenConnectionError,
  ConflictError,
  type EngineError,
  messageOf,
  NotFoundError,
} from "../../../lib/docker/errors.ts";
import { compareVersions, request, segment } from "../../../lib/docker/request.ts";
import { CordonError, render } from "../../../lib/errors.ts";
import { FakeEngine, gate } from "../../helpers/fake-engine.ts";

Deno.test("statuses become classes that carry the engine's words", async () => {
  const words = "Container abc is not running";
  await using fake = new FakeEngine({
    "GET /containers/gone/json": (call) => call.json(404, { message: "No such container: gone" }),
    "POST /containers/abc/kill": (call) => call.json(409, { cause: "state", message: words, response: 409 }),
    "POST /containers/create": (call) => call.text(500, "plain trouble\n"),
    "GET /containers/odd/json": (call) =>
      call.send("HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"),
  });
  const engine = fake.engine();
  await assert.rejects(inspectContainer(engine, "gone"), (error: NotFoundError) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(
      render(error),
      "cordon: Cannot inspect container gone\nThe engine answered 404: No such container: gone\n",
    );
    return error.status === 404;
  });
  await assert.rejects(killContainer(engine, "abc"), (error: ConflictError) => {
    assert.equal(error.engineMessage, words);
    return error instanceof ConflictError;
  });
  await assert.rejects(createContainer(engine, { Image: "i" }), (error: EngineError) => {
    assert.equal(error.engineMessage, "plain trouble");
    return error.status === 500;
  });
  await assert.rejects(inspectContainer(engine, "odd"), (error: EngineError) => error.status === 301);
});

Deno.test("an error body is told whatever it is", () => {
  assert.equal(messageOf('{"message":"a"}'), "a");
  assert.equal(messageOf('{"cause":"b","message":"a: b","response":500}'), "a: b");
  assert.equal(messageOf("client version 1.24 is too old\n"), "client version 1.24 is too old");
  assert.equal(messageOf('{"message":'), '{"message":');
  assert.equal(messageOf("{}"), "{}");
});

Deno.test("every request carries version, length and a host", async () => {
  await using fake = new FakeEngine({
    "POST /containers/a%2Fb/kill": async (call) => {
      assert.equal(call.version, "1.43");
      assert.equal(call.query.get("signal"), "SIGINT");
      assert.equal(call.headers.get("content-length"), "0");
      assert.equal(call.headers.get("host"), "engine");
      await call.send("HTTP/1.1 204 No Content\r\n\r\n");
    },
  });
  await killContainer(fake.engine({ apiVersion: "1.43" }), "a/b", { killSignal: "SIGINT" });
  assert.equal(fake.asked.length, 1);
});

Deno.test("a name that would address something else is refused", () => {
  for (const name of ["", ".", ".."]) assert.throws(() => segment(name), CordonError);
  assert.equal(segment("a/../b?c"), "a%2F..%2Fb%3Fc");
});

Deno.test("a slow answer split at every byte arrives whole", async () => {
  const body = JSON.stringify({ Id: "slow" });
  await using fake = new FakeEngine({
    "GET /containers/x/json": (call) =>
      call.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`, 1),
  });
  assert.equal((await inspectContainer(fake.engine(), "x")).Id, "slow");
});

Deno.test("a connection closed without an answer or inside it says what was being done", async () => {
  await using fake = new FakeEngine({
    "GET /containers/none/json": () => undefined,
    "GET /containers/cut/json": (call) => call.send("HTTP/1.1 200 OK\r\nContent-Le"),
  });
  for (const name of ["none", "cut"]) {
    await assert.rejects(inspectContainer(fake.engine(), name), (error: BrokenConnectionError) => {
      assert.equal(error.message, `Cannot inspect container ${name}`);
      return error instanceof BrokenConnectionError;
    });
  }
});

Deno.test("a cancelled request throws its reason and hangs up", async () => {
  const hungUp = gate();
  const arrived = gate();
  await using fake = new FakeEngine({
    "GET /containers/x/json": async (call) => {
      arrived.resolve();
      await call.closed();
      hungUp.resolve();
    },
  });
  const controller = new AbortController();
  const asked = inspectContainer(fake.engine(), "x", { signal: controller.signal });
  await arrived.promise;
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(asked, (error) => error === reason);
  await hungUp.promise;
  await assert.rejects(
    inspectContainer(fake.engine(), "x", { signal: controller.signal }),
    (error) => error === reason,
  );
  assert.equal(fake.asked.length, 1);
});

Deno.test("an error that comes before the whole body was sent is what is thrown", async () => {
  await using fake = new FakeEngine({
    "PUT /upload": (call) => call.json(403, { message: "read-only" }),
  });
  const sending = request(fake.engine(), {
    method: "PUT",
    path: "/upload",
    what: "upload",
    body: (async function* () {
      for (let i = 0; i < 1000; i++) yield await Promise.resolve(new Uint8Array(65536));
    })(),
  });
  await assert.rejects(
    sending,
    (error: EngineError) => error.status === 403 && error.engineMessage === "read-only",
  );
});

Deno.test("a body that fails at its source fails the request with that error", async () => {
  await using fake = new FakeEngine({ "PUT /upload": (call) => call.closed() });
  const broken = new Error("disk gone");
  const sending = request(fake.engine(), {
    method: "PUT",
    path: "/upload",
    what: "upload",
    body: (async function* () {
      yield await Promise.resolve(new Uint8Array(10));
      throw broken;
    })(),
  });
  await assert.rejects(sending, (error) => error === broken);
});

Deno.test("a streamed body is sent in chunks", async () => {
  await using fake = new FakeEngine({
    "PUT /upload": async (call) => call.json(200, { got: (await call.body()).toString() }),
  });
  const reply = await request(fake.engine(), {
    method: "PUT",
    path: "/upload",
    what: "upload",
    body: (async function* () {
      yield await Promise.resolve(Buffer.from("one "));
      yield new Uint8Array(0);
      yield Buffer.from("two");
    })(),
  });
  assert.deepEqual(await reply.json(), { got: "one two" });
});

Deno.test("bytes that are no text are refused before anything is sent", async () => {
  await using fake = new FakeEngine({});
  await assert.rejects(
    createContainer(fake.engine(), { Image: "i", Env: ["A=\udcff"] }),
    (error: CordonError) => /not UTF-8/.test(error.why ?? ""),
  );
  assert.deepEqual(fake.asked, []);
});

Deno.test("a refused version is explained with what the engine says it speaks", async () => {
  await using fake = new FakeEngine({
    "GET /version": (call) => call.json(200, { ApiVersion: "1.52", MinAPIVersion: "1.44" }),
    // Docker's own words for a version it no longer speaks come as plain text.
    "GET /containers/x/json": (call) =>
      call.text(400, "client version 1.41 is too old. Minimum supported API version is 1.44\n"),
  });
  await assert.rejects(inspectContainer(fake.engine({ apiVersion: "1.41" }), "x"), (error: EngineError) => {
    assert.equal(error.why, "The engine speaks API 1.44 to 1.52; it was asked with 1.41");
    return true;
  });
  assert.deepEqual(fake.asked, ["GET /containers/x/json", "GET /version"]);
});

Deno.test("a removal that another has begun, or of what is gone, is none to fail for", async () => {
  await using fake = new FakeEngine({
    "DELETE /containers/busy": (call) =>
      call.json(409, { message: "removal of container busy is already in progress" }),
    "DELETE /containers/gone": (call) => call.json(404, { message: "No such container" }),
    "DELETE /containers/up": (call) => call.json(409, { message: "You cannot remove a running container" }),
  });
  assert.equal(await removeContainer(fake.engine(), "busy", { force: true }), true);
  assert.equal(await removeContainer(fake.engine(), "gone", { force: true }), false);
  await assert.rejects(removeContainer(fake.engine(), "up"), ConflictError);
});

Deno.test("versions are ordered by number", () => {
  assert.ok(compareVersions("1.9", "1.10") < 0);
  assert.ok(compareVersions("2.0", "1.99") > 0);
  assert.equal(compareVersions("1.41", "1.41"), 0);
});
