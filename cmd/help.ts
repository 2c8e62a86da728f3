import type { CommandContext } from "../lib/cli/command.ts";
import { findCommand } from "../lib/cli/dispatch.ts";
import { renderHelp, renderOverview } from "../lib/cli/help.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import { styleFor } from "../lib/cli/style.ts";
import type { TopicOptions } from "./about.options.ts";
import { registry } from "./commands.ts";

export function run(options: TopicOptions, context: CommandContext): number {
  const style = styleFor("stdout", context);
  const group = `${options.topic.join(" ")} `;
  const below = registry.commands.filter((command) => command.name.startsWith(group));
  const known = registry.commands.some((command) => `${command.name} ` === group);
  if (options.topic.length === 0) {
    writeStdout(renderOverview(registry, style));
  } else if (!known && below.length > 0) {
    writeStdout(renderOverview({ commands: below, legacy: [] }, style));
  } else {
    const { command } = findCommand(registry, options.topic);
    writeStdout(renderHelp(command, { length: "long", style }));
  }
  return 0;
}
