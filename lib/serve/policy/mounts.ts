/**
 * Host paths that a request may mount.
 *
 * Between the check and the mount somebody could exchange a directory on the way for a symlink. That race is closed by
 * taking only places that nobody but root and this server can exchange: every directory above the source belongs to one
 * of them and cannot be written by others (as sshd's StrictModes asks of a home directory). A directory that executions
 * may write is mounted as a whole or not at all, for below it they could make any link. What the engine is given is the
 * real path.
 */
import { posix } from "node:path";
import type { AllowedMount, Policy } from "../config/types.ts";
import { at, quoted, refused } from "./refuse.ts";
import { PROGRAM_DIRECTORIES, SYSTEM_DIRECTORIES } from "./tables.ts";
import type { Places } from "./verdict.ts";

const NOTHING = "there is nothing that may be mounted";

/** The real path of a source. @throws Refused */
export function mountSource(
  source: string,
  { writable, policy, places }: { writable: boolean; policy: Policy; places: Places },
): string {
  const key = at(policy, "mounts");
  const no = (why: string) => refused("mount", `a mount of ${quoted(source)}`, { why, configuredAt: key });
  if (!source.startsWith("/")) {
    throw refused("mount", `a mount of ${quoted(source)}`, {
      why: "Volumes of the engine are not given, and paths begin with /",
    });
  }
  // By its name first: whether something else exists is not for the client to find out.
  const named = clean(source);
  const candidates = policy.mounts.flatMap((allowed) => {
    const real = places.realpath(allowed.host);
    return real !== undefined && (isIn(named, allowed.host) || isIn(named, real)) ? [{ allowed, real }] : [];
  });
  if (candidates.length === 0) throw no(NOTHING);
  const real = places.realpath(source);
  const within = real === undefined ? [] : candidates.filter((one) => isIn(real, one.real));
  if (real === undefined || within.length === 0) throw no(NOTHING);
  const writers = within.filter(({ allowed }) => allowed.write);
  if (writers.some((one) => one.real !== real)) {
    throw no("It lies in a directory that may be written, where it could be exchanged");
  }
  if (writable && writers.length === 0) throw no("It may be mounted read-only; wanted :ro");
  const why = neverMounted(real, { write: writable, places });
  if (why !== undefined) throw no(why);
  return real;
}

/** Why a real path is never mounted; undefined when nothing is against it. */
function neverMounted(
  real: string,
  { write, places }: { write: boolean; places: Places },
): string | undefined {
  const of = (path: string) => places.realpath(path) ?? path;
  const system = SYSTEM_DIRECTORIES.find((path) => overlaps(real, path) || overlaps(real, of(path)));
  if (system !== undefined) return `${system} is the system's own`;
  const programs = write &&
    PROGRAM_DIRECTORIES.find((path) => overlaps(real, path) || overlaps(real, of(path)));
  if (programs) return `${programs} holds programs and is never written`;
  const socket = places.sockets().find((path) => isIn(path, real));
  if (socket !== undefined) return `something listens on ${socket}`;
  const loose = places.exchangeable(real);
  if (loose !== undefined) return `others than root and the server could exchange ${loose}`;
  return undefined;
}

/** What is wrong with a path that the configuration allows; undefined when nothing is. */
export function checkAllowedMount(
  { host, write }: AllowedMount,
  { places, keep }: { places: Places; keep: readonly string[] },
): string | undefined {
  const real = places.realpath(host);
  if (real === undefined) return "it does not exist, or cannot be seen";
  const own = keep.find((path) => overlaps(real, path));
  if (own !== undefined) return `${own} is this server's own`;
  return neverMounted(real, { write, places });
}

/** A place inside that a mount may have. @throws Refused */
export function mountTarget(target: string): string {
  const place = clean(target);
  const no = (why: string) => refused("mount", `a mount at ${quoted(target)}`, { why });
  if (!target.startsWith("/")) throw no("The path is not absolute");
  if (place === "/") throw no("It would take the place of the whole root");
  const kernel = ["/proc", "/sys", "/dev"].find((path) => isIn(place, path));
  if (kernel !== undefined) throw no(`It would change ${kernel}`);
  return place;
}

export function isIn(path: string, directory: string): boolean {
  return path === directory || directory === "/" || path.startsWith(`${directory}/`);
}

/** One holds the other. */
function overlaps(a: string, b: string): boolean {
  return isIn(a, b) || isIn(b, a);
}

function clean(path: string): string {
  return posix.normalize(path).replace(/(?<=.)\/$/, "");
}
