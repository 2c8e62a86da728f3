/** `cordon isolate`. */
import type { CommandContext } from "../lib/cli/command.ts";
import { CordonError } from "../lib/errors.ts";
import type { IsolateOptions } from "./isolate.options.ts";
import type { IsolateShOptions } from "./legacy/isolate-sh.options.ts";

export function run(_options: IsolateOptions, _context: CommandContext): Promise<number> {
  return Promise.reject(new CordonError("cordon isolate is not implemented yet"));
}

export function runIsolateSh(_options: IsolateShOptions, _context: CommandContext): Promise<number> {
  return Promise.reject(new CordonError("isolate.sh is not implemented yet"));
}
