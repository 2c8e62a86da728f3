/** How a refusal is said: `--privileged is not allowed: it takes all isolation away`. Pure. */
import type { Policy } from "../config/types.ts";
import type { Refusal, Rule } from "./verdict.ts";

/** A rule said no. Thrown inside the policy only; `judge` returns it. */
export class Refused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.refused);
    this.refusal = refusal;
  }
}

/** Where in the configuration a rule of this policy stands. */
export function at(policy: Policy, key: string): string {
  return `policies.${policy.name}.${key}`;
}

export function refused(
  rule: Rule,
  what: string,
  { why, configuredAt }: { why: string; configuredAt?: string },
): Refused {
  return new Refused({
    refused: oneLine(`${what} is not allowed: ${why[0]?.toLowerCase() ?? ""}${why.slice(1)}`),
    rule,
    ...(configuredAt !== undefined && { configuredAt }),
  });
}

/** The client's own words may hold line breaks and escape sequences. */
export function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").slice(0, 2000);
}

/** A word as the client typed it, as far as it fits into a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
