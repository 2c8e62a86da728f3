/**
 * Mount points for old kernels, which cannot look a path up within a root that is not theirs (openat2(2) came with Linux
 * 5.6): the symlinks on the way are followed here, within the root as it is planned. Inside, where one has come since
 * then, mounting there fails.
 */
import { posix } from "node:path";
import { CordonError } from "../../errors.ts";
import type { FileSystem } from "../../host/fs.ts";
import type { Step } from "./steps.ts";
import { isBelow } from "./tree.ts";

const MAX_SYMLINKS = 40;

/** The same steps, and where a symlink is on the way to a mount point: the place that it leads to. */
export function withPlaces(steps: readonly Step[], fs: FileSystem): Step[] {
  /** What is mounted, by mount point: the host's path that shows there, or nothing where the place is our own. */
  const areas = new Map<string, string | undefined>([["/", undefined]]);
  const links = new Map<string, string>();

  const targetOf = (path: string): string | undefined => {
    let dest = path;
    while (!areas.has(dest)) dest = posix.dirname(dest);
    const source = areas.get(dest);
    if (source === undefined) return links.get(path);
    if (dest === path) return undefined;
    const host = posix.join(source, path.slice(dest === "/" ? 0 : dest.length));
    return fs.lstat(host) === "symlink" ? fs.readlink(host) : undefined;
  };
  const plain = (path: string): string => {
    const pending = path.split("/").filter(Boolean);
    let at = "/", followed = 0;
    while (pending.length > 0) {
      const next = posix.join(at, pending.shift()!);
      const target = targetOf(next);
      if (target === undefined) {
        at = next;
        continue;
      }
      if (++followed > MAX_SYMLINKS) {
        throw new CordonError(`Mount point ${path} runs through more than ${MAX_SYMLINKS} symlinks`);
      }
      pending.unshift(...target.split("/").filter(Boolean));
      if (target.startsWith("/")) at = "/";
    }
    return at;
  };
  const mounted = (dest: string, source: string | undefined) => {
    for (const other of areas.keys()) if (isBelow(other, dest)) areas.delete(other);
    for (const link of links.keys()) if (isBelow(link, dest)) links.delete(link);
    areas.set(dest, source);
  };

  return steps.map((step) => {
    if (step.do === "root") mounted("/", step.source);
    if (step.do === "symlink") {
      links.set(posix.join(plain(posix.dirname(step.path)), posix.basename(step.path)), step.target);
    }
    if (step.do === "overlay") {
      throw new CordonError(`${step.dest} cannot be an overlay on this machine`, {
        why: "ordinary users may mount overlays since Linux 5.11, and cordon makes them on 5.12 and later",
        hint: "use copy: instead, which serves small directories as well",
      });
    }
    if (step.do !== "bind" && step.do !== "tmpfs" && step.do !== "copy" && step.do !== "text") return step;
    const place = plain(step.dest);
    if (step.do !== "text") mounted(place, step.do === "tmpfs" ? undefined : step.source);
    return step.do === "copy" || place === step.dest ? step : { ...step, place };
  });
}
