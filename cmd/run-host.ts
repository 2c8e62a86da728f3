/** `cordon run --engine namespaces … host`: the same command line, without an image or an engine. */
import { hostSpec } from "../lib/dockerargs/host.ts";
import { parseRun, type RunFacts } from "../lib/dockerargs/run.ts";
import { namespaces } from "../lib/engine/namespaces/engine.ts";
import { CordonError } from "../lib/errors.ts";
import type { Host } from "../lib/host/host.ts";
import { emptyStdin } from "../lib/host/stdin.ts";
import type { RunOptions } from "./run.options.ts";
import { DEFAULT_TMP_BYTES } from "./shared.options.ts";

export function runOnHost(
  options: RunOptions,
  { host, facts }: { host: Host; facts: RunFacts },
): number {
  const run = parseRun(options.dockerArgs, facts);
  const spec = hostSpec(run, { ...options, tmpBytes: DEFAULT_TMP_BYTES }, host);
  if (run.client.tty && !Deno.stdin.isTerminal()) {
    throw new CordonError("-t needs a terminal, and stdin is none", { hint: "give -i alone, or neither" });
  }
  if (!run.client.interactive && !options.script) emptyStdin();
  const { parent } = options;
  return namespaces.exec({ ...spec, ...(parent !== undefined && { endWithParent: parent }) }, host);
}
