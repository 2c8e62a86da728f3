/** `cordon run`: the command line read, and the engine or API it goes to. */
import { posix } from "node:path";
import { writeStderr } from "../lib/cli/streams.ts";
import { type Config, loadConfig, NO_CONFIG } from "../lib/config/config.ts";
import { readerFor } from "../lib/config/file.ts";
import { formatPosition } from "../lib/config/parse.ts";
import { currentDirectory } from "../lib/host/fs.ts";
import { type DockerRun, parseRun, type RunFacts } from "../lib/dockerargs/run.ts";
import { CordonError, UsageError } from "../lib/errors.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import { attachLine } from "./run-attach.ts";
import { type Backend, chooseBackend, completeLine } from "./run-backend.ts";
import type { RunLine, RunOptions } from "./run.options.ts";

export async function run(typed: RunLine): Promise<number> {
  const host = gatherHost();
  const facts = runFacts(host);
  const config = typed.config ? readConfig(host, facts.cwd) : NO_CONFIG;
  const options = completeLine(typed, config);
  const backend = chooseBackend(options, { config, env: host.env });
  if (options.check) {
    const { check } = await import("./run-check.ts");
    return await check(options, { backend, host });
  }
  const attached = attachLine(options.dockerArgs);
  if (backend.kind === "api" && attached !== undefined) {
    const { attachByApi } = await import("./run-api.ts");
    return await attachByApi(options, { backend, host, attached });
  }
  // Once without an engine: what is wrong with the line itself needs none to be told.
  const parsed = parseRun(options.dockerArgs, facts);
  checkScript(options, { run: parsed, backend });
  if (options.unprivileged) refusePrivileges(parsed);
  if (backend.kind === "api") {
    const { runByApi } = await import("./run-api.ts");
    return await runByApi(options, { backend, host, facts });
  }
  if (backend.kind === "namespaces") {
    const { runOnHost } = await import("./run-host.ts");
    return runOnHost(options, { host, facts });
  }
  const { runInContainer } = await import("./run-container.ts");
  return await runInContainer(options, { host, facts });
}

function readConfig(host: Host, cwd: string): Config {
  const config = loadConfig({ env: host.env, home: host.home, cwd }, readerFor(host.uid));
  for (const { at, what } of config.problems) {
    writeStderr(`cordon: warning: ${formatPosition(at)}: ${what}\n`);
  }
  return config;
}

/** What the command line means here: this directory, this environment, these files. */
function runFacts(host: Host): RunFacts {
  const cwd = host.cwd ?? currentDirectory() ?? "/";
  return { cwd, env: host.env, readFile: (path) => Deno.readFileSync(posix.resolve(cwd, path)) };
}

function checkScript({ script }: RunOptions, { run, backend }: { run: DockerRun; backend: Backend }): void {
  const { interactive, tty, detach } = run.client;
  if (!script) return;
  // An API is sent the script as a text.
  const other = interactive ? "-i" : tty ? "-t" : detach && backend.kind !== "api" ? "-d" : undefined;
  if (other === undefined) return;
  throw new UsageError(`Options --script and ${other} cannot be given together`, {
    why: "stdin is the script",
  });
}

/** What counts is the container that would be made, not how its line was written. */
function refusePrivileges({ config }: DockerRun): void {
  const { Privileged, NetworkMode } = config.HostConfig ?? {};
  const { EndpointsConfig = {} } = (config["NetworkingConfig"] ?? {}) as { EndpointsConfig?: object };
  const networks = [NetworkMode, ...Object.keys(EndpointsConfig)];
  const flag = Privileged === true
    ? "--privileged"
    : networks.includes("host")
    ? "--network=host"
    : undefined;
  if (flag !== undefined) throw new CordonError(`Forbidden Docker flag detected: ${flag}`);
}
