/** The command line of a launch as a kernelspec records it, read back. */
import type { Given } from "../lib/cli/command.ts";
import { parseCommand } from "../lib/cli/parse.ts";
import { CordonError } from "../lib/errors.ts";
import { kernelLaunch, type KernelLaunchOptions, readKernelLaunch } from "./kernel-launch.options.ts";

export interface Recorded {
  launch: KernelLaunchOptions;
  /** The options as they are written. */
  given: readonly Given[];
}

/** Reads a kernelspec's argv. Throws what the launch would throw. */
export function readRecorded(argv: readonly string[]): Recorded {
  const result = parseCommand(kernelLaunch, argv.slice(3)); // cordon kernel launch
  if ("help" in result) throw new CordonError("The kernelspec asks for help instead of a launch");
  return { launch: readKernelLaunch(result.parsed), given: result.parsed.given };
}
