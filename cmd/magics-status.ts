/** `cordon magics status`: the lines that Dockyter's users know, spelled as they know them. */
import { shownAddress } from "../lib/api/address.ts";
import { health } from "../lib/api/dockyter.ts";
import { Api, ApiError } from "../lib/api/request.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import { resolveEndpoint } from "../lib/docker/endpoint.ts";
import { openEngine } from "../lib/docker/system.ts";
import { CordonError } from "../lib/errors.ts";
import { allChecks, isSound, runChecks } from "../lib/host/checks.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import { realProbes } from "../lib/host/probes.ts";
import { gatherSituation } from "../lib/host/situation.ts";
import { onPath } from "../lib/jupyter/python.ts";
import { configHere, here } from "./config-here.ts";
import type { MagicsStatusOptions } from "./magics.options.ts";
import { addressOf } from "./run-api.ts";
import { type Backend, chooseBackend } from "./run-backend.ts";
import { readLine } from "./run.options.ts";

export async function run(options: MagicsStatusOptions): Promise<number> {
  const { engine, args, redirected, switched } = options;
  const host = gatherHost();
  const config = configHere(here());
  const line = readLine(engine === undefined ? [] : ["--engine", engine]);
  const backend = chooseBackend(line, { config, env: host.env });
  if (switched) writeStdout(`Switched backend to ${longName(backend)}.\n`);
  const { available, says } = await stateOf(backend, host);
  const shown = args ?? config.defaultArgs?.value;
  writeStdout(
    [
      "=== Dockyter Backend Status ===",
      `Dockyter backend type: ${TYPES[backend.kind]}`,
      `Dockyter backend status: ${available ? "available" : "unavailable"}`,
      `Dockyter backend status: ${says}`,
      `Dockyer redirection for '!': ${redirected ? "on" : "off"}`,
      ...(shown === undefined ? [] : [`Current docker args: ${shown}`]),
    ].join("\n") + "\n",
  );
  return 0;
}

const TYPES = { docker: "Docker", api: "API", namespaces: "Namespaces" };

function longName(backend: Backend): string {
  if (backend.kind === "api") return `APIBackend (${shownAddress(backend.url)})`;
  return backend.kind === "docker" ? "Docker (local daemon)" : "namespaces (this machine's own programs)";
}

interface State {
  available: boolean;
  /** A sentence. */
  says: string;
}

async function stateOf(backend: Backend, host: Host): Promise<State> {
  switch (backend.kind) {
    case "docker":
      return await dockerState(host);
    case "api":
      return await apiState(backend, host);
    case "namespaces":
      return namespacesState(host);
  }
}

async function dockerState(host: Host): Promise<State> {
  try {
    await openEngine(await resolveEndpoint({}, host));
    return { available: true, says: "Docker is installed and the daemon is running." };
  } catch (error) {
    if (!(error instanceof CordonError)) throw error;
    const says = onPath(["docker", "podman"], host.env["PATH"] ?? "").length > 0
      ? "Docker daemon is not running. Please start the Docker service."
      : "Docker is not installed or not available in the system PATH.";
    return { available: false, says: `${says} (${reason(error)})` };
  }
}

async function apiState(backend: Extract<Backend, { kind: "api" }>, host: Host): Promise<State> {
  let shown = shownAddress(backend.url);
  try {
    const address = addressOf(backend);
    shown = address.shown;
    using api = new Api(address, host.env);
    await health(api);
    return { available: true, says: `API backend reachable at ${shown}` };
  } catch (error) {
    if (!(error instanceof CordonError)) throw error;
    const answered = error instanceof ApiError && error.status !== 0;
    const says = answered
      ? `API backend error ${error.status} at ${shown}`
      : `API backend unreachable at ${shown}: ${reason(error)}`;
    return { available: false, says };
  }
}

function namespacesState(host: Host): State {
  const checks = runChecks(allChecks(host), { probes: realProbes(host), situation: gatherSituation(host) });
  return isSound(checks)
    ? { available: true, says: "Sandboxes work on this machine; the image is called host." }
    : { available: false, says: "Sandboxes do not work on this machine: see cordon doctor." };
}

function reason({ message, why }: CordonError): string {
  return why === undefined ? message : `${message}: ${why}`;
}
