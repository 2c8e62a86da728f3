import type { CommandContext } from "../lib/cli/command.ts";
import { commandsBelow, findCommand } from "../lib/cli/dispatch.ts";
import { renderGroup, renderHelp, renderOverview } from "../lib/cli/help.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import { styleFor } from "../lib/cli/style.ts";
import type { TopicOptions } from "./about.options.ts";
import { registry } from "./commands.ts";

export function run(options: TopicOptions, context: CommandContext): number {
  const style = styleFor("stdout", context);
  const word = options.topic.join(" ");
  const below = commandsBelow(registry, word);
  if (options.topic.length === 0) {
    writeStdout(renderOverview(registry, style));
  } else if (below.length > 0) {
    writeStdout(renderGroup(below, { word, style }));
  } else {
    const { command } = findCommand(registry, options.topic);
    writeStdout(renderHelp(command, { length: "long", style }));
  }
  return 0;
}
