/** The completion script for fish. */
import { type Command, type Completion, type OptionSpec, type Registry, shownOptions } from "../command.ts";
import { firstWords, secondWords } from "./common.ts";

export function renderFish(registry: Registry): string {
  return `# fish completion of cordon: save it as ~/.config/fish/completions/cordon.fish

# Whether the words so far name this command, and no program to run yet.
function __cordon_in
    set -l words (commandline -opc)
    for i in (seq (count $argv))
        test "$words[(math $i + 1)]" = "$argv[$i]"; or return 1
    end
    not contains -- -- $words
end

complete -c cordon -f
complete -c cordon -n __fish_is_first_token -s h -l help -d 'Print help'
complete -c cordon -n __fish_is_first_token -s V -l version -d 'Print the version'
${firstWords(registry).map((word) => first(registry, word)).join("\n")}
${registry.commands.map(commandLines).join("\n")}
`;
}

function first(registry: Registry, word: string): string {
  const summary = registry.commands.find(({ name }) => name === word)?.summary;
  const line = `complete -c cordon -n __fish_is_first_token -a ${word}${
    summary ? ` -d ${quote(summary)}` : ""
  }`;
  const below = secondWords(registry).get(word);
  if (!below) return line;
  const condition = quote(`__cordon_in ${word}; and test (count (commandline -opc)) -eq 2`);
  return `${line}\ncomplete -c cordon -n ${condition} -a ${quote(below.join(" "))}`;
}

function commandLines(command: Command): string {
  const condition = `-n ${quote(`__cordon_in ${command.name}`)}`;
  const operands = command.passThrough
    // A program may be named with or without "--" before it.
    ? [
      `complete -c cordon -n ${
        quote(`test "$(commandline -opc)[2]" = ${command.name.split(" ")[0]}`)
      } -a '(__fish_complete_subcommand --fcs-skip=${command.name.split(" ").length + 1})'`,
    ]
    : command.operands.flatMap(({ complete }) => {
      const offered = source(complete);
      return offered === "" ? [] : [`complete -c cordon ${condition} ${offered}`];
    });
  return [...shownOptions(command).flatMap((option) => optionLines(option, condition)), ...operands].join(
    "\n",
  );
}

function optionLines(option: OptionSpec, condition: string): string[] {
  const short = option.short ? ` -s ${option.short}` : "";
  const value = option.value === undefined ? "" : ` -r ${source(option.complete)}`.trimEnd();
  const text = `-d ${quote(option.description)}`;
  const line = `complete -c cordon ${condition}${short} -l ${option.long}${value} ${text}`;
  return option.negatable ? [line, `complete -c cordon ${condition} -l no-${option.long} ${text}`] : [line];
}

function source(complete: Completion | undefined): string {
  if (typeof complete === "object") return `-a ${quote(complete.words.join(" "))}`;
  return {
    file: "-F",
    dir: "-a '(__fish_complete_directories)'",
    command: "-a '(__fish_complete_command)'",
    none: "",
  }[complete ?? "none"];
}

/** In fish's single quotes a backslash and a quote are escaped by a backslash. */
function quote(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
