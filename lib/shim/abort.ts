/** What a program does with a failure nobody handles: says it and exits 125. */
import { E } from "../../ffi/constants.ts";
import { errnoText, LAST_ERRNO } from "../../ffi/errno.ts";
import { EXIT } from "../errors.ts";
import { encodeOs } from "../host/bytes.ts";
import { OPERATION_SAY } from "./image.ts";
import type { Program } from "./program.ts";

const ROW = 64;
const TEXT = 8;
const PREFIX = "cordon: ";
const HINT = "\nhint: cordon doctor\n";

/** Rows of {length, text} by errno: the program's strerror(3). */
function errorRows(): Uint8Array {
  const rows = new Uint8Array((LAST_ERRNO + 1) * ROW);
  for (let errno = 0; errno <= LAST_ERRNO; errno++) {
    const text = encodeOs(errnoText(errno).slice(0, ROW - TEXT - 1) + "\n");
    rows[errno * ROW] = text.length;
    rows.set(text, errno * ROW + TEXT);
  }
  return rows;
}

/** Appends the operations of `program.abort`: `cordon: <step>: <ERRNO (words)>` on stderr, a hint, then `giveUp`. */
export function addAbort(p: Program): void {
  p.place(p.abort);
  const rows = p.constant(errorRows());
  const parts = p.buffer(48); // three struct iovec: prefix, step, error
  const at = p.slot();
  p.set(parts.cell(0), p.string(PREFIX));
  p.set(parts.cell(8), PREFIX.length);
  p.add(at, p.failed, OPERATION_SAY);
  p.load(parts.cell(16), at);
  p.add(at, at, 8);
  p.load(parts.cell(24), at);
  p.sub(at, 0, p.errno);
  p.shl(at, at, 6);
  p.add(at, at, rows);
  p.load(parts.cell(40), at);
  p.add(parts.cell(32), at, TEXT);
  p.sys("writev", [2, parts, 3], { fail: "ignore" });
  // Whatever step it is: the kernel is too old, or a filter around us hides the call.
  p.if([p.errno, "==", E.NOSYS], () => p.set(p.suspectMachine, 1));
  p.if([p.suspectMachine, "!=", 0], () => p.sys("write", [2, HINT, HINT.length], { fail: "ignore" }));
  p.place(p.giveUp);
  p.if([p.onAbort, "!=", 0], () => p.goto(p.onAbort));
  p.exit(EXIT.cordon);
}
