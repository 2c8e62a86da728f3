/** The configuration as it is read here and now, for the three commands that tell about it. */
import { type Config, type FileReport, loadConfig } from "../lib/config/config.ts";
import { readerFor, type ReadPlace } from "../lib/config/file.ts";
import type { Position } from "../lib/config/parse.ts";
import type { PlaceFacts } from "../lib/config/places.ts";
import { currentDirectory } from "../lib/host/fs.ts";
import { gatherHost } from "../lib/host/host.ts";

export interface Here {
  facts: PlaceFacts;
  readPlace: ReadPlace;
}

export function here(): Here {
  const host = gatherHost();
  const cwd = host.cwd ?? currentDirectory() ?? "/";
  return { facts: { env: host.env, home: host.home, cwd }, readPlace: readerFor(host.uid) };
}

export function configHere({ facts, readPlace }: Here): Config {
  return loadConfig(facts, readPlace);
}

/** A place as `--json` prints it. */
export function fileJson({ path, format, what, state, why }: FileReport) {
  return { path, format, place: what, state, why: why ?? null };
}

/** As `--json` prints it: null where it could not be told. */
export function positionJson({ path, line, column }: Position) {
  return { path, line: line || null, column: column || null };
}

/** `~/.cordon.toml` */
export function shownPath(path: string, home: string): string {
  return home !== "/" && path.startsWith(home + "/") ? "~" + path.slice(home.length) : path;
}
