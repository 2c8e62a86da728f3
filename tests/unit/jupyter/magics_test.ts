import assert from "node:assert/strict";
import {
  AUTOLOAD_CONFIG,
  AUTOLOAD_STARTUP,
  DOCKYTER_MODULE,
  isOurs,
  magicsModule,
} from "../../../lib/jupyter/magics.ts";

Deno.test("the module calls the executable at its path, whatever is in it", () => {
  assert.match(magicsModule("/opt/cordon"), /^CORDON = "\/opt\/cordon"$/m);
  assert.match(magicsModule('/a "b"\\$& c'), /^CORDON = "\/a \\"b\\"\\\\\$& c"$/m);
});

Deno.test("every file that is written is known again, and no other is taken for one", () => {
  for (const text of [magicsModule("/x"), DOCKYTER_MODULE, AUTOLOAD_CONFIG, AUTOLOAD_STARTUP]) {
    assert.ok(isOurs(text));
  }
  for (const text of ["", "import dockyter\n", `${"#\n".repeat(1000)}${DOCKYTER_MODULE}`]) {
    assert.ok(!isOurs(text));
  }
});
