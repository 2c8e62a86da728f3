import assert from "node:assert/strict";
import { raw } from "../../../lib/host/terminal.ts";

Deno.test("raw: what cfmakeraw(3) clears and sets, and nothing else", () => {
  const modes = new Uint8Array(36).fill(0xff);
  const view = new DataView(raw(modes).buffer);
  const flags = [0, 4, 8, 12].map((at) => (~view.getUint32(at, true) >>> 0).toString(8));
  // Cleared, in octal as asm-generic/termbits.h has them.
  assert.deepEqual(flags, ["2753", "1", "400", "100113"]);
  assert.deepEqual(
    [...new Uint8Array(view.buffer).slice(16)],
    Array.from({ length: 20 }, (_, at) => {
      return at === 6 ? 0 : at === 7 ? 1 : 0xff;
    }),
  );
});
