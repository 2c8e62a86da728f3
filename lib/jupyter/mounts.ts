/** The mounts of a kernel as they are typed: `HOST:MOUNT[:ro|:copy]` for every engine, and the mount grammar. */
import { posix } from "node:path";
import { refuse } from "../cli/values.ts";
import { type MountContext, parseMountJson, parseMountList } from "../spec/mounts.ts";
import type { Mount } from "../spec/spec.ts";

/** One directory or file of the host at a place inside. */
export interface HostMount {
  /** As typed: may be relative or begin with `~`. */
  host: string;
  /** Absolute path inside. */
  dest: string;
  mode: "rw" | "ro" | "copy";
}

/** A request for mounts. */
export type KernelMount =
  /** The grammar's `[flags:]DEST[=SOURCE]`, several separated by spaces; namespaces only. */
  | { list: string }
  /** One mount object as JSON text. */
  | { json: string }
  | HostMount;

/** A value of `--mount`: `HOST:MOUNT[:ro|:rw|:copy]`, or a JSON object for names with colons. */
export function parseKernelMount(option: string, text: string): KernelMount {
  if (text.startsWith("{")) return { json: text };
  const [host = "", dest = "", mode = "rw", ...surplus] = text.split(":");
  const known = mode === "rw" || mode === "ro" || mode === "copy";
  if (host === "" || !dest.startsWith("/") || !known || surplus.length > 0 || text.includes("\0")) {
    throw refuse(
      option,
      text,
      "HOST:MOUNT, HOST:MOUNT:ro or HOST:MOUNT:copy with an absolute MOUNT " +
        `(names with colons: '{"dest":"/…","source":"/…","flags":["ro"]}')`,
    );
  }
  return { host, dest: posix.resolve(dest), mode };
}

/** The Spec's mounts for what was typed. Relative names are those of `cwd`. No I/O. */
export function toMounts(mounts: readonly KernelMount[], places: MountContext): Mount[] {
  return mounts.flatMap((mount) => {
    if ("list" in mount) return parseMountList(mount.list, places);
    if ("json" in mount) return [parseMountJson(mount.json, places)];
    return [fromHostMount(mount, places)];
  });
}

function fromHostMount({ host, dest, mode }: HostMount, places: MountContext): Mount {
  return {
    dest,
    source: absolute(host, places),
    kind: mode === "copy" ? "copy" : "bind",
    readOnly: mode === "ro",
    devices: false,
    optional: false,
  };
}

/** `~` is the home directory; a relative name is one of the working directory. */
export function absolute(path: string, { cwd, home }: MountContext): string {
  if (path === "~" || path.startsWith("~/")) return posix.join(home, path.slice(1));
  return posix.resolve(cwd, path);
}

/** Read-only mounts at their own places, as arguments of a launch (and of `cordon isolate`). */
export function readOnlyArguments(paths: readonly string[]): string[] {
  // The grammar splits at these; JSON has no such characters.
  const awkward = (path: string) => /[\s:=,]/.test(path);
  const list = paths.filter((path) => !awkward(path)).map((path) => `ro:${path}`).join(" ");
  const objects = paths.filter(awkward).flatMap((path) => [
    "--mount",
    JSON.stringify({ dest: path, source: path, flags: ["ro"] }),
  ]);
  return [...(list === "" ? [] : ["--mnt", list]), ...objects];
}
