import assert from "node:assert/strict";
import { Bucket } from "../../../lib/serve/rate.ts";

Deno.test("a bucket gives what it holds, and then as fast as it is filled", () => {
  const bucket = new Bucket({ count: 2, seconds: 4 }, 0);
  assert.deepEqual([bucket.take(0), bucket.take(0)], [0, 0]);
  assert.equal(bucket.take(0), 2);
  assert.equal(bucket.take(1000), 1);
  assert.equal(bucket.take(2000), 0);
  assert.equal(bucket.take(2000), 2);
});

Deno.test("a bucket never holds more than its size", () => {
  const bucket = new Bucket({ count: 1, seconds: 1 }, 0);
  assert.equal(bucket.take(1e9), 0);
  assert.ok(bucket.take(1e9) > 0);
});

Deno.test("a clock that goes back gives nothing", () => {
  const bucket = new Bucket({ count: 1, seconds: 1 }, 5000);
  bucket.take(5000);
  assert.ok(bucket.take(1000) > 0);
});

Deno.test("another size forgets nothing that was taken", () => {
  const bucket = new Bucket({ count: 1, seconds: 60 }, 0);
  bucket.take(0);
  bucket.resize({ count: 1, seconds: 60 });
  assert.ok(bucket.take(0) > 0);
  bucket.resize({ count: 3, seconds: 60 });
  assert.deepEqual([bucket.take(0), bucket.take(0)], [0, 0]);
  assert.ok(bucket.take(0) > 0);
});
