import assert from "node:assert/strict";
import { Outgoing } from "../../../lib/serve/outgoing.ts";
import { Problem } from "../../../lib/serve/problem.ts";

const request = new Request("http://localhost/");
const LARGE = "x".repeat(100_000);

function refused(outgoing: Outgoing, tenant: string): string | undefined {
  try {
    outgoing.check(tenant);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.equal(error.response().headers.get("retry-after"), "5");
    return error.problem;
  }
}

Deno.test("an answer is held until it is taken or given up, and too many of one tenant's are refused", async () => {
  const outgoing = new Outgoing({ tenant: 150_000, all: 10 ** 6 });
  const answer = () => outgoing.json({ text: LARGE }, { tenant: "t", request });
  const [first, second] = [answer(), answer()];
  assert.equal(refused(outgoing, "t"), "tenant-busy");
  assert.equal(refused(outgoing, "other"), undefined);
  assert.deepEqual(await first.json(), { text: LARGE });
  assert.equal(refused(outgoing, "t"), undefined);
  answer();
  await second.body!.cancel();
  assert.equal(refused(outgoing, "t"), undefined);
});

Deno.test("all tenants together have no more than there is", () => {
  const outgoing = new Outgoing({ tenant: 200_000, all: 200_000 });
  for (const tenant of ["a", "b"]) outgoing.json({ text: LARGE }, { tenant, request });
  assert.equal(refused(outgoing, "c"), "capacity");
});

Deno.test("one tenant does not use up what there is for all", () => {
  const outgoing = new Outgoing({ tenant: 100_000, all: 250_000 });
  const held = Array.from({ length: 10 }, () => outgoing.hold("a", 60_000));
  assert.equal(refused(outgoing, "a"), "tenant-busy");
  assert.equal(refused(outgoing, "b"), undefined);
  const others = ["b", "c"].map((tenant) => outgoing.hold(tenant, 80_000));
  assert.equal(refused(outgoing, "d"), "capacity");
  for (const release of [...held, ...others]) release();
  outgoing.hold("d", 99_999);
  for (const tenant of ["a", "d", "e"]) assert.equal(refused(outgoing, tenant), undefined);
});

Deno.test("small answers and those to HEAD are not counted; what is let go twice counts once", () => {
  const outgoing = new Outgoing({ tenant: 1, all: 10 });
  outgoing.json({ text: "small" }, { tenant: "t", request });
  outgoing.json({ text: LARGE }, {
    tenant: "t",
    request: new Request("http://localhost/", { method: "HEAD" }),
  });
  assert.equal(refused(outgoing, "t"), undefined);
  const [first, second] = [outgoing.hold("t", 5), outgoing.hold("t", 5)];
  first();
  first();
  assert.equal(refused(outgoing, "t"), "tenant-busy");
  second();
  assert.equal(refused(outgoing, "t"), undefined);
});
