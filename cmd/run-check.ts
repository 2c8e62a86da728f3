/** `cordon run --check`: would it run? */
import { writeStdout } from "../lib/cli/streams.ts";
import { health } from "../lib/api/dockyter.ts";
import { Api } from "../lib/api/request.ts";
import { formatEndpoint, resolveEndpoint } from "../lib/docker/endpoint.ts";
import { openEngine } from "../lib/docker/system.ts";
import { CordonError } from "../lib/errors.ts";
import { allChecks, isSound, runChecks } from "../lib/host/checks.ts";
import type { Host } from "../lib/host/host.ts";
import { realProbes } from "../lib/host/probes.ts";
import { gatherSituation } from "../lib/host/situation.ts";
import { addressOf } from "./run-api.ts";
import type { Backend } from "./run-backend.ts";
import type { RunOptions } from "./run.options.ts";

/** @throws CordonError that says what is missing */
export async function check(
  options: RunOptions,
  { backend, host }: { backend: Backend; host: Host },
): Promise<number> {
  writeStdout(await answering(options, { backend, host }) + "\n");
  return 0;
}

async function answering(
  options: RunOptions,
  { backend, host }: { backend: Backend; host: Host },
): Promise<string> {
  if (backend.kind === "api") {
    const address = addressOf(backend);
    using api = new Api(address, host.env);
    await health(api);
    return `The API at ${address.shown} answers`;
  }
  if (backend.kind === "docker") {
    const endpoint = await resolveEndpoint({ host: options.host }, host);
    const { apiVersion } = await openEngine(endpoint);
    return `The engine at ${formatEndpoint(endpoint)} answers (API ${apiVersion})`;
  }
  const checks = runChecks(allChecks(host), { probes: realProbes(host), situation: gatherSituation(host) });
  if (isSound(checks)) return "Sandboxes work on this machine";
  throw new CordonError("Sandboxes do not work on this machine", { hint: "cordon doctor" });
}
