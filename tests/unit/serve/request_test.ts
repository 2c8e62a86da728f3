import assert from "node:assert/strict";
import { Captured, refusal } from "../../../lib/serve/execute.ts";
import { defaultLimits } from "../../../lib/serve/limits.ts";
import { Queue } from "../../../lib/serve/queue.ts";
import { fits, hashToken, MOST_COMMAND_BYTES, presented, readBody } from "../../../lib/serve/request.ts";

const body = (text: string) => readBody(new TextEncoder().encode(text));

Deno.test("a body of the contract is read", () => {
  assert.deepEqual(body('{"cmd":"ls","args":"host"}'), { cmd: "ls", args: "host" });
});

for (
  const [text, status] of [
    ["", 400],
    ["{", 400],
    ["[".repeat(100_000), 400],
    ["null", 422],
    ["[]", 422],
    ['{"cmd":"ls"}', 422],
    ['{"cmd":1,"args":""}', 422],
    ['{"cmd":"","args":"","__proto__":1}', 422],
    ['{"cmd":"a\\u0000","args":""}', 422],
    ['{"cmd":"\\ud800","args":""}', 422],
    [JSON.stringify({ cmd: "é".repeat(MOST_COMMAND_BYTES / 2 + 1), args: "" }), 413],
  ] as const
) {
  Deno.test(`the body ${text.slice(0, 40)} is answered with ${status}`, () => {
    const read = body(text);
    assert.ok("status" in read);
    assert.equal(read.status, status);
  });
}

Deno.test("a body that is not UTF-8 is refused", () => {
  const read = readBody(Uint8Array.of(0x22, 0xff, 0x22));
  assert.ok("status" in read);
  assert.equal(read.status, 400);
});

Deno.test("tokens come from the path, Basic's password and Bearer", () => {
  assert.deepEqual(presented("/secret/execute", null), { path: "/execute", tokens: ["secret"] });
  assert.deepEqual(presented("/execute", "Basic " + btoa("me:a:b")).tokens, ["a:b"]);
  assert.deepEqual(presented("/execute", "bearer abc").tokens, ["abc"]);
  assert.deepEqual(presented("/execute", "Basic %%%").tokens, []);
  assert.deepEqual(presented("/a/b/execute", null), { path: "/a/b/execute", tokens: [] });
});

Deno.test("a token fits only as a whole", () => {
  const hash = hashToken("right");
  assert.equal(fits(["wrong", "right"], hash), true);
  for (const tokens of [[], [""], ["righ"], ["right "]]) assert.equal(fits(tokens, hash), false);
});

Deno.test("only the image host is allowed, and nothing beside it", () => {
  assert.equal(refusal(" host "), undefined);
  for (
    const args of ["", "alpine", "--privileged host", "host -v /:/h", "host host", "'host'", "--net host"]
  ) {
    assert.match(refusal(args) ?? "", /./, args);
  }
});

Deno.test("output is kept up to the room and the rest is dropped", () => {
  const captured = new Captured(5);
  captured.take("stdout", new TextEncoder().encode("abc"));
  assert.equal(captured.truncated, false);
  captured.take("stderr", new TextEncoder().encode("def"));
  captured.take("stdout", new TextEncoder().encode("x"));
  assert.deepEqual([captured.text("stdout"), captured.text("stderr"), captured.truncated], [
    "abc",
    "de",
    true,
  ]);
});

Deno.test("a character split between two pieces comes out whole", () => {
  const captured = new Captured(10);
  for (const byte of new TextEncoder().encode("é")) captured.take("stdout", Uint8Array.of(byte));
  assert.equal(captured.text("stdout"), "é");
});

Deno.test("the queue runs so many at once, the others in their order, and says when it is full", async () => {
  const queue = new Queue(1, 1);
  const order: number[] = [];
  const first = Promise.withResolvers<void>();
  const one = queue.run(() => first.promise.then(() => void order.push(1)));
  assert.equal(queue.full, false);
  const two = queue.run(() => Promise.resolve(void order.push(2)));
  assert.equal(queue.full, true);
  first.resolve();
  await Promise.all([one, two]);
  assert.deepEqual(order, [1, 2]);
  assert.equal(queue.full, false);
});

Deno.test("work that fails gives its place back", async () => {
  const queue = new Queue(1, 0);
  await assert.rejects(queue.run(() => Promise.reject(new Error("no"))), /no/);
  assert.equal(queue.full, false);
});

Deno.test("limits the host cannot hold are dropped, and each is told", () => {
  const none = { by: "none", why: "" } as const, group = { by: "cgroup1", parent: "/g" } as const;
  const some = defaultLimits({
    controllers: { memory: group, pids: { by: "reexec" }, cpu: none },
    evacuate: false,
  });
  assert.equal(some.limits.memoryBytes, 512 * 2 ** 20);
  assert.deepEqual([some.limits.pids, some.limits.cpus], [undefined, undefined]);
  assert.equal(some.notes.length, 2);
});
