/**
 * The table every command is described in. The parser, `-h`, `--help`, the man page and the completions are all made
 * from it.
 *
 * A command NAME is two files in `cmd/`:
 *
 * - `NAME.options.ts` exports the table (`defineCommand`), the interface of its options and the pure function that
 *   reads them. It is imported at every start, so it imports nothing heavy.
 * - `NAME.ts` exports `run(options, context)`. It is imported when the command is invoked. The number it returns is
 *   the exit status; a failure is a thrown `CordonError`, which `main.ts` prints. A command that becomes its target
 *   (exec) does not return.
 *
 * and one line in `cmd/commands.ts`. A command below another has a name of two words (`kernel setup`).
 *
 * A legacy name is one file in `cmd/legacy/` that exports `run(context)`, and one line in `cmd/commands.ts`; it parses
 * `context.args` itself, because its predecessor's rules are not this table's.
 */

export type Environment = Record<string, string>;

/** What a command knows of how it was called. */
export interface CommandContext {
  /** `cordon`, or the legacy name. */
  invokedAs: string;
  /** The caller's environment. A byte B that is not UTF-8 is the lone surrogate U+DC00+B. */
  env: Environment;
  /** The operands: of a pass-through command its program and arguments; of a legacy name everything typed. */
  args: string[];
  /** `--no-color` was given. NO_COLOR and TERM are in `env`; see `lib/cli/style.ts`. */
  noColor: boolean;
}

/** What a shell offers for a value. */
export type Completion = "file" | "dir" | "command" | "none" | { words: readonly string[] };

export interface OptionSpec {
  /** Long name without its dashes. */
  long: string;
  /** One letter without its dash. */
  short?: string;
  /** The name of its value in help (`FILE`); an option without one is a flag. */
  value?: string;
  /** May be given more than once; otherwise the last one counts. */
  repeat?: boolean;
  /** A flag that also has a `--no-` form. */
  negatable?: boolean;
  /** One line, sentence case, no final period. */
  description: string;
  /** Further sentences, for `--help` and the man page. */
  details?: string;
  /** What holds without the option, in words. */
  default?: string;
  /** Heading it stands under; `Options` when absent. */
  group?: string;
  /** The environment variable that gives its default. */
  env?: string;
  complete?: Completion;
  /** Accepted (usually to refuse it with a hint), and shown nowhere. */
  hidden?: boolean;
}

export interface OperandSpec {
  /** As in usage lines: `PROG`. */
  name: string;
  description: string;
  required?: boolean;
  /** Takes all that follow; only the last one may. */
  variadic?: boolean;
  complete?: Completion;
}

export interface Example {
  /** What it does, one line. */
  text: string;
  /** A line to paste. Starts with `cordon`; a test parses it. */
  command: string;
}

export interface CommandModule<Options> {
  run(options: Options, context: CommandContext): number | Promise<number>;
}

export interface LegacyModule {
  run(context: CommandContext): number | Promise<number>;
}

export interface CommandTable {
  /** One word, or two for a command below another. */
  name: string;
  /** One line for lists of commands, sentence case, no final period. */
  summary: string;
  /** Paragraphs for `--help` and the man page. */
  description?: string;
  /** What follows the command's name; one entry for each form. */
  usage: readonly string[];
  examples: readonly Example[];
  options: readonly OptionSpec[];
  operands: readonly OperandSpec[];
  /** Option parsing stops at the first argument that is not an option; the rest belongs to the target. */
  passThrough: boolean;
  /** Status of a usage error: 125 where a target would have run. */
  exitUsage: 2 | 125;
  /**
   * Reads what follows the name by rules of its own; the table is then for help, manual and completions. Pure. Throws
   * UsageError.
   */
  parse?(argv: readonly string[]): ParseResult;
}

export interface CommandSpec<Options> extends CommandTable {
  /** Makes typed options of what was parsed. Pure. Throws UsageError. */
  read(parsed: Parsed, env: Environment): Options;
  load(): Promise<CommandModule<Options>>;
}

/** What a command line came to. A request for help wins over whatever follows it, mistakes included. */
export type ParseResult = { help: "short" | "long" } | { parsed: Parsed };

/** A command with the type of its options sealed inside. */
export interface Command extends CommandTable {
  /** Reads the options at once (UsageError); the function it returns loads and runs the command. */
  prepare(parsed: Parsed, context: CommandContext): () => Promise<number>;
}

export interface LegacyName {
  /** The base name of the link it is called through. */
  name: string;
  summary: string;
  load(): Promise<LegacyModule>;
}

/** All that this executable answers to. */
export interface Registry {
  commands: readonly Command[];
  legacy: readonly LegacyName[];
}

export function defineCommand<Options>(spec: CommandSpec<Options>): Command {
  const { read, load, ...table } = spec;
  return {
    ...table,
    prepare(parsed, context) {
      const options = read(parsed, context.env);
      return async () => (await load()).run(options, context);
    },
  };
}

/** Options every command has. */
export const COMMON_OPTIONS: readonly OptionSpec[] = [
  { long: "help", short: "h", group: "General", description: "Print help: -h in short, --help in full" },
  {
    long: "no-color",
    group: "General",
    description: "Do not colour what is printed",
    details: "The variable NO_COLOR and TERM=dumb do the same.",
  },
];

/** The command's options and the common ones, hidden ones included. */
export function allOptions(command: Pick<CommandTable, "options">): readonly OptionSpec[] {
  return [...command.options, ...COMMON_OPTIONS];
}

/** The options that help, completions and man pages show. */
export function shownOptions(command: Pick<CommandTable, "options">): readonly OptionSpec[] {
  return allOptions(command).filter((option) => !option.hidden);
}

/** One option as it was typed. `--no-x` of a negatable flag has the value `false`. */
export interface Given {
  /** Long name of the option in the table. */
  name: string;
  value: string | boolean;
}

/** What was typed, in order, with nothing interpreted yet. */
export class Parsed {
  readonly #known: ReadonlyMap<string, OptionSpec>;
  readonly given: readonly Given[];
  readonly operands: string[];

  constructor(options: readonly OptionSpec[], given: readonly Given[], operands: string[]) {
    this.#known = new Map(options.map((option) => [option.long, option]));
    this.given = given;
    this.operands = operands;
  }

  /** Whether a flag was given (the last of `--x` and `--no-x` decides); `otherwise` when neither was. */
  flag(name: string, otherwise = false): boolean {
    const last = this.#all(name, "flag").at(-1);
    return last === undefined ? otherwise : last.value === true;
  }

  /** The last value given for an option. */
  one(name: string): string | undefined {
    return this.all(name).at(-1);
  }

  /** Every value given for an option, in order. */
  all(name: string): string[] {
    return this.#all(name, "value").map((given) => String(given.value));
  }

  #all(name: string, kind: "flag" | "value"): Given[] {
    const option = this.#known.get(name);
    // A name the table does not have would read as "never given".
    if (!option || (option.value === undefined) !== (kind === "flag")) {
      throw new TypeError(`No ${kind} option --${name} in this command's table`);
    }
    return this.given.filter((given) => given.name === name);
  }
}
