/** The old name `portwrap`. */
import type { CommandContext } from "../../lib/cli/command.ts";
import { type LegacyRequest, parseLegacyPortwrap } from "./portwrap.options.ts";

export function run(context: CommandContext): Promise<number> {
  return runLegacy(parseLegacyPortwrap(context.args), context);
}

/** Runs what an old command line asked for. */
export async function runLegacy(request: LegacyRequest, context: CommandContext): Promise<number> {
  if ("help" in request) {
    const { portwrap } = await import("../portwrap.options.ts");
    const { renderHelp } = await import("../../lib/cli/help.ts");
    const { styleFor } = await import("../../lib/cli/style.ts");
    const { writeStdout } = await import("../../lib/cli/streams.ts");
    writeStdout(renderHelp(portwrap, { length: request.help, style: styleFor("stdout", context) }));
    return 0;
  }
  const { run } = await import("../portwrap.ts");
  return await run(request.options, context);
}
