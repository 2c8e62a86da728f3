import assert from "node:assert/strict";
import { readJson } from "../../../lib/serve/body.ts";
import { Problem } from "../../../lib/serve/problem.ts";
import { ExecuteRequest, MOST_SCRIPT_BYTES } from "../../../lib/serve/schemas.ts";

const MOST = 1_000_000;

function read(body: string | Uint8Array<ArrayBuffer>, type = "application/json") {
  const request = new Request("http://x/execute", {
    method: "POST",
    body,
    headers: { "content-type": type },
  });
  return readJson(request, ExecuteRequest, { tenant: "t", most: MOST });
}

Deno.test("a body of the contract is read", async () => {
  const wanted = { cmd: "ls", args: "host" };
  assert.deepEqual(await read('{"cmd":"ls","args":"host"}'), wanted);
  assert.deepEqual(await read('{"cmd":"ls","args":"host"}', "Application/JSON; charset=utf-8"), wanted);
  assert.deepEqual(await read(JSON.stringify({ cmd: '["]\\"{', args: "" })), { cmd: '["]\\"{', args: "" });
});

for (
  const [text, status] of [
    ["", 400],
    ["{", 400],
    ["[".repeat(100_000), 400],
    ["[".repeat(100_000) + "]".repeat(100_000), 400],
    [`{"cmd":${"[".repeat(20)}${"]".repeat(20)},"args":""}`, 400],
    ["null", 422],
    ["[]", 422],
    ['"x"', 422],
    ['{"cmd":"ls"}', 422],
    ['{"cmd":1,"args":""}', 422],
    ['{"cmd":null,"args":""}', 422],
    ['{"cmd":"","args":"","x":1}', 422],
    ['{"cmd":"","args":"","__proto__":1}', 422],
    ['{"cmd":"","args":"","constructor":{}}', 422],
    ['{"cmd":"a\\u0000","args":""}', 422],
    ['{"cmd":"","args":"\\u0000"}', 422],
    ['{"cmd":"\\ud800","args":""}', 422],
    ['{"cmd":"\\udc00\\ud800","args":""}', 422],
    [JSON.stringify({ cmd: "é".repeat(MOST_SCRIPT_BYTES / 2 + 1), args: "" }), 422],
    [JSON.stringify({ cmd: "x".repeat(MOST), args: "" }), 413],
    [" ".repeat(MOST + 1), 413],
  ] as const
) {
  Deno.test(`the body ${text.slice(0, 40)} (${text.length}) is answered with ${status}`, async () => {
    await assert.rejects(read(text), (error) => error instanceof Problem && error.status === status);
  });
}

Deno.test("a body that is not UTF-8 is refused", async () => {
  await assert.rejects(read(Uint8Array.of(0x22, 0xff, 0x22)), { problem: "bad-request" });
});

Deno.test("a body of another type is refused", async () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]) {
    await assert.rejects(read('{"cmd":"ls","args":"host"}', type), { problem: "unsupported-media-type" });
  }
});

Deno.test("what is wrong is pointed at", async () => {
  await assert.rejects(read('{"cmd":1,"args":2}'), (error) => {
    assert.ok(error instanceof Problem);
    assert.deepEqual(error.details.errors?.map(({ pointer }) => pointer), ["/cmd", "/args"]);
    return true;
  });
});

Deno.test("bodies that do not come to their end have bounded memory together", async () => {
  const piece = new Uint8Array(2 ** 20).fill(32);
  const ends: (() => void)[] = [];
  /** Sends 8 MiB and stays. */
  const begin = (tenant: string) => {
    const sent = Promise.withResolvers<void>();
    let pieces = 0;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(controller) {
        if (pieces++ < 8) return controller.enqueue(piece);
        sent.resolve();
        ends.push(() => controller.close());
        return new Promise(() => {});
      },
    });
    const request = new Request("http://x", {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    const answer = readJson(request, ExecuteRequest, { tenant, most: 2 ** 30 }).then(
      () => undefined,
      (error) => error instanceof Problem ? error.status : error,
    );
    return { answer, sent: sent.promise };
  };
  const all = Array.from({ length: 16 }, (_, at) => begin(`tenant ${at % 4}`));
  await Promise.all(all.map(({ sent }) => sent));
  assert.equal(await begin("tenant 0").answer, 429);
  assert.equal(await begin("another").answer, 503);
  for (const end of ends) end();
  // White space is no JSON; and there is room again.
  assert.deepEqual(await Promise.all(all.map(({ answer }) => answer)), all.map(() => 400));
  assert.deepEqual(await read('{"cmd":"ls","args":"host"}'), { cmd: "ls", args: "host" });
});
