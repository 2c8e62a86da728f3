/** The old name `isolate.sh`. */
import type { CommandContext } from "../../lib/cli/command.ts";
import { parseIsolateSh } from "./isolate-sh.options.ts";

export async function run(context: CommandContext): Promise<number> {
  const options = parseIsolateSh(context.args, context.env);
  const { runIsolateSh } = await import("../isolate.ts");
  return await runIsolateSh(options, context);
}
