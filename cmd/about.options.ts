/** The commands that show the table of commands: `help`, `man`, `completions`. */
import { defineCommand, type Environment, type OperandSpec, type Parsed } from "../lib/cli/command.ts";
import { parseChoice } from "../lib/cli/values.ts";

/** A command named on the command line, in words: `["kernel", "setup"]`; empty for cordon itself. */
export interface TopicOptions {
  topic: string[];
}

const SHELLS = ["bash", "zsh", "fish"] as const;

export interface CompletionsOptions {
  shell: typeof SHELLS[number];
}

const TOPIC: OperandSpec = { name: "COMMAND", description: "A command, in one word or two", variadic: true };

function readTopic(parsed: Parsed, _env: Environment): TopicOptions {
  return { topic: parsed.operands };
}

export const help = defineCommand<TopicOptions>({
  name: "help",
  summary: "Explain cordon or one of its commands",
  usage: ["[COMMAND]"],
  examples: [
    { text: "What is there?", command: "cordon help" },
    { text: "One command, with examples and every option", command: "cordon help isolate" },
  ],
  options: [],
  operands: [TOPIC],
  passThrough: false,
  exitUsage: 2,
  read: readTopic,
  load: () => import("./help.ts"),
});

export const man = defineCommand<TopicOptions>({
  name: "man",
  summary: "Print a manual page",
  usage: ["[COMMAND]"],
  examples: [
    { text: "Read it", command: "cordon man isolate | man -l -" },
    { text: "Install it", command: "cordon man > ~/.local/share/man/man1/cordon.1" },
  ],
  options: [],
  operands: [TOPIC],
  passThrough: false,
  exitUsage: 2,
  read: readTopic,
  load: () => import("./man.ts"),
});

export const completions = defineCommand<CompletionsOptions>({
  name: "completions",
  summary: "Print a shell's completion script",
  usage: [SHELLS.join("|")],
  examples: [
    {
      text: "bash",
      command: "cordon completions bash > ~/.local/share/bash-completion/completions/cordon",
    },
    { text: "zsh, in a directory of $fpath", command: "cordon completions zsh > ~/.zfunc/_cordon" },
    { text: "fish", command: "cordon completions fish > ~/.config/fish/completions/cordon.fish" },
  ],
  options: [],
  operands: [
    { name: "SHELL", description: SHELLS.join(", "), required: true, complete: { words: SHELLS } },
  ],
  passThrough: false,
  exitUsage: 2,
  read: (parsed) => ({ shell: parseChoice("SHELL", parsed.operands[0] ?? "", SHELLS) }),
  load: () => import("./completions.ts"),
});
