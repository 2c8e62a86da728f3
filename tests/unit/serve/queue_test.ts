import assert from "node:assert/strict";
import { FairQueue } from "../../../lib/serve/queue.ts";

const roomy = { concurrency: 10, length: 10 };

Deno.test("tenants take turns, whatever the length of their queues", () => {
  const queue = new FairQueue<string>({ concurrency: 1, length: 100 });
  for (const item of ["a1", "a2", "a3", "a4"]) queue.add(item, "a", roomy);
  for (const item of ["b1", "b2"]) queue.add(item, "b", roomy);
  queue.add("c1", "c", roomy);
  const order: string[] = [];
  for (let item = queue.next(); item; item = queue.next()) {
    order.push(item);
    queue.done(item, item[0]!);
  }
  assert.deepEqual(order, ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
  assert.deepEqual([queue.running, queue.waiting], [0, 0]);
});

Deno.test("a tenant that has its share running is passed over", () => {
  const queue = new FairQueue<string>({ concurrency: 3, length: 10 });
  const one = { concurrency: 1, length: 10 };
  for (const item of ["a1", "a2"]) queue.add(item, "a", one);
  queue.add("b1", "b", one);
  assert.deepEqual([queue.next(), queue.next(), queue.next()], ["a1", "b1", undefined]);
  queue.done("a1", "a");
  assert.equal(queue.next(), "a2");
});

Deno.test("what can begin at once takes no room, what must wait is bounded", () => {
  const queue = new FairQueue<string>({ concurrency: 2, length: 1 });
  const none = { concurrency: 1, length: 0 };
  assert.equal(queue.add("a1", "a", none), "taken");
  assert.equal(queue.next(), "a1");
  assert.equal(queue.add("a2", "a", none), "tenant-full");
  assert.equal(queue.add("b1", "b", roomy), "taken");
  assert.equal(queue.next(), "b1");
  assert.equal(queue.add("b2", "b", roomy), "taken");
  assert.equal(queue.add("c1", "c", roomy), "full");
});

Deno.test("an item that waits can be taken out, one that runs cannot", () => {
  const queue = new FairQueue<string>({ concurrency: 1, length: 10 });
  queue.add("a1", "a", roomy);
  queue.add("a2", "a", roomy);
  assert.equal(queue.next(), "a1");
  assert.equal(queue.remove("a1", "a"), false);
  assert.equal(queue.remove("a2", "a"), true);
  assert.equal(queue.remove("a2", "a"), false);
  assert.deepEqual(queue.of("a"), { running: 1, waiting: 0 });
  queue.done("a1", "a");
  assert.equal(queue.next(), undefined);
});

Deno.test("new limits hold for what comes next", () => {
  const queue = new FairQueue<string>({ concurrency: 1, length: 10 });
  for (const item of ["a1", "a2", "a3"]) queue.add(item, "a", roomy);
  assert.equal(queue.next(), "a1");
  assert.equal(queue.next(), undefined);
  queue.change({ concurrency: 3, length: 0 });
  assert.deepEqual([queue.next(), queue.next(), queue.next()], ["a2", "a3", undefined]);
});

Deno.test("of items that share something one runs at a time, in their order, and holds up nothing else", () => {
  const queue = new FairQueue<string>(
    { concurrency: 3, length: 10 },
    (item) => item.startsWith("s") ? "session" : undefined,
  );
  const two = { concurrency: 2, length: 4 };
  for (const item of ["s1", "s2", "s3", "a1"]) assert.equal(queue.add(item, "a", two), "taken");
  assert.deepEqual([queue.next(), queue.next(), queue.next()], ["s1", "a1", undefined]);
  assert.deepEqual(queue.of("a"), { running: 2, waiting: 2 });
  queue.done("a1", "a");
  assert.equal(queue.next(), undefined);
  queue.done("s1", "a");
  assert.deepEqual([queue.next(), queue.next()], ["s2", undefined]);
  queue.done("s2", "a");
  assert.equal(queue.next(), "s3");
});

Deno.test("what waits for what it shares takes room; beside it others begin at once", () => {
  const queue = new FairQueue<string>(
    { concurrency: 3, length: 10 },
    (item) => item.startsWith("s") ? "session" : undefined,
  );
  const one = { concurrency: 2, length: 1 };
  assert.equal(queue.add("s1", "a", one), "taken");
  assert.equal(queue.next(), "s1");
  assert.equal(queue.add("s2", "a", one), "taken");
  assert.equal(queue.next(), undefined);
  assert.equal(queue.add("s3", "a", one), "tenant-full");
  assert.equal(queue.add("a1", "a", one), "taken");
  assert.equal(queue.next(), "a1");
});
