import assert from "node:assert/strict";
import { daemonIdentity, isLeftOver, labelsOf } from "../../../lib/engine/docker/identity.ts";
import { sweep } from "../../../lib/engine/docker/sweep.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { quickClient } from "./docker_fake.ts";

/** A pid that no process has had since long: the start time is what tells. */
const dead = {
  ...daemonIdentity(),
  process: daemonIdentity().process.replace(/\d+$/, "1"),
  instance: "dead",
};
const own = daemonIdentity();

Deno.test("the containers of dead daemons of ours are left over, and no others", () => {
  const left = (labels: Record<string, string> | null) => isLeftOver(labels, own);
  const labels = labelsOf(dead);
  assert.equal(left(labels), true);
  assert.equal(left(labelsOf(own)), false);
  assert.equal(left(labelsOf({ ...own, instance: "sibling" })), false, "the process lives");
  assert.equal(left({ ...labels, "org.cordon.uid": "4711" }), false, "another user's");
  assert.equal(left({ ...labels, "org.cordon.machine": "elsewhere" }), false, "another machine's");
  assert.equal(left({ ...labels, "org.cordon.kind": "other" }), false);
  assert.equal(left({ ...labels, "org.cordon.process": "1:2:3" }), false, "another pid namespace's");
  assert.equal(left({ ...labels, "org.cordon.process": "rubbish" }), false);
  assert.equal(left({}), false);
  assert.equal(left(null), false);
});

Deno.test("an instance known to be dead is left over whatever its process looks like", () => {
  const labels = { ...labelsOf(dead), "org.cordon.process": "1:2:3" };
  assert.equal(isLeftOver(labels, own, { dead: ["dead"] }), true);
  assert.equal(isLeftOver(labelsOf(own), own, { dead: [own.instance] }), false, "never our own");
});

Deno.test("the sweep removes what is left over and nothing else", async () => {
  const removed: string[] = [];
  await using fake = new FakeEngine({
    "GET /containers/json": async (call) => {
      const { label } = JSON.parse(call.query.get("filters") ?? "{}");
      assert.deepEqual(label, ["org.cordon.kind=serve", `org.cordon.uid=${own.uid}`]);
      await call.json(200, [
        { Id: "left", Labels: labelsOf(dead) },
        { Id: "ours", Labels: labelsOf(client.identity) },
        { Id: "strange", Labels: { ...labelsOf(dead), "org.cordon.machine": "elsewhere" } },
      ]);
    },
    "DELETE /containers/*": async (call) => {
      removed.push(call.path);
      await call.json(200, {});
    },
  });
  const client = quickClient(fake);
  assert.deepEqual(await sweep(client), ["left"]);
  assert.deepEqual(removed, ["/containers/left"]);
});
