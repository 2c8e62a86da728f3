import assert from "node:assert/strict";
import { presented } from "../../../lib/serve/credentials.ts";

Deno.test("tokens come from the path, Basic's password and Bearer", () => {
  assert.deepEqual(presented("/secret/execute", null), { path: "/execute", tokens: ["secret"] });
  assert.deepEqual(presented("/execute", "Basic " + btoa("me:a:b")).tokens, ["a:b"]);
  assert.deepEqual(presented("/execute", "bearer abc").tokens, ["abc"]);
  assert.deepEqual(presented("/execute", "Basic %%%").tokens, []);
  assert.deepEqual(presented("/execute", "Basic " + btoa("me:")).tokens, []);
  assert.deepEqual(presented("/a/b/execute", null), { path: "/a/b/execute", tokens: [] });
  assert.deepEqual(presented("/v1/executions", null), { path: "/v1/executions", tokens: [] });
});
