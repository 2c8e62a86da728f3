/** The limits of one execution: what was asked for within its ceiling, else the default. Pure. */
import type { Ceiling, EngineName, LimitName, Policy } from "../config/types.ts";
import { at, refused } from "./refuse.ts";
import type { Enforceable, ExecutionLimits } from "./verdict.ts";

/** What a request asks for; absent means nothing. */
export interface AskedLimits {
  memory?: number | undefined;
  cpus?: number | undefined;
  pids?: number | undefined;
}

export interface LimitsVerdict {
  limits: ExecutionLimits;
  dropped: LimitName[];
  notes: string[];
}

const FLAGS = { memory: "--memory", cpus: "--cpus", pids: "--pids-limit" } as const;
const HELD_BY_ENGINE = ["memory", "cpus", "pids"] as const;

/** @throws Refused for what is above its ceiling, and for what the engine could not hold it to */
export function limitsFor(policy: Policy, asked: AskedLimits, enforceable: Enforceable): LimitsVerdict {
  const { time, output, tmp } = policy.limits;
  const limits: ExecutionLimits = { wallSeconds: time.value, outputBytes: output.value, tmpBytes: tmp.value };
  const dropped: LimitName[] = [];
  const notes: string[] = [];
  for (const name of HELD_BY_ENGINE) {
    const ceiling = policy.limits[name];
    const wanted = asked[name];
    const holds = enforceable[name];
    checkCeiling(name, wanted, policy);
    if (holds === true) {
      const value = wanted ?? ceiling.value;
      if (name === "memory") limits.memoryBytes = value;
      else limits[name] = value;
    } else if (wanted !== undefined || ceiling.configured) {
      throw refused("limit", `${FLAGS[name]} ${amount(name, wanted ?? ceiling.value)}`, {
        why: `This server cannot hold a command to it: ${holds}`,
      });
    } else {
      dropped.push(name);
      notes.push(droppedNote(name, ceiling, holds));
    }
  }
  return { limits, dropped, notes };
}

/** `no memory limit of 512 MiB: this user has no control group for it` */
function droppedNote(name: LimitName, { value }: Ceiling, why: string): string {
  return `no limit of ${amount(name, value)}: ${why}`;
}

function checkCeiling(name: "memory" | "cpus" | "pids", wanted: number | undefined, policy: Policy): void {
  const { most } = policy.limits[name];
  // Docker takes a negative number for no limit at all.
  if (wanted === undefined || (wanted > 0 && wanted <= most)) return;
  const what = `${FLAGS[name]} ${wanted < 0 ? "without a limit" : amount(name, wanted)}`;
  throw refused("limit", what, {
    why: `There is at most ${amount(name, most)}`,
    configuredAt: at(policy, `limits.${name}`),
  });
}

/** With its unit: `512 MiB`, `60 s`, `128 processes`. */
export function amount(name: LimitName, value: number): string {
  switch (name) {
    case "time":
      return `${value} s`;
    case "cpus":
      return value === 1 ? "1 processor" : `${value} processors`;
    case "pids":
      return `${value} processes`;
    case "memory":
      return `${bytes(value)} of memory`;
    case "output":
      return `${bytes(value)} of output`;
    case "tmp":
      return `${bytes(value)} in /tmp`;
  }
}

export function bytes(value: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0, shown = value;
  while (shown >= 1024 && unit < units.length - 1) {
    shown /= 1024;
    unit++;
  }
  return `${Number(shown.toFixed(2))} ${units[unit]}`;
}

/** What the engine holds, for checks at the start: each configured limit that it does not, and each default. */
export function unheld(
  policy: Policy,
  { engine, enforceable }: { engine: EngineName; enforceable: Enforceable },
): { name: LimitName; key: string; configured: boolean; note: string }[] {
  return HELD_BY_ENGINE.flatMap((name) => {
    const holds = enforceable[name];
    if (holds === true) return [];
    const ceiling = policy.limits[name];
    return [{
      name,
      key: at(policy, `limits.${name}`),
      configured: ceiling.configured,
      note: `${engine}: ${droppedNote(name, ceiling, holds)}`,
    }];
  });
}
