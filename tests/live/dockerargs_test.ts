/** Docker's own client and cordon read the same command lines, and ask an engine for the same. */
import assert from "node:assert/strict";
import { DOCKER_LINES } from "../helpers/docker-lines.ts";
import { askedByCordon, askedByDocker, wordsOf, writeFiles } from "../helpers/docker-requests.ts";
import { program, test } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";
import { exists } from "../helpers/machine.ts";

/** Of Debian's package. */
const DEBIAN = "/usr/bin/docker";
/** Where a newer one is installed by hand. */
const OTHER = "/usr/local/bin/docker";

for (const client of exists(OTHER) ? [DEBIAN, OTHER] : [DEBIAN]) {
  test(`${client} asks for what cordon asks for`, { needs: [program(client)] }, async () => {
    const { stdout } = await run([client, "--version"]);
    const newer = Number(/version (\d+)\./.exec(stdout)?.[1]) >= 28;
    const api = newer ? "1.47" : "1.41";
    const root = tmp();
    writeFiles(root);
    const wrong: string[] = [];
    let compared = 0;
    for (const one of DOCKER_LINES) {
      if (one.newer && !newer) continue;
      const words = wordsOf(one.line);
      const theirs = await askedByDocker(client, words, { api, root });
      const ours = askedByCordon(words, api);
      compared++;
      if (one.stricter !== undefined && "body" in theirs && "refused" in ours) continue;
      if ("refused" in theirs && "refused" in ours) continue;
      try {
        assert.deepEqual(ours, theirs);
      } catch (error) {
        wrong.push(`${one.line}\n${(error as Error).message}`);
      }
    }
    assert.deepEqual(wrong, []);
    assert.ok(compared >= 300, `${compared} lines`);
  });
}
