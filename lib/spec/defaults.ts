/** What a sandbox gets when nothing is said: environment by allow-list, the caller's identity. No I/O. */
import type { Host } from "../host/host.ts";
import type { Spec } from "./spec.ts";

const PASSED = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TERM", "TZ"];

export interface EnvironmentOptions {
  /** Set, or passed from the caller when without a value. */
  add: { name: string; value?: string }[];
  /** Patterns of the caller's variables to pass. */
  keep: string[];
  /** Pass all of the caller's. */
  everything: boolean;
}

/** The environment inside. */
export function insideEnvironment(
  host: Pick<Host, "env" | "home" | "user">,
  options: EnvironmentOptions,
): Record<string, string> {
  const { env: outside, home, user } = host;
  const patterns = [...PASSED, ...options.keep].map(matcher);
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(outside)) {
    if (options.everything || patterns.some((matches) => matches(name))) env[name] = value;
  }
  env["HOME"] ??= home;
  env["USER"] ??= user;
  env["LOGNAME"] ??= user;
  // ipykernel ends itself when this process does not exist, and without the variable it prints a banner.
  if (outside["JPY_PARENT_PID"] !== undefined) env["JPY_PARENT_PID"] = "1";
  for (const { name, value } of options.add) {
    const given = value ?? outside[name];
    if (given !== undefined) env[name] = given;
  }
  return env;
}

/** A test for names: `*` is any run of characters, `?` any one. */
function matcher(pattern: string): (name: string) => boolean {
  if (!/[*?]/.test(pattern)) return (name) => name === pattern;
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  const expression = new RegExp(`^${escaped}$`, "s");
  return (name) => expression.test(name);
}

/** The caller as the user inside. */
export function userOf(host: Host, name: string): Spec["user"] {
  const { uid, gid, groups, group, home, shell } = host;
  return { uid, gid, groups, name, group, home, shell };
}
