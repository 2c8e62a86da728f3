/** Giving up capabilities for good: bounding, ambient, and the process' own sets. capabilities(7). */
import { CAPABILITY_VERSION, E, PR, SECUREBITS_LOCKED } from "../../../ffi/constants.ts";
import { silently } from "../kit.ts";
import type { Program } from "../program.ts";

export function dropCapabilities(p: Program): void {
  const capability = p.slot(), past = p.label("past the last capability");
  p.set(capability, 0);
  silently(p, () =>
    p.loop(() => {
      p.sys("prctl", [PR.CAPBSET_DROP, capability, 0, 0, 0], {
        fail: past,
        say: "drop a bounding capability",
      });
      p.add(capability, capability, 1);
    }));
  p.place(past);
  p.when([p.errno, "!=", E.INVAL], p.abort);
  p.sys("prctl", [PR.CAP_AMBIENT, PR.CAP_AMBIENT_CLEAR_ALL, 0, 0, 0], { say: "clear ambient capabilities" });
  p.sys("prctl", [PR.SET_SECUREBITS, SECUREBITS_LOCKED, 0, 0, 0], { say: "lock the securebits" });
  p.sys("capset", [p.words(CAPABILITY_VERSION), p.buffer(24)], { say: "drop every capability" });
}
