/** The sandbox of a request for the programs of this machine: what was asked for, checked, as a Spec. Pure. */
import { hostSpec } from "../../dockerargs/host.ts";
import type { DockerRun } from "../../dockerargs/run.ts";
import { CordonError } from "../../errors.ts";
import type { Mount, Spec } from "../../spec/spec.ts";
import type { Policy } from "../config/types.ts";
import { checkFields } from "./fields.ts";
import { limitsFor } from "./limits.ts";
import { mountSource, mountTarget } from "./mounts.ts";
import { at, oneLine, quoted, refused } from "./refuse.ts";
import { hostCommand } from "./shell.ts";
import type { Asked, Enforceable, NamespacesVerdict, PolicyFacts } from "./verdict.ts";

const PATH = "/usr/local/bin:/usr/bin:/bin";
const HOME = "/tmp";

/** What holds for every sandbox anyway, or means nothing without a container, and was checked as a field. */
const NOTHING_TO_DO = [
  "attach",
  "cap-drop",
  "cgroupns",
  "disable-content-trust",
  "ipc",
  "no-healthcheck",
  "pull",
  "quiet",
  "security-opt",
  "sig-proxy",
  "tty",
];

/** @throws Refused */
export function programOf(
  run: DockerRun,
  { asked, facts, enforceable }: { asked: Asked; facts: PolicyFacts; enforceable: Enforceable },
): NamespacesVerdict {
  const { tenant: { policy }, cmd } = asked;
  checkFields(run.config, policy);
  const host = (run.config.HostConfig ?? {}) as Record<string, unknown>;
  const network = host["NetworkMode"];
  if (network !== undefined && network !== "none") {
    throw refused("network", `--network ${quoted(String(network))}`, {
      why: "Programs of this machine run without a network",
    });
  }
  const user = run.config.User;
  if (user !== undefined && !/^(0|root)(:(0|root))?$/.test(user)) {
    throw refused("engine", `-u ${quoted(user)}`, {
      why: "Programs of this machine run as one user, which sees itself as root with -u 0",
    });
  }
  const { NanoCpus, Memory, PidsLimit } = host;
  const { limits, dropped, notes } = limitsFor(policy, {
    memory: typeof Memory === "number" ? Memory : undefined,
    cpus: typeof NanoCpus === "number" ? NanoCpus / 1e9 : undefined,
    pids: typeof PidsLimit === "number" ? PidsLimit : undefined,
  }, enforceable);
  const spec = madeSpec(
    { ...run, command: hostCommand(cmd, facts.shell), flags: run.flags.filter(hasMeaning) },
    facts,
    limits.tmpBytes,
  );
  const { wallSeconds, memoryBytes, cpus, pids, tmpBytes } = limits;
  const final: Spec = {
    ...spec,
    network: { mode: "none", allow: [] },
    rawStdio: true, // what is on 0–2 are pipes of the server
    mounts: spec.mounts.map((mount) => checkedMount(mount, { policy, facts })),
    limits: {
      wallSeconds,
      tmpBytes,
      coreBytes: 0,
      bestEffort: false,
      ...(memoryBytes !== undefined && { memoryBytes }),
      ...(cpus !== undefined && { cpus }),
      ...(pids !== undefined && { pids }),
    },
  };
  return { engine: "namespaces", spec: final, limits, dropped, notes };
}

function hasMeaning(flag: string): boolean {
  return !NOTHING_TO_DO.includes(flag);
}

/** The server's own names, home and environment are not for the sandbox to see. */
function madeSpec(run: DockerRun, facts: PolicyFacts, tmpBytes: number): Spec {
  const host = {
    ...facts.host,
    env: { PATH, LANG: "C.UTF-8" },
    home: HOME,
    user: "user",
    group: "user",
    shell: facts.shell,
  };
  try {
    const spec = hostSpec(run, { script: false, bestEffort: false, tmpBytes }, host);
    return run.config.WorkingDir === undefined ? { ...spec, workdir: { path: HOME, required: true } } : spec;
  } catch (error) {
    if (!(error instanceof CordonError)) throw error;
    const why = error.why ?? "This server runs it without a container";
    throw refused("engine", oneLine(error.message.replace(/^The namespaces engine cannot do /, "")), { why });
  }
}

function checkedMount(mount: Mount, { policy, facts }: { policy: Policy; facts: PolicyFacts }): Mount {
  // The place of a read-only root's own /dev/shm is not the client's choice.
  const dest = mount.dest === "/dev/shm" && mount.kind === "tmp" ? mount.dest : mountTarget(mount.dest);
  if (mount.kind === "tmp") {
    const { most } = policy.limits.tmp;
    if (mount.bytes !== undefined && mount.bytes > most) {
      throw refused("limit", `a tmpfs of ${mount.bytes} bytes`, {
        why: `There are at most ${most}`,
        configuredAt: at(policy, "limits.tmp"),
      });
    }
    return { ...mount, dest };
  }
  if (mount.kind !== "bind" || mount.source === undefined) {
    throw refused("mount", `a mount of kind ${mount.kind}`, { why: "There is bind and tmpfs" });
  }
  const { readOnly } = mount;
  const source = mountSource(mount.source, { writable: !readOnly, policy, places: facts.places });
  return { dest, source, kind: "bind", readOnly, devices: false, optional: false };
}
