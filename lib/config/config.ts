/** The configuration: what the files say together, and which file said what. */
import { CordonError } from "../errors.ts";
import type { Found, ReadPlace } from "./file.ts";
import { type FileValues, type Mode, parseConfig, type Problem } from "./parse.ts";
import { type Place, type PlaceFacts, places } from "./places.ts";

/** What became of a place. A file that is there after the one that counts is `shadowed`. */
export interface FileReport extends Place {
  state: "read" | "absent" | "shadowed" | "refused";
  /** Why it was refused. */
  why?: string;
}

export interface Config extends FileValues {
  files: FileReport[];
  /** Unknown keys, and files that are not taken. */
  problems: Problem[];
}

export const DEFAULT_MODE: Mode = "docker";

/** Nothing configured. */
export const NO_CONFIG: Config = { profiles: new Map(), files: [], problems: [] };

/**
 * Reads the first file of each format. What cordon.toml sets counts before what dockyter.toml sets, value by value.
 *
 * @throws CordonError for a file that is broken or cannot be read, or that CORDON_CONFIG names and is not there
 */
export function loadConfig(facts: PlaceFacts, readPlace: ReadPlace): Config {
  const files: FileReport[] = [];
  const problems: Problem[] = [];
  const found: FileValues[] = [];
  for (const place of places(facts)) {
    const earlier = files.some(({ format, state }) => format === place.format && state === "read");
    const file = earlier ? peek(place, readPlace) : readPlace(place);
    if ("absent" in file) {
      if (place.required) {
        throw new CordonError(`Cannot read ${place.path}`, {
          why: `${place.what} names it, and it is not there`,
        });
      }
      files.push({ ...place, state: "absent" });
    } else if ("refused" in file) {
      files.push({ ...place, state: "refused", why: file.refused });
      if (!earlier) {
        const at = { path: place.path, line: 0, column: 0 };
        problems.push({ at, what: `not read: ${file.refused}` });
      }
    } else if (earlier) {
      files.push({ ...place, state: "shadowed" });
    } else {
      const parsed = parseConfig(file.bytes, { path: place.path, home: facts.home });
      files.push({ ...place, state: "read" });
      problems.push(...parsed.problems);
      found.push(parsed.values);
    }
  }
  return { ...merge(found), files, problems };
}

/** Of a file that does not count, that it cannot be read is no failure. */
function peek(place: Place, readPlace: ReadPlace): Found {
  try {
    return readPlace(place);
  } catch (error) {
    if (error instanceof CordonError) return { refused: error.why ?? error.message };
    throw error;
  }
}

/** The first that sets a value has its way. */
function merge(found: readonly FileValues[]): FileValues {
  const merged: FileValues = { profiles: new Map() };
  for (const values of found.toReversed()) {
    const { profiles, ...others } = values;
    Object.assign(merged, others);
    for (const [name, profile] of profiles) merged.profiles.set(name, profile);
  }
  return merged;
}
