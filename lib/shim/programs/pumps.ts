/**
 * Pumps: processes outside the sandbox that copy between regular files on descriptors 0–2 and pipes. A regular file that
 * the target holds could be reopened for writing through /proc/self/fd. The same pump counts output where it is limited.
 */
import { type InputPump, startInput } from "./pump_input.ts";
import { type OutputPump, startOutput } from "./pump_output.ts";
import type { Shared } from "./sandbox.ts";

export interface Pumps {
  input?: InputPump;
  output?: OutputPump;
}

/** Puts pipes in the place of regular files on 0–2, and of all output where it is limited. */
export function startPumps(s: Shared): Pumps {
  const { plan } = s;
  return {
    ...(!plan.rawStdio && { input: startInput(s) }),
    ...((!plan.rawStdio || plan.outputBytes !== undefined) && { output: startOutput(s) }),
  };
}
