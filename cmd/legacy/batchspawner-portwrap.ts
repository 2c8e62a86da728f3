/** The old name `batchspawner-portwrap`: what the script of `cordon portwrap --install-batchspawner` executes. */
import type { CommandContext } from "../../lib/cli/command.ts";
import { runLegacy } from "./portwrap.ts";
import { parseBatchspawnerPortwrap } from "./portwrap.options.ts";

export function run(context: CommandContext): Promise<number> {
  return runLegacy(parseBatchspawnerPortwrap(context.args), context);
}
