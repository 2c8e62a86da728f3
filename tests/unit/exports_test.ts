/** What a file of the product exports, another file wants: otherwise it is dead, or the file's own. */
import assert from "node:assert/strict";
import { basename, join } from "node:path";

const CHECKOUT = new URL("../../", import.meta.url).pathname;
const PRODUCT = ["main.ts", "cmd", "lib", "ffi"];
const USERS = [...PRODUCT, "bench", "docs", "lint", "tests"];
/** Types are left out: who imports a function need not name those it takes. */
const EXPORTED = /^export (?:async )?(?:function\*?|const|class) (\w+)/gm;

function sources(path: string): string[] {
  if (path.endsWith(".ts")) return [path];
  const entries = [...Deno.readDirSync(join(CHECKOUT, path))];
  return entries.filter(({ name, isDirectory }) => isDirectory || name.endsWith(".ts"))
    .flatMap(({ name }) => sources(join(path, name)));
}

Deno.test("everything exported is used by another file", () => {
  const texts = new Map(
    USERS.flatMap(sources).map((path) => [path, Deno.readTextFileSync(join(CHECKOUT, path))]),
  );
  const unused: string[] = [];
  for (const path of PRODUCT.flatMap(sources)) {
    const importers = [...texts].filter(([other, text]) =>
      other !== path && text.includes(`/${basename(path)}"`)
    );
    for (const [, name] of texts.get(path)!.matchAll(EXPORTED)) {
      const used = importers.some(([, text]) => new RegExp(`\\b${name}\\b`).test(text));
      // A command is run by the table's `load`.
      if (!used && !(name === "run" && importers.length > 0)) unused.push(`${path}: ${name}`);
    }
  }
  assert.deepEqual(unused, []);
});
