/** Where configuration is looked for. Of each format the first file that is there counts, as Dockyter has it. Pure. */
import { posix } from "node:path";

export type Format = "cordon" | "dockyter";

/**
 * Whose word a file is:
 * - `named`: the caller's, who gave its path in the environment;
 * - `home`: of the caller or of root, and written by nobody else;
 * - `directory`: it lies where anybody may have put it, so it has to be the caller's own.
 */
export type Trust = "named" | "home" | "directory";

export interface Place {
  path: string;
  format: Format;
  trust: Trust;
  /** What makes it a place, for people: `CORDON_CONFIG`, `working directory`, … */
  what: string;
  /** Whether it is a failure when nothing is there. */
  required: boolean;
}

export interface PlaceFacts {
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  cwd: string;
}

/** All places, those of cordon.toml first; within a format the earlier one wins. */
export function places({ env, home, cwd: stand }: PlaceFacts): Place[] {
  // The magics name the directory they were loaded in: a notebook may have gone elsewhere since.
  const cwd = posix.resolve(stand, env["CORDON_CONFIG_DIR"] ?? "");
  // A relative one is to be ignored (XDG Base Directory Specification).
  const xdg = env["XDG_CONFIG_HOME"];
  const directory = xdg?.startsWith("/") ? xdg : `${home}/.config`;
  return [
    ...named("CORDON_CONFIG", "cordon", { facts: { env, cwd }, required: true }),
    { path: posix.join(cwd, "cordon.toml"), format: "cordon", ...IN_DIRECTORY },
    { path: posix.join(home, ".cordon.toml"), format: "cordon", ...AT_HOME },
    { path: posix.join(directory, "cordon/config.toml"), format: "cordon", ...AT_HOME },
    // The original goes on to the next place when this one is not there.
    ...named("DOCKYTER_CONFIG", "dockyter", { facts: { env, cwd }, required: false }),
    { path: posix.join(cwd, "dockyter.toml"), format: "dockyter", ...IN_DIRECTORY },
    { path: posix.join(home, ".dockyter.toml"), format: "dockyter", ...AT_HOME },
    { path: posix.join(home, ".config/dockyter/config.toml"), format: "dockyter", ...AT_HOME },
  ];
}

const IN_DIRECTORY = { trust: "directory", what: "working directory", required: false } as const;
const AT_HOME = { trust: "home", what: "home directory", required: false } as const;

function named(
  variable: string,
  format: Format,
  { facts, required }: { facts: Pick<PlaceFacts, "env" | "cwd">; required: boolean },
): Place[] {
  const path = facts.env[variable];
  if (!path) return [];
  return [{ path: posix.resolve(facts.cwd, path), format, trust: "named", what: variable, required }];
}
