import assert from "node:assert/strict";
import { reference } from "../../../docs/reference.ts";

Deno.test("docs/reference.md is what the table of options says", async () => {
  const written = Deno.readTextFileSync(new URL("../../../docs/reference.md", import.meta.url));
  assert.equal(written, await reference(), "run: deno task reference");
});
