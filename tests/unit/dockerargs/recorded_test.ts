/** Requests of a docker client that is newer than the one the live test finds on Debian 12. */
import assert from "node:assert/strict";
import { DOCKER_LINES } from "../../helpers/docker-lines.ts";
import { type Asked, askedByCordon, wordsOf } from "../../helpers/docker-requests.ts";
import recording from "./recorded.json" with { type: "json" };

const recorded = recording.recorded as unknown as Record<string, Asked>;

Deno.test("every line for newer clients is recorded, and no other", () => {
  const newer = DOCKER_LINES.filter((one) => one.newer).map(({ line }) => line);
  assert.deepEqual(Object.keys(recorded), newer);
});

for (const [line, theirs] of Object.entries(recorded)) {
  Deno.test(`docker run ${line}`, () => {
    const ours = askedByCordon(wordsOf(line), recording.api);
    if ("refused" in theirs) assert.ok("refused" in ours, JSON.stringify(ours));
    else assert.deepEqual(ours, theirs);
  });
}
