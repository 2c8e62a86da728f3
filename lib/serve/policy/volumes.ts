/** What becomes of the volumes that an image declares. Pure. */
import { posix } from "node:path";
import type { ContainerConfig } from "../../docker/containers.ts";
import type { ImageDetails } from "../../docker/images.ts";
import { CordonError } from "../../errors.ts";
import { MOST_MOUNTS, SCRATCH_BYTES, tmpfsText } from "./container.ts";

/**
 * Where the root cannot be written, file systems in memory take the places of volumes: those are directories on the
 * engine's disk, and nothing limits them.
 *
 * @throws CordonError for an image with more than there may be
 */
export function withoutVolumes(config: ContainerConfig, { Config }: ImageDetails): ContainerConfig {
  const host = config.HostConfig ?? {};
  if (host["ReadonlyRootfs"] !== true) return config;
  const tmpfs = (host["Tmpfs"] ?? {}) as Record<string, string>;
  const mounts = (host["Mounts"] ?? []) as { Target: string }[];
  const taken = new Set([...Object.keys(tmpfs), ...mounts.map(({ Target }) => Target)]);
  const places = Object.keys(Config?.Volumes ?? {}).map((place) =>
    posix.join("/", place).replace(/(?<=.)\/$/, "")
  );
  const free = places.filter((place) => !taken.has(place));
  if (free.length === 0) return config;
  if (taken.size + free.length > MOST_MOUNTS) {
    throw new CordonError(`The image ${config.Image} declares ${places.length} volumes`, {
      why: `There are at most ${MOST_MOUNTS} mounts`,
    });
  }
  const size = Number(/\bsize=(\d+)/.exec(tmpfs["/tmp"] ?? "")?.[1] ?? SCRATCH_BYTES);
  const instead = Object.fromEntries(free.map((place) => [place, tmpfsText({ size, readOnly: false })]));
  return { ...config, HostConfig: { ...host, Tmpfs: { ...tmpfs, ...instead } } };
}
