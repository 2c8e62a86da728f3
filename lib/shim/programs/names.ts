/**
 * What process lists show of us: `cordon-monitor` and `cordon-init`, and no environment. cordon itself starts its image
 * with that name and an empty environment; a saved image has whatever its caller gave it, and writes over that.
 */
import { PR } from "../../../ffi/constants.ts";
import { encodeOs } from "../../host/bytes.ts";
import type { Program, Slot } from "../program.ts";
import type { Shared } from "./sandbox.ts";

/** Types of entries in the auxiliary vector: getauxval(3). */
const AT_NULL = 0, AT_EXECFN = 31;
/** The longer of the two, with its NUL. */
const ROOM = "cordon-monitor\0".length;

/** Finds the memory that /proc/PID/cmdline shows; in a saved image it first clears that and the environment. */
export function findNames(s: Shared): void {
  const { p, plan } = s;
  const at = p.slot(), argv0 = p.slot();
  p.add(at, s.stack, 8);
  p.load(argv0, at);
  if (plan.onlyUid === undefined) {
    p.set(s.nameAt, argv0);
    return;
  }
  const word = p.slot(), end = p.slot(), unknown = p.label("no end known"), found = p.label();
  for (let vector = 0; vector < 2; vector++) {
    p.loop((leave) => {
      p.load(word, at);
      p.add(at, at, 8);
      p.when([word, "==", 0], leave);
    });
  }
  // The kernel puts the strings of argv, those of the environment and the file's name one after the other.
  p.loop((_, again) => {
    p.load(word, at);
    p.when([word, "==", AT_NULL], unknown);
    p.when([word, "==", AT_EXECFN], found);
    p.add(at, at, 16);
    p.goto(again);
  });
  p.place(found);
  p.add(at, at, 8);
  p.load(end, at);
  p.set(at, argv0);
  p.sub(end, end, 8);
  p.loop((leave) => {
    p.when([at, ">=", end], leave);
    p.store(at, 0);
    p.add(at, at, 8);
  });
  p.set(at, end);
  p.store(at, 0);
  p.sub(word, end, argv0);
  p.when([word, "<", ROOM], unknown);
  p.set(s.nameAt, argv0);
  rename(s, "cordon-monitor");
  p.place(unknown);
}

/** Takes another name. */
export function rename(s: Shared, name: "cordon-monitor" | "cordon-init"): void {
  const { p } = s;
  p.sys("prctl", [PR.SET_NAME, name]);
  p.if([s.nameAt, "!=", 0], () => writeText(p, s.nameAt, name.padEnd(ROOM - 1, "\0")));
}

/** Text of 8 to 16 bytes, in two words that may overlap. */
function writeText(p: Program, to: Slot, text: string): void {
  const bytes = encodeOs(text), view = new DataView(bytes.buffer);
  const at = p.slot();
  p.store(to, view.getBigUint64(0, true));
  p.add(at, to, bytes.length - 8);
  p.store(at, view.getBigUint64(bytes.length - 8, true));
}
