/** Containers that dead daemons left behind. */
import { listContainers, removeContainer } from "../../docker/containers.ts";
import type { DockerClient } from "./client.ts";
import { isLeftOver, KIND, LABELS } from "./identity.ts";

/**
 * Removes the containers of daemons of this user on this machine that have ended, however they ended; never those of a
 * living one. To be called at the start, before the first run. `dead`: instances known to have ended although their
 * process cannot be looked at, such as the last one that held our lock.
 *
 * @returns ids removed
 * @throws EngineError when the engine does not answer or refuses a removal
 */
export async function sweep(
  client: DockerClient,
  options: { dead?: readonly string[]; signal?: AbortSignal } = {},
): Promise<string[]> {
  const { engine, identity } = client;
  const { dead = [], signal } = options;
  const labels = { [LABELS.kind]: KIND, [LABELS.uid]: String(identity.uid) };
  const removed: string[] = [];
  for (const container of await listContainers(engine, { labels, signal })) {
    if (!isLeftOver(container.Labels, identity, { dead })) continue;
    if (await removeContainer(engine, container.Id, { force: true, signal })) removed.push(container.Id);
  }
  return removed;
}
