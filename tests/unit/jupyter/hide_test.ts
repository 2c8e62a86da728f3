import assert from "node:assert/strict";
import type { CordonError } from "../../../lib/errors.ts";
import { hiddenPaths } from "../../../lib/jupyter/hide.ts";
import { tmp } from "../../helpers/run.ts";

Deno.test("patterns name what is there, directories whole, links as they are", () => {
  const at = tmp();
  Deno.mkdirSync(`${at}/answers/deep`, { recursive: true });
  for (const name of ["a.csv", "b.CSV", "c.csv.txt", ".d.csv", "answers/one", "answers/deep/two"]) {
    Deno.writeTextFileSync(`${at}/${name}`, "");
  }
  Deno.symlinkSync("answers", `${at}/link`);
  const cases: [patterns: string[], expected: string[]][] = [
    [["*.csv"], [".d.csv", "a.csv"]],
    [["answers"], ["answers"]],
    [["answers/*", "?.CSV"], ["answers/deep", "answers/one", "b.CSV"]],
    [["*/one"], ["answers/one"]],
    [["./link/", "none", "a.csv/x"], ["link"]],
    [["[a].csv", "a+csv", "."], []],
  ];
  for (const [patterns, expected] of cases) assert.deepEqual(hiddenPaths(at, patterns), expected);
});

Deno.test("a directory that cannot be looked into is told", () => {
  assert.throws(
    () => hiddenPaths(`${tmp()}/gone`, ["*"]),
    (error: CordonError) => /--hide/.test(error.message),
  );
});
