/** What must be known of a configuration before the server takes it: whether this machine can keep to it. */
import { posix } from "node:path";
import { HOST_IMAGE } from "../../dockerargs/host.ts";
import { CordonError } from "../../errors.ts";
import type { EngineName, Policy, ServeConfig } from "../config/types.ts";
import { allowedImage } from "./images.ts";
import { unheld } from "./limits.ts";
import { checkAllowedMount } from "./mounts.ts";
import { at } from "./refuse.ts";
import type { PolicyFacts } from "./verdict.ts";

/**
 * Holds a configuration against the machine, at the start and again when it is reloaded.
 *
 * @returns what must be told of default limits that nothing enforces here, each in one line
 * @throws CordonError with each configured limit that cannot be enforced and each mount that is not safe
 */
export function checkAgainstHost(config: ServeConfig, facts: PolicyFacts): string[] {
  const policies = [...new Set(config.tenants.map(({ policy }) => policy))];
  const notes = new Set<string>();
  const wrong: string[] = [];
  for (const policy of policies) {
    for (const engine of enginesOf(policy)) {
      const enforceable = facts.engines[engine];
      if (!enforceable) continue;
      for (const { key, configured, note } of unheld(policy, { engine, enforceable })) {
        if (configured) wrong.push(`${key}: ${note}`);
        else notes.add(note);
      }
    }
    for (const mount of policy.mounts) {
      const why = checkAllowedMount(mount, { places: facts.places, keep: ownPaths(config, facts) });
      if (why !== undefined) wrong.push(`${at(policy, "mounts")}: ${mount.host} cannot be mounted: ${why}`);
    }
  }
  for (const { image } of config.pool.containers) {
    const known = policies.some((policy) => ![undefined, HOST_IMAGE].includes(allowedImage(image, policy)));
    if (!known) wrong.push(`pool.containers: no policy allows the image ${image}`);
  }
  if (wrong.length === 0) return [...notes];
  throw new CordonError(
    `Cannot keep to the configuration${config.path === undefined ? "" : ` ${config.path}`} on this machine`,
    { why: wrong.join("\n") },
  );
}

/** The engines whose images a policy allows. */
function enginesOf({ images, aliases }: Policy): EngineName[] {
  const named = [...images, ...Object.values(aliases)];
  return [
    ...(named.includes(HOST_IMAGE) ? ["namespaces" as const] : []),
    ...(named.some((name) => name !== HOST_IMAGE) ? ["docker" as const] : []),
  ];
}

/** Files of the server's that no execution may see. */
function ownPaths({ path, tokens, state, tls, listen }: ServeConfig, { places }: PolicyFacts): string[] {
  const files = [path, tokens, state, tls?.certificate, tls?.key];
  const sockets = listen.flatMap((address) => "unix" in address ? [address.unix] : []);
  return [...files, ...sockets].flatMap((file) => {
    if (file === undefined) return [];
    const directory = places.realpath(posix.dirname(file));
    return [
      places.realpath(file) ?? (directory === undefined ? file : posix.join(directory, posix.basename(file))),
    ];
  });
}
