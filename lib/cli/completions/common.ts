import type { OptionSpec, Registry } from "../command.ts";

/** Every way an option can be typed: `-m --mnt`, and `--no-x` of a negatable flag. */
export function optionNames(option: OptionSpec): string[] {
  return [
    ...(option.short ? [`-${option.short}`] : []),
    `--${option.long}`,
    ...(option.negatable ? [`--no-${option.long}`] : []),
  ];
}

/** The words that can follow `cordon`. */
export function firstWords(registry: Registry): string[] {
  return [...new Set(registry.commands.map(({ name }) => name.split(" ")[0] ?? name))];
}

/** For each first word with commands below it: their second words. */
export function secondWords(registry: Registry): Map<string, string[]> {
  const below = new Map<string, string[]>();
  for (const { name } of registry.commands) {
    const [first = "", second] = name.split(" ");
    if (second !== undefined) below.set(first, [...(below.get(first) ?? []), second]);
  }
  return below;
}

/** One word for any POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
