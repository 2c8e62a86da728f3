import assert from "node:assert/strict";
import { reasonOf, sentence } from "../../lib/errors.ts";

Deno.test("a failure of the system is told in its own words", () => {
  assert.throws(() => Deno.readTextFileSync("/nonexistent/file"), (error) => {
    assert.equal(reasonOf(error), "No such file or directory");
    return true;
  });
  assert.equal(reasonOf(new Error("anything else")), "anything else");
  assert.equal(reasonOf("thrown text"), "thrown text");
});

/** Programs that a message may begin with; they are written as they are typed. */
const NAMES = ["cordon", "portwrap", "jupyter_docker_kernel.py"];

function* sources(directory: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    const at = new URL(isDirectory ? `${name}/` : name, directory);
    if (isDirectory) yield* sources(at);
    else if (name.endsWith(".ts")) yield at;
  }
}

/** What messages written out in `source` begin with, where that is neither a capital nor a name. */
function lowerCase(source: string): string[] {
  const message = /(?:new (?:Cordon|Usage|Engine|Api|MissingImage)Error\(|\brefuse\(p,)\s*["'`]([a-z]\S*)/g;
  return [...source.matchAll(message)].map((found) => found[1]!).filter((word) => !NAMES.includes(word));
}

Deno.test("messages begin with a capital or a name", () => {
  assert.deepEqual(
    lowerCase('throw new CordonError(\n  "cannot do it"); new UsageError(`cordon needs ${x}`)'),
    [
      "cannot",
    ],
  );
  const root = new URL("../../", import.meta.url);
  let messages = 0;
  for (const folder of ["cmd/", "ffi/", "lib/"]) {
    for (const file of sources(new URL(folder, root))) {
      const source = Deno.readTextFileSync(file);
      messages += source.match(/new (Cordon|Usage)Error\(/g)?.length ?? 0;
      assert.deepEqual(lowerCase(source), [], file.pathname);
    }
  }
  assert.ok(messages > 100, `only ${messages} messages were looked at`);
});

Deno.test("a sentence begins with a capital, whatever its alphabet, and is otherwise as it was", () => {
  assert.deepEqual(["open /A b", "öffne", "/proc", ""].map(sentence), ["Open /A b", "Öffne", "/proc", ""]);
});
