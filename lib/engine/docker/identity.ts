/** Which daemon a container belongs to: told by labels, so that another daemon can see whether that one still lives. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type CgroupSystem, randomId, realCgroupSystem } from "../../host/cgroups.ts";
import { launcherIsGone, launcherLabel } from "../../jupyter/leftovers.ts";

/** Labels of every container that `cordon serve` makes. */
export const LABELS = {
  /** Always `serve`. */
  kind: "org.cordon.kind",
  /** Numeric user of the daemon. */
  uid: "org.cordon.uid",
  /** The machine the daemon runs on; an engine may be shared by several. */
  machine: "org.cordon.machine",
  /** Pid namespace, pid and start time of the daemon: while they fit a process, it lives. */
  process: "org.cordon.process",
  /** Random, one for each start of a daemon. */
  instance: "org.cordon.instance",
} as const;

export const KIND = "serve";

/** One start of a daemon. */
export interface DaemonIdentity {
  uid: number;
  machine: string;
  process: string;
  instance: string;
}

/** This process. Each call is a new instance. */
export function daemonIdentity(system: CgroupSystem = realCgroupSystem): DaemonIdentity {
  return {
    uid: system.uid(),
    machine: machineOf(system),
    process: launcherLabel(system),
    instance: randomId(),
  };
}

export function labelsOf(identity: DaemonIdentity): Record<string, string> {
  return {
    [LABELS.kind]: KIND,
    [LABELS.uid]: String(identity.uid),
    [LABELS.machine]: identity.machine,
    [LABELS.process]: identity.process,
    [LABELS.instance]: identity.instance,
  };
}

/**
 * Whether a container with these labels was left by a daemon of ours that is dead: same user, same machine, and its
 * process has ended. What cannot be told, as of a process in another pid namespace, counts as alive, except for the
 * instances that the caller knows to be `dead`.
 */
export function isLeftOver(
  labels: Readonly<Record<string, string>> | null,
  own: DaemonIdentity,
  options: { dead?: readonly string[]; system?: CgroupSystem } = {},
): boolean {
  const { dead = [], system = realCgroupSystem } = options;
  if (labels?.[LABELS.kind] !== KIND || labels[LABELS.uid] !== String(own.uid)) return false;
  if (labels[LABELS.machine] !== own.machine) return false;
  const instance = labels[LABELS.instance];
  if (instance === own.instance) return false;
  if (instance !== undefined && dead.includes(instance)) return true;
  const process = labels[LABELS.process];
  return process !== undefined && process !== own.process && launcherIsGone(process, system);
}

/** Not the machine's id itself, which is not for publishing (machine-id(5)). */
function machineOf(system: CgroupSystem): string {
  const file = ["/etc/machine-id", "/proc/sys/kernel/hostname"].find((path) =>
    system.exists(path) && system.read(path).trim() !== ""
  );
  const id = file === undefined ? "" : system.read(file).trim();
  return Buffer.from(createHash("sha256").update(`cordon serve ${id}`).digest()).toString("hex").slice(0, 16);
}
