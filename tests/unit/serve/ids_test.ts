import assert from "node:assert/strict";
import { ID, newId } from "../../../lib/serve/ids.ts";

Deno.test("ids sort by the order they were made in, also within a millisecond and when the clock goes back", () => {
  const now = Date.now() + 1000;
  const ids = Array.from({ length: 10_000 }, (_, n) => newId(n % 7 ? now : now - 500));
  for (const id of ids) assert.match(id, ID);
  assert.deepEqual(ids, [...ids].sort());
  assert.equal(new Set(ids).size, ids.length);
});
