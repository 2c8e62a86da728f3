import assert from "node:assert/strict";
import { recordedOf } from "../../../lib/serve/ask.ts";

Deno.test("the record has a command as it was asked for, of a very long list the beginning", () => {
  const kept = (command: string | string[]) => JSON.parse(recordedOf({ command }));
  assert.equal(kept('echo "x"'), 'echo "x"');
  assert.deepEqual(kept(["a", "b c"]), ["a", "b c"]);
  const long = "x".repeat(60_000);
  assert.deepEqual(kept(["a", long, long]), ["a", long, long]);
  assert.deepEqual(kept(["a", long, long, long, "b"]), ["a", long, long, "…"]);
  assert.deepEqual(kept(["x".repeat(200_000)]), ["…"]);
});
