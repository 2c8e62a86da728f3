/** `cordon kernel gc`: removes what crashed launches left. */
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { listContainers, removeContainer, short } from "../lib/docker/containers.ts";
import { resolveEndpoint } from "../lib/docker/endpoint.ts";
import { UnreachableError } from "../lib/docker/errors.ts";
import { openEngine } from "../lib/docker/system.ts";
import { KERNEL_LABELS } from "../lib/engine/docker/kernel-config.ts";
import { sweepCgroups } from "../lib/engine/namespaces/cgroup_sweep.ts";
import { CordonError } from "../lib/errors.ts";
import { probeCgroups } from "../lib/host/cgroups.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import { findKernelspecs, isCordons } from "../lib/jupyter/kernelspec.ts";
import { launcherIsGone, privateParents, sweepDirectories } from "../lib/jupyter/leftovers.ts";
import { kernelDirectories } from "../lib/jupyter/paths.ts";
import { jupyterFacts } from "../lib/jupyter/python.ts";
import type { KernelGcOptions } from "./kernel-gc.options.ts";
import { readRecorded } from "./kernel-recorded.ts";

interface Thing {
  kind: "container" | "cgroup" | "directory";
  name: string;
}

interface Swept {
  removed: Thing[];
  /** Abandoned, and not to be removed. */
  left: Thing[];
}

export async function run(options: KernelGcOptions, context: CommandContext): Promise<number> {
  const host = { ...gatherHost(), env: context.env };
  const swept: Swept = { removed: [], left: [] };
  // Containers first: their mounts keep directories busy.
  for (const endpoint of endpoints(options, host)) await sweepContainers(endpoint, host, swept);
  add(swept, "cgroup", sweepCgroups(probeCgroups()));
  add(swept, "directory", sweepDirectories(privateParents(host.env)));
  if (options.json) {
    writeStdout(JSON.stringify(swept, null, 2) + "\n");
  } else {
    for (const { kind, name } of swept.removed) writeStdout(`Removed ${kind} ${name}\n`);
    for (const { kind, name } of swept.left) writeStderr(`cordon: ${kind} ${name} cannot be removed\n`);
    if (swept.removed.length + swept.left.length === 0) writeStderr("Nothing was left behind\n");
  }
  return swept.left.length === 0 ? 0 : 1;
}

function add(swept: Swept, kind: Thing["kind"], more: { removed: string[]; left: string[] }): void {
  swept.removed.push(...more.removed.map((name) => ({ kind, name })));
  swept.left.push(...more.left.map((name) => ({ kind, name })));
}

interface Place {
  /** Absent: where an engine usually is. */
  host?: string;
  /** That nothing answers there is a failure. */
  required: boolean;
}

function endpoints(options: KernelGcOptions, host: Host): Place[] {
  if (options.host !== undefined) return [{ host: options.host, required: true }];
  const specs = findKernelspecs(kernelDirectories(jupyterFacts(host))).filter(({ json }) => isCordons(json));
  const named = new Set(specs.flatMap(({ json }) => recordedHost(json.argv)));
  return [{ required: false }, ...[...named].map((name) => ({ host: name, required: false }))];
}

function recordedHost(argv: readonly string[]): string[] {
  try {
    const { host } = readRecorded(argv).launch;
    return host === undefined ? [] : [host];
  } catch (error) {
    // A kernelspec of another version: cordon kernel list tells of it.
    if (error instanceof CordonError) return [];
    throw error;
  }
}

async function sweepContainers(place: Place, host: Host, swept: Swept): Promise<void> {
  try {
    const endpoint = await resolveEndpoint({ host: place.host }, host);
    const engine = await openEngine(endpoint);
    const labels = { [KERNEL_LABELS.kind]: "kernel", [KERNEL_LABELS.owner]: String(host.uid) };
    for (const { Id, Labels } of await listContainers(engine, { labels })) {
      if (!launcherIsGone(Labels?.[KERNEL_LABELS.launcher] ?? "")) continue;
      if (await removeContainer(engine, Id, { force: true })) {
        swept.removed.push({ kind: "container", name: short(Id) });
      }
    }
  } catch (error) {
    if (place.required || !(error instanceof UnreachableError)) throw error;
    if (place.host !== undefined) writeStderr(`cordon: warning: ${error.message}: not looked at\n`);
  }
}
