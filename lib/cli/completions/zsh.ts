/** The completion script for zsh, on its _arguments. */
import {
  type Command,
  type Completion,
  type OperandSpec,
  type OptionSpec,
  type Registry,
  shownOptions,
} from "../command.ts";
import { firstWords, optionNames, secondWords, shellQuote } from "./common.ts";

export function renderZsh(registry: Registry): string {
  return `#compdef cordon
# zsh completion of cordon: save it as _cordon in a directory of $fpath

_cordon() {
  local curcontext=$curcontext command state line
  typeset -A opt_args
  if ((CURRENT == 2)); then
    _describe -t commands 'cordon command' ${
    list(firstWords(registry).map((word) => describe(registry, word)))
  }
    _arguments '(-h --help)'{-h,--help}'[print help]' '(-V --version)'{-V,--version}'[print the version]'
    return
  fi
  command=$words[2]
  # What _arguments sees starts at the command's last word.
  shift words
  ((CURRENT--))
${groupBlock(registry)}  case $command in
${registry.commands.map(commandCase).join("\n")}
  esac
}

# Both when autoloaded by compinit and when sourced.
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _cordon "$@"; else compdef _cordon cordon; fi
`;
}

/** `_describe` takes the name of an array, or the array itself in parentheses as one word. */
function list(entries: string[]): string {
  return shellQuote(`(${entries.map((entry) => shellQuote(entry)).join(" ")})`);
}

function describe(registry: Registry, first: string): string {
  const summary = registry.commands.find(({ name }) => name === first)?.summary ??
    `${secondWords(registry).get(first)?.join(", ")}`;
  return `${first}:${summary.replaceAll(":", "\\:")}`;
}

function groupBlock(registry: Registry): string {
  return [...secondWords(registry)].map(([first, seconds]) =>
    `  if [[ $command == ${first} ]]; then
    if ((CURRENT == 2)); then
      compadd -- ${seconds.join(" ")}
      return
    fi
    if [[ $words[2] == (${seconds.join("|")}) ]]; then
      command="$command $words[2]"
      shift words
      ((CURRENT--))
    fi
  fi
`
  ).join("");
}

function commandCase(command: Command): string {
  const specs = [...shownOptions(command).flatMap(optionSpecs), ...operandSpecs(command)];
  // -S: nothing after "--" is an option. -A "-*": nothing after the first operand is one either.
  const flags = command.passThrough ? `-S -A '-*'` : "-S";
  return `  ${shellQuote(command.name)})
    _arguments ${flags} : \\
${specs.map((spec) => `      ${shellQuote(spec)}`).join(" \\\n")}
    ;;`;
}

function optionSpecs(option: OptionSpec): string[] {
  const names = optionNames(option);
  const excludes = option.repeat ? "*" : `(${names.join(" ")})`;
  return names.map((name) => {
    // "--long=" takes the value in the same word or the next; "-x+" likewise.
    const suffix = option.value === undefined ? "" : name.startsWith("--") ? "=" : "+";
    const value = option.value === undefined ? "" : `:${escape(option.value)}:${action(option.complete)}`;
    return `${excludes}${name}${suffix}[${escape(option.description)}]${value}`;
  });
}

function operandSpecs(command: Command): string[] {
  if (command.passThrough) return ["(-)1:program:_command_names -e", "*::argument:_normal"];
  return command.operands.map((operand: OperandSpec, i) =>
    `${operand.variadic ? "*" : i + 1}:${escape(operand.name)}:${action(operand.complete)}`
  );
}

function action(complete: Completion | undefined): string {
  if (typeof complete === "object") return `(${complete.words.join(" ")})`;
  return { file: "_files", dir: "_files -/", command: "_command_names -e", none: " " }[complete ?? "none"];
}

/** Brackets, colons and backslashes mean something in a spec. */
function escape(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&");
}
