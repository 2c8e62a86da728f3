import assert from "node:assert/strict";
import { Popularity } from "../../../lib/engine/docker/popularity.ts";

const EASY = { halfLifeMs: 1000, enter: 1.5, stay: 0.5 };
const none: ReadonlyMap<string, number> = new Map();

function used(counts: Record<string, number>, options = {}): Popularity {
  const popularity = new Popularity({ ...EASY, ...options });
  for (const [key, count] of Object.entries(counts)) {
    for (let i = 0; i < count; i++) popularity.use(key, 0);
  }
  return popularity;
}

const entries = (places: ReadonlyMap<string, number>) => Object.fromEntries(places);

Deno.test("a use counts half after the half-life", () => {
  const popularity = used({ a: 4 });
  assert.deepEqual([0, 1000, 2000].map((now) => popularity.score("a", now)), [4, 2, 1]);
  assert.equal(popularity.score("unknown", 0), 0);
});

Deno.test("places go by how often a kind is used for each place it has", () => {
  assert.deepEqual(entries(used({ a: 9, b: 3 }).places(4, none, 0)), { a: 3, b: 1 });
  assert.deepEqual(entries(used({ a: 9, b: 3 }).places(1, none, 0)), { a: 1 });
  assert.deepEqual(entries(used({ a: 9 }).places(0, none, 0)), {});
});

Deno.test("what is used once gets no place, and no more places than uses are worth it", () => {
  assert.deepEqual(entries(used({ a: 1, b: 1 }).places(4, none, 0)), {});
  assert.deepEqual(entries(used({ a: 3 }).places(100, none, 0)), { a: 2 });
});

Deno.test("what has a place keeps it for longer than it would be given one", () => {
  const popularity = used({ a: 2, b: 2 });
  const held = new Map([["b", 1]]);
  assert.deepEqual(entries(popularity.places(1, held, 0)), { b: 1 });
  assert.deepEqual(entries(popularity.places(1, none, 1500)), {});
  assert.deepEqual(entries(popularity.places(1, held, 1500)), { b: 1 });
  assert.deepEqual(entries(popularity.places(1, held, 2500)), {});
});

Deno.test("the memory of kinds is bounded, and keeps the popular ones", () => {
  const popularity = used({ popular: 5 }, { most: 10 });
  for (let i = 0; i < 1000; i++) popularity.use(`once${i}`, i);
  assert.ok(popularity.score("popular", 1000) > 0);
  let known = 0;
  for (let i = 0; i < 1000; i++) if (popularity.score(`once${i}`, 1000) > 0) known++;
  assert.ok(known <= 10, `${known}`);
});

Deno.test("what is kept has its places without a use, until others are used more", () => {
  const popularity = used({ a: 20 });
  popularity.keep("kept", 2);
  assert.deepEqual(entries(popularity.places(4, none, 0)), { a: 4 });
  assert.deepEqual(entries(popularity.places(4, none, 3000)), { a: 1, kept: 2 });
  assert.deepEqual(entries(popularity.places(4, none, 1e9)), { kept: 2 });
  popularity.keepNothing();
  assert.deepEqual(entries(popularity.places(4, none, 1e9)), {});
});
