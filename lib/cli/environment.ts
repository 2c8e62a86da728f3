import { parseEnviron } from "../host/host.ts";
import type { Environment } from "./command.ts";

/** The caller's environment. `Deno.env.toObject()` throws on a byte that is not UTF-8; the kernel's copy does not. */
export function readEnvironment(): Environment {
  return parseEnviron(Deno.readFileSync("/proc/self/environ"));
}
