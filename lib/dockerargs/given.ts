/** The flags of one command line by name, read through the parsers of their kinds. Pure. */
import type { DockerFlag } from "./flags.ts";
import {
  type IntRange,
  parseAnyInt,
  parseBool,
  parseNanoCpus,
  parseNanoseconds,
  parseRamSize,
} from "./numbers.ts";
import type { Typed } from "./scan.ts";

/** What was given. Aliases count as the flag they stand for; each value is checked, the last one of a single flag counts. */
export class GivenFlags {
  readonly #typed: readonly Typed<DockerFlag>[];

  constructor(typed: readonly Typed<DockerFlag>[]) {
    this.#typed = typed;
  }

  /** Every value of a flag in order, with the name it was typed by. */
  typed(name: string): { as: string; value: string }[] {
    return this.#typed.filter(({ flag }) => (flag.aliasOf ?? flag.name) === name);
  }

  has(name: string): boolean {
    return this.typed(name).length > 0;
  }

  all(name: string): string[] {
    return this.typed(name).map(({ value }) => value);
  }

  /** The values through a parser that is told the option's name for messages. */
  each<T>(name: string, parse: (option: string, value: string) => T): T[] {
    return this.typed(name).map(({ as, value }) => parse(as, value));
  }

  /** Undefined when it was not given. */
  last<T>(name: string, parse: (option: string, value: string) => T): T | undefined {
    return this.each(name, parse).at(-1);
  }

  text(name: string): string | undefined {
    return this.all(name).at(-1);
  }

  flag(name: string): boolean | undefined {
    return this.last(name, parseBool);
  }

  int(name: string, range?: IntRange): number | undefined {
    return this.last(name, (option, value) => parseAnyInt(option, value, range));
  }

  size(name: string): number | undefined {
    return this.last(name, parseRamSize);
  }

  cpus(name: string): number | undefined {
    return this.last(name, parseNanoCpus);
  }

  time(name: string): number | undefined {
    return this.last(name, parseNanoseconds);
  }
}

/** The object without what is undefined, false, 0, empty: to the engine an absent field means the same. */
export function compact<T extends Record<string, unknown>>(fields: T): Partial<T> {
  const present = Object.entries(fields).filter(([, value]) => !isEmpty(value));
  return Object.fromEntries(present) as Partial<T>;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
