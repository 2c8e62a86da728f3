/** What the tests install is a table of names in a shell script: a stray quote would make it something else. */
import assert from "node:assert/strict";

Deno.test("tests/install.sh: each line of its tables is a package", () => {
  const script = Deno.readTextFileSync(new URL("../../install.sh", import.meta.url));
  const tables = [...script.matchAll(/^(debian|python)='\n([^']*)\n'\n/gm)];
  assert.deepEqual(tables.map(([, name]) => name), ["debian", "python"]);
  for (const [, name, rows = ""] of tables) {
    const row = name === "debian" ? /^[a-z0-9.+-]+ +\S.*$/ : /^[A-Za-z0-9_.-]+==[0-9.]+$/;
    for (const line of rows.split("\n")) assert.match(line, row);
  }
});
