/** The fixed part of the result object: engine and limits are known before the target runs. */
import { posix } from "node:path";
import type { ResultPlan } from "../../shim/programs/sandbox.ts";
import type { Spec } from "../../spec/spec.ts";
import type { LimitPlan } from "./limits.ts";

export function resultPlan(to: NonNullable<Spec["result"]>, enforced: LimitPlan["enforced"]): ResultPlan {
  const members = `"engine":"namespaces","limits":${JSON.stringify(enforced)}`;
  if ("fd" in to) return { to, members };
  return { to: { directory: posix.dirname(to.path), name: posix.basename(to.path) }, members };
}
