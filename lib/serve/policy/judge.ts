/** Says what becomes of a request: refused, or the container or Spec that executes it. Default deny. */
import type { Asked, PolicyFacts, Verdict } from "./verdict.ts";

export function judge(_asked: Asked, _facts: PolicyFacts): Verdict {
  return { refused: "nothing is allowed yet", rule: "args" };
}
