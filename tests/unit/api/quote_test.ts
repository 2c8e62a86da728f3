import assert from "node:assert/strict";
import { commandLine, quoteWords } from "../../../lib/api/quote.ts";
import { shellWords } from "../../../lib/cli/shellwords.ts";
import { run } from "../../helpers/run.ts";

const WORDS = [
  "",
  "a",
  "a b",
  "it's",
  '"',
  "\\",
  "$x",
  "`id`",
  "a\nb",
  "*",
  "~",
  "-v=/a:/b,c%+@^",
  "ü",
  "'",
  "#a",
  "!",
];

Deno.test("quote: a word that no shell touches stays as it was typed", () => {
  assert.equal(
    quoteWords(["-v", "/a:/b:ro", "--env=A=1", "img@sha256:00"]),
    "-v /a:/b:ro --env=A=1 img@sha256:00",
  );
});

Deno.test("quote: words come back as they were, from our reader and from a shell", async () => {
  assert.deepEqual(shellWords(quoteWords(WORDS)), WORDS);
  const { stdout } = await run(["sh", "-c", `printf '%s\\0' ${quoteWords(WORDS)}`]);
  assert.deepEqual(stdout.split("\0").slice(0, -1), WORDS);
});

Deno.test("quote: a program's name is never grammar", async () => {
  assert.equal(commandLine(["ls", "-l", "a b"]), "ls -l 'a b'");
  for (const name of ["A=1", "if", "!", "{", "time", "for", ""]) {
    const { code, stderr } = await run(["sh", "-c", commandLine([name, "x"])]);
    assert.equal(code, 127, `${name}: ${stderr}`);
  }
});
