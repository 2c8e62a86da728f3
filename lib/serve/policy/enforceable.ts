/** What an engine can hold an execution to on this machine. Pure. */
import type { CgroupSupport, ControllerSupport } from "../../host/cgroups.ts";
import type { Enforceable } from "./verdict.ts";

/** Of the namespaces engine. A group that takes a new start cannot be had for one execution: it counts as none. */
export function namespacesHold({ controllers }: CgroupSupport): Enforceable {
  const holds = (support: ControllerSupport): true | string => {
    if (support.by === "none") return support.why;
    return support.by === "reexec" ? "this server was not started in a control group of its own" : true;
  };
  return { memory: holds(controllers.memory), cpus: holds(controllers.cpu), pids: holds(controllers.pids) };
}

/** Of a container engine, by what it says of itself. */
export function containersHold(enforces: Record<"memory" | "cpus" | "pids", boolean>): Enforceable {
  const holds = (yes: boolean): true | string => yes || "the container engine has no control group for it";
  return { memory: holds(enforces.memory), cpus: holds(enforces.cpus), pids: holds(enforces.pids) };
}
