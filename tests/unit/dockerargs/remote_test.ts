import assert from "node:assert/strict";
import { remoteLine } from "../../../lib/dockerargs/remote.ts";
import { UsageError } from "../../../lib/errors.ts";

const FACTS = {
  env: { HERE: "from here", EMPTY: "" },
  readFile: (path: string) => {
    if (path === "vars") return new TextEncoder().encode("B=2\nHERE\nABSENT\n");
    if (path === "labels") return new TextEncoder().encode("l=1\n");
    throw new Deno.errors.NotFound(path);
  },
};

const line = (...argv: string[]) => remoteLine(argv, FACTS);

Deno.test("remote: words stay as they were typed, the command apart", () => {
  assert.deepEqual(line("-v/a:/b", "-m=64m", "--cpus", "1", "--env", "A=x y", "img", "sh", "-c", "-it"), {
    words: ["-v/a:/b", "-m=64m", "--cpus", "1", "--env", "A=x y", "img"],
    command: ["sh", "-c", "-it"],
  });
});

Deno.test("remote: what every execution has is left out, also from a cluster", () => {
  assert.deepEqual(line("--rm", "-q", "--sig-proxy=false", "-i=false", "img").words, ["img"]);
  assert.deepEqual(line("-qPm", "64m", "img").words, ["--publish-all", "--memory=64m", "img"]);
});

Deno.test("remote: variables and files are this machine's; what is given by itself counts more than a file", () => {
  assert.deepEqual(
    line(
      "-e",
      "B=3",
      "-e",
      "HERE",
      "-e",
      "EMPTY",
      "-e",
      "ABSENT",
      "--env-file",
      "vars",
      "--label-file",
      "labels",
      "img",
    )
      .words,
    [
      "--env=B=2",
      "--env=HERE=from here",
      "--label=l=1",
      "-e",
      "B=3",
      "--env=HERE=from here",
      "--env=EMPTY=",
      "img",
    ],
  );
});

for (
  const argv of [
    ["-i", "img"],
    ["-it", "img"],
    ["-d", "img"],
    ["--attach", "stdout", "img"],
    ["--cidfile", "f", "img"],
    ["-v", ".:/b", "img"],
    ["-v", "../x:/b", "img"],
    ["-v./x:/b", "img"],
  ]
) {
  Deno.test(`remote: ${argv.join(" ")} is refused`, () => assert.throws(() => line(...argv), UsageError));
}

Deno.test("remote: an API that has them takes stdin, terminal and detaching", () => {
  assert.deepEqual(remoteLine(["-itd", "img"], FACTS, ["interactive", "tty", "detach"]).words, ["img"]);
});
