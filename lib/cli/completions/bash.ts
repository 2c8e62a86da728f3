/** The completion script for bash: compgen alone, no bash-completion package. */
import { type Command, type Completion, type OptionSpec, type Registry, shownOptions } from "../command.ts";
import { firstWords, optionNames, secondWords, shellQuote } from "./common.ts";

export function renderBash(registry: Registry): string {
  return `# bash completion of cordon: source it, or save it as bash-completion/completions/cordon
_cordon() {
  local cur=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]-} at=2 pass= valued= options= operands=
  COMPREPLY=()
  # Bash splits words at "=": --long=VALUE is three of them, or two while VALUE is empty.
  [[ $cur == = ]] && cur=
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W ${
    shellQuote([...firstWords(registry), "--help", "--version"].join(" "))
  } -- "$cur"))
    return
  fi
${groupBlock(registry)}  case $command in
${registry.commands.map(commandCase).join("\n")}
  *) return ;;
  esac
  # The first operand of a command that runs a program ends its options.
  local i prev= word
  for ((i = at; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == = ]]; then continue; fi
    if [[ -n $prev ]]; then prev=; continue; fi
    if [[ -n $pass && ($word == -- || $word != -*) ]]; then
      [[ $word == -- ]] && ((i++))
      if ((i >= COMP_CWORD)); then mapfile -t COMPREPLY < <(compgen -c -- "$cur"); else mapfile -t COMPREPLY < <(compgen -f -- "$cur"); fi
      return
    fi
    [[ " $valued " == *" $word "* ]] && prev=$word
  done
  if [[ -n $prev ]]; then
    case "$command $prev" in
${registry.commands.map(valueCases).filter((text) => text !== "").join("\n")}
    esac
    return
  fi
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ -n $pass ]]; then
    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -W "$operands" -- "$cur")
  fi
}
complete -o filenames -F _cordon cordon
`;
}

function groupBlock(registry: Registry): string {
  const groups = [...secondWords(registry)];
  if (groups.length === 0) return "";
  const cases = groups.map(([first, seconds]) =>
    `  ${first})
    if ((COMP_CWORD == 2)); then
      COMPREPLY=($(compgen -W ${shellQuote(seconds.join(" "))} -- "$cur"))
      return
    fi
    case \${COMP_WORDS[2]} in ${seconds.join("|")}) command="$command \${COMP_WORDS[2]}" at=3 ;; esac
    ;;`
  );
  return `  case $command in\n${cases.join("\n")}\n  esac\n`;
}

function commandCase(command: Command): string {
  const shown = shownOptions(command);
  const valued = shown.filter((option) => option.value !== undefined).flatMap(optionNames);
  const words = command.operands.flatMap(({ complete }) =>
    typeof complete === "object" ? complete.words : []
  );
  return `  ${shellQuote(command.name)})
    options=${shellQuote(shown.flatMap(optionNames).join(" "))}
    valued=${shellQuote(valued.join(" "))}
    operands=${shellQuote(words.join(" "))}
    pass=${command.passThrough ? "1" : ""}
    ;;`;
}

function valueCases(command: Command): string {
  return shownOptions(command).flatMap((option) => {
    const action = compgen(option.complete);
    return action === ""
      ? []
      : [`    ${patterns(command, option)}) mapfile -t COMPREPLY < <(compgen ${action} -- "$cur") ;;`];
  }).join("\n");
}

function patterns(command: Command, option: OptionSpec): string {
  return optionNames(option).map((name) => shellQuote(`${command.name} ${name}`)).join("|");
}

function compgen(complete: Completion | undefined): string {
  if (typeof complete === "object") return `-W ${shellQuote(complete.words.join(" "))}`;
  return { file: "-f", dir: "-d", command: "-c", none: "" }[complete ?? "none"];
}
