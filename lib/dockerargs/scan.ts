/** The walk over a docker command line, by the rules of spf13/pflag without interspersed operands. No I/O. */
import { nearest } from "../cli/suggest.ts";
import { UsageError } from "../errors.ts";

/** What the walk has to know of a flag. */
export interface Scannable {
  name: string;
  short?: string;
  type: string;
  aliasOf?: string;
  hidden?: true;
  refused?: string;
}

/** One flag as it was typed. */
export interface Typed<Flag> {
  flag: Flag;
  /** `--net`, `-v`: for messages. */
  as: string;
  /** A boolean without one has `true`. */
  value: string;
  /** The words of the command line it took: from the one, up to and without the other. */
  from: number;
  to: number;
}

export interface Scanned<Flag> {
  typed: Typed<Flag>[];
  /** What follows the flags: the image, its command and arguments. */
  rest: string[];
}

/**
 * Takes the flags from the front of a command line.
 *
 * `--flag=V`, `--flag V`, `-fV`, `-f V`, `-f=V` and clusters (`-itm 64m`) are understood; names are never shortened;
 * a boolean takes a value only by `=`. The first word that is no flag, or `--`, ends them.
 *
 * @throws UsageError for a flag that is not in the table or is refused there, for a missing value, and for NUL
 */
export function scan<Flag extends Scannable>(
  argv: readonly string[],
  table: readonly Flag[],
): Scanned<Flag> {
  const nul = argv.find((word) => word.includes("\0"));
  if (nul !== undefined) throw new UsageError(`Argument ${JSON.stringify(nul)} holds a NUL byte`);
  const typed: Typed<Flag>[] = [];
  let at = 0;
  while (at < argv.length) {
    const word = argv[at]!;
    if (!word.startsWith("-") || word === "-") break;
    const from = at++;
    if (word === "--") break;
    const next = () => argv[at++];
    const found = word.startsWith("--") ? [long(word, table, next)] : cluster(word, table, next);
    for (const one of found) {
      if (one.flag.refused !== undefined) {
        throw new UsageError(`Option ${one.as} is not taken`, { why: one.flag.refused });
      }
      typed.push({ ...one, from, to: at });
    }
  }
  return { typed, rest: argv.slice(at) };
}

type Found<Flag> = Pick<Typed<Flag>, "flag" | "as" | "value">;

function long<Flag extends Scannable>(
  word: string,
  table: readonly Flag[],
  next: () => string | undefined,
): Found<Flag> {
  const equals = word.indexOf("=");
  const as = equals < 0 ? word : word.slice(0, equals);
  const flag = table.find(({ name }) => as === `--${name}`);
  if (!flag) throw unknown(as, table);
  const value = equals >= 0 ? word.slice(equals + 1) : flag.type === "bool" ? "true" : next();
  if (value === undefined) throw missing(as);
  return { flag, as, value };
}

function cluster<Flag extends Scannable>(
  word: string,
  table: readonly Flag[],
  next: () => string | undefined,
): Found<Flag>[] {
  const found: Found<Flag>[] = [];
  // By code units: a letter of the table is one, and what follows it is taken whole.
  for (let letters = word.slice(1); letters !== "";) {
    const as = `-${letters[0]}`;
    const flag = table.find(({ short }) => short === letters[0]);
    if (!flag) throw unknown(as, table, word);
    if (letters.length > 2 && letters[1] === "=") {
      found.push({ flag, as, value: letters.slice(2) });
      break;
    }
    if (flag.type === "bool") {
      found.push({ flag, as, value: "true" });
      letters = letters.slice(1);
      continue;
    }
    const value = letters.length > 1 ? letters.slice(1) : next();
    if (value === undefined) throw missing(as);
    found.push({ flag, as, value });
    break;
  }
  return found;
}

function missing(as: string): UsageError {
  return new UsageError(`Option ${as} needs a value`);
}

function unknown(as: string, table: readonly Scannable[], word = as): UsageError {
  const known = table.filter(({ hidden }) => !hidden).map(({ name }) => `--${name}`);
  const meant = as.startsWith("--") ? nearest(as, known) : undefined;
  const where = word === as ? "" : ` in ${JSON.stringify(word)}`;
  return new UsageError(`Unknown option ${JSON.stringify(as)}${where} of docker run`, {
    why: meant ? `Did you mean ${meant}?` : undefined,
    hint: "cordon run --help",
  });
}
