import { findCommand } from "../lib/cli/dispatch.ts";
import { renderMainMan, renderMan } from "../lib/cli/man.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import type { TopicOptions } from "./about.options.ts";
import { registry } from "./commands.ts";

export function run(options: TopicOptions): number {
  const page = options.topic.length === 0
    ? renderMainMan(registry)
    : renderMan(findCommand(registry, options.topic).command);
  writeStdout(page);
  return 0;
}
