import assert from "node:assert/strict";
import { Outgoing } from "../../../lib/serve/outgoing.ts";
import { whenItEnds } from "../../../lib/serve/wait.ts";

Deno.test("nothing is held for a client that went away while it waited", async () => {
  const outgoing = new Outgoing({ tenant: 1, all: 1 });
  const { promise: ended, resolve: gone } = Promise.withResolvers<void>();
  const response = await whenItEnds(ended, () => ({ text: "some" }), {
    gone,
    outgoing,
    tenant: "t",
    request: new Request("http://localhost/"),
  });
  const reader = response.body!.getReader();
  assert.deepEqual((await reader.read()).value, new TextEncoder().encode(" "));
  const next = reader.read();
  await new Promise((resolve) => setTimeout(resolve, 10));
  await reader.cancel();
  assert.equal((await next).done, true);
  await ended;
  await new Promise((resolve) => setTimeout(resolve, 10));
  outgoing.check("t");
});
