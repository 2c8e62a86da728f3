/**
 * What of the host a kernel's program needs to see: its prefix with the packages, and no more of its surroundings than
 * that. Pure; the names found are mounted read-only at their own places.
 */
import { basename, dirname, join } from "node:path";
import type { Place, Prefix, PythonAnswer } from "./probe.ts";

/** Shown inside anyway (see the namespaces engine's root). */
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/dev"];

/** Names in a prefix that hold programs and libraries. */
const PROGRAMS = ["bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "pyvenv.cfg"];

/** Other names that stand in a prefix which is nothing else. */
const HARMLESS = [
  "share",
  "etc",
  "man",
  "doc",
  "ssl",
  "local",
  ".gitignore",
  "CACHEDIR.TAG",
  ".lock",
  "NEWS",
];

export interface Visible {
  /** Directories and files to mount read-only, outer ones first, none inside another. */
  paths: string[];
  /** What was left out because showing it would show the home directory. */
  withheld: string[];
}

/** What a Python needs: its prefixes, whatever its path names, and every link on the way to its executable. */
export function visibleForPython(answer: PythonAnswer, home: string): Visible {
  const collection = new Collection([home, answer.userBase]);
  for (const prefix of answer.prefixes) collection.addPrefix(prefix);
  for (const place of answer.path) collection.add(place);
  for (const place of answer.libraries) collection.addWithNeighbours(place);
  for (const place of answer.chain) collection.addLink(place, answer.prefixes);
  return collection.result();
}

/** What another program needs: the prefix around its `bin`, else its directory; and the places its arguments name. */
export function visibleForProgram(
  program: Place,
  options: { home: string; prefix?: Prefix; arguments: readonly Place[] },
): Visible {
  const { home, prefix } = options;
  const collection = new Collection([home, join(home, ".local")]);
  if (prefix) collection.addPrefix(prefix);
  collection.addLink(program, prefix ? [prefix] : []);
  for (const place of options.arguments) collection.addWithNeighbours(place);
  return collection.result();
}

/** The prefix a program stands in, by the usual layout; undefined where there is none. */
export function prefixOf(program: string): string | undefined {
  const directory = dirname(program);
  return /^(bin|sbin|libexec)$/.test(basename(directory)) ? dirname(directory) : undefined;
}

/** Puts together what several programs need. */
export function together(...parts: Visible[]): Visible {
  return {
    paths: outermost(parts.flatMap(({ paths }) => paths)),
    withheld: [...new Set(parts.flatMap(({ withheld }) => withheld))],
  };
}

class Collection {
  readonly #paths = new Set<string>();
  readonly #withheld = new Set<string>();
  /** Directories that hold other things than programs, and must not be shown whole; the home directory first. */
  readonly #mixed: readonly string[];

  constructor(mixed: readonly string[]) {
    this.#mixed = mixed;
  }

  /** A prefix as a whole when it is nothing but one (venv, conda, pyenv), else its programs and libraries. */
  addPrefix({ path, real, entries }: Prefix): void {
    const conda = entries.includes("conda-meta");
    const dedicated = conda || entries.every((name) => PROGRAMS.includes(name) || HARMLESS.includes(name));
    if (dedicated && !this.#isMixed(path) && !this.#isMixed(real)) {
      this.#both(path, real);
      return;
    }
    for (const name of entries.filter((name) => PROGRAMS.includes(name))) {
      this.#both(join(path, name), join(real, name));
    }
  }

  add({ path, real }: Place): void {
    if (this.#covers(path) && this.#covers(real)) return;
    if (this.#isMixed(path) || this.#isMixed(real)) this.#withheld.add(path);
    else this.#both(path, real);
  }

  /** A file with what lies beside it (a library's siblings, a script's modules), where that may be shown. */
  addWithNeighbours({ path, real, directory }: Place): void {
    if (this.#covers(path) && this.#covers(real)) return;
    const parents = directory ? { path, real } : { path: dirname(path), real: dirname(real) };
    const shown = this.#isMixed(parents.path) || this.#isMixed(parents.real) ? { path, real } : parents;
    this.add({ ...shown, directory: true });
  }

  /** One name of an executable: when it leads into a prefix by another way, that prefix under this name. */
  addLink({ path, real, directory }: Place, prefixes: readonly Prefix[]): void {
    if (this.#covers(path)) return;
    for (const prefix of prefixes) {
      const inside = real.startsWith(`${prefix.real}/`) ? dirname(real).slice(prefix.real.length) : undefined;
      if (inside === undefined || !dirname(path).endsWith(inside)) continue;
      const alias = dirname(path).slice(0, dirname(path).length - inside.length);
      if (alias === "" || this.#isMixed(alias)) continue;
      this.addPrefix({ ...prefix, path: alias });
      return;
    }
    this.addWithNeighbours({ path, real, directory });
  }

  result(): Visible {
    return { paths: outermost([...this.#paths]), withheld: [...this.#withheld] };
  }

  #both(path: string, real: string): void {
    for (const name of [path, real]) if (!isSystem(name)) this.#paths.add(name);
  }

  #covers(path: string): boolean {
    return isSystem(path) || [...this.#paths].some((shown) => within(path, shown));
  }

  /** Whether showing `path` would show one of the mixed directories. */
  #isMixed(path: string): boolean {
    return this.#mixed.some((mixed) => within(mixed, path));
  }
}

function outermost(paths: readonly string[]): string[] {
  const sorted = [...new Set(paths)].sort();
  return sorted.filter((path) => !sorted.some((other) => other !== path && within(path, other)));
}

function isSystem(path: string): boolean {
  return SYSTEM.some((directory) => within(path, directory));
}

function within(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}
