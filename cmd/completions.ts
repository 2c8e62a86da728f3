import { renderBash } from "../lib/cli/completions/bash.ts";
import { renderFish } from "../lib/cli/completions/fish.ts";
import { renderZsh } from "../lib/cli/completions/zsh.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import type { CompletionsOptions } from "./about.options.ts";
import { registry } from "./commands.ts";

const RENDER = { bash: renderBash, zsh: renderZsh, fish: renderFish };

export function run(options: CompletionsOptions): number {
  writeStdout(RENDER[options.shell](registry));
  return 0;
}
