/** The completion script for fish. */
import { type Command, type Completion, type OptionSpec, type Registry, shownOptions } from "../command.ts";
import { firstWords, optionNames, secondWords } from "./common.ts";

export function renderFish(registry: Registry): string {
  return `# fish completion of cordon: save it as ~/.config/fish/completions/cordon.fish

# Whether the words so far begin with these.
function __cordon_in
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv"; or string match -q -- "$argv *" "$words[2..]"
end

# Where the program begins among the words: the first operand, or what follows "--". The arguments are the number of
# words before the options, and the options that take a value. Fails where another value is due.
function __cordon_program
    set -l words (commandline -opc)
    set -l i (math $argv[1] + 1)
    while test $i -le (count $words)
        if test "$words[$i]" = --
            math $i + 1
            return 0
        else if not string match -q -- '-*' "$words[$i]"
            echo $i
            return 0
        else if contains -- "$words[$i]" $argv[2..]
            set i (math $i + 2)
        else
            set i (math $i + 1)
        end
    end
    test $i -eq (math (count $words) + 1); and echo $i
end

# Whether a program was named already, or "--" typed.
function __cordon_past_options
    set -l at (__cordon_program $argv); or return 1
    set -l words (commandline -opc)
    test $at -le (count $words); or test "$words[-1]" = --
end

function __cordon_complete_program
    set -l at (__cordon_program $argv); or return 1
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    # An option of ours, unless the program or "--" came before it.
    if test $at -gt (count $words); and test "$words[-1]" != --; and string match -q -- '-*' "$typed"
        return 1
    end
    complete "-C"(string join ' ' -- (string escape -- $words[$at..]) $typed)
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
  const shown = shownOptions(command);
  const valued = shown.filter((option) => option.value !== undefined).flatMap(optionNames);
  const words = [command.name.split(" ").length + 1, ...valued].join(" ");
  const past = command.passThrough ? `; and not __cordon_past_options ${words}` : "";
  const condition = `-n ${quote(`__cordon_in ${command.name}${past}`)}`;
  const operands = command.passThrough
    ? [`-n ${quote(`__cordon_in ${command.name}`)} -a ${quote(`(__cordon_complete_program ${words})`)}`]
    : command.operands.map(({ complete }) => source(complete)).filter((offered) => offered !== "")
      .map((offered) => `${condition} ${offered}`);
  return [
    ...shown.flatMap((option) => optionLines(option, condition)),
    ...operands.map((line) => `complete -c cordon ${line}`),
  ].join("\n");
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
