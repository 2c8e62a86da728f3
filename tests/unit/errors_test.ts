import assert from "node:assert/strict";
import { reasonOf } from "../../lib/errors.ts";

Deno.test("a failure of the system is told in its own words", () => {
  assert.throws(() => Deno.readTextFileSync("/nonexistent/file"), (error) => {
    assert.equal(reasonOf(error), "No such file or directory");
    return true;
  });
  assert.equal(reasonOf(new Error("anything else")), "anything else");
  assert.equal(reasonOf("thrown text"), "thrown text");
});
