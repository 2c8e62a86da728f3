/** Colour, where a person reads and did not decline it. */

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

export interface StyleFacts {
  env: Readonly<Record<string, string | undefined>>;
  noColor: boolean;
}

const CODES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const;

/**
 * Whether to colour: only on a terminal, and not with `--no-color`, a non-empty NO_COLOR (no-color.org) or TERM=dumb.
 */
export function wantsColor(isTerminal: boolean, facts: StyleFacts): boolean {
  return isTerminal && !facts.noColor && !facts.env["NO_COLOR"] && facts.env["TERM"] !== "dumb";
}

export function makeStyle(colored: boolean): Style {
  const paint = (name: keyof typeof CODES) => {
    const [on, off] = CODES[name];
    return (text: string) => colored && text ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  };
  return {
    bold: paint("bold"),
    dim: paint("dim"),
    red: paint("red"),
    green: paint("green"),
    yellow: paint("yellow"),
  };
}

/** The style for text that goes to `stream`. */
export function styleFor(stream: "stdout" | "stderr", facts: StyleFacts): Style {
  return makeStyle(wantsColor(Deno[stream].isTerminal(), facts));
}
