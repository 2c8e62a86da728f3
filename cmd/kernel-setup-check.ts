/** What `cordon kernel setup` makes sure of before it writes a kernelspec, and what it warns of. */
import { exposesHome } from "../lib/engine/namespaces/root.ts";
import { namespaces } from "../lib/engine/namespaces/engine.ts";
import { needsCgroups, planLimits } from "../lib/engine/namespaces/limits.ts";
import { CordonError, render } from "../lib/errors.ts";
import { probeCgroups } from "../lib/host/cgroups.ts";
import { hostFs } from "../lib/host/fs.ts";
import type { Host } from "../lib/host/host.ts";
import { CHANNELS, type Connection, parseConnection } from "../lib/jupyter/connection.ts";
import { passingPlace } from "../lib/jupyter/executable.ts";
import { isIpykernel, type KernelJson } from "../lib/jupyter/kernelspec.ts";
import { readOnlyArguments, toMounts } from "../lib/jupyter/mounts.ts";
import type { KernelProgram } from "../lib/jupyter/program.ts";
import { launchSpec } from "./kernel-launch.ts";
import type { KernelLaunchOptions } from "./kernel-launch.options.ts";
import { readRecorded } from "./kernel-recorded.ts";

/** How long the trial may take, in seconds; it imports one package. */
const TRIAL_SECONDS = 60;

/**
 * The launch as it will read this kernelspec's command line.
 * @throws CordonError for what no launch could do
 */
export function checkKernelJson({ argv }: KernelJson, host: Host): KernelLaunchOptions {
  const { launch } = readRecorded(argv);
  if (launch.engine === "namespaces") {
    const [field] = namespaces.unsupported(specOf(launch, host));
    if (field !== undefined) {
      throw new CordonError(`The namespaces engine cannot do: ${field}`, {
        why: "the kernel would refuse to start",
      });
    }
  }
  return launch;
}

/** Doubts about a kernelspec, in words. */
export function warningsOf(
  launch: KernelLaunchOptions,
  facts: { host: Host; program: KernelProgram; executable: string },
): string[] {
  const { host, program, executable } = facts;
  const warnings: string[] = [];
  const place = passingPlace(executable);
  if (place) {
    warnings.push(
      `the kernel starts ${executable}, and ${place}: install cordon (install.sh) and set it up again`,
    );
  }
  const mounts = toMounts(launch.mounts, { cwd: host.cwd ?? "/", home: host.home });
  const exposed = exposesHome({ ...specOf(launch, host), mounts }, hostFs);
  if (exposed) {
    warnings.push(
      `${exposed.source} is writable inside and holds the home directory: ` +
        "what a notebook runs can change ~/.bashrc and other files that run outside later",
    );
  }
  if (launch.engine === "namespaces") {
    for (const { source, optional } of mounts) {
      if (source === undefined || optional || hostFs.stat(source) !== undefined) continue;
      warnings.push(`${source} is not there: no kernel will start until it is`);
    }
  }
  for (const path of program.visible.withheld) {
    warnings.push(`${path} is not shown to the kernel, because it would show the home directory with it`);
  }
  const limit = unenforceable(launch, host);
  if (limit) warnings.push(limit);
  const trouble = launch.engine === "namespaces" ? tryOut(program, executable) : undefined;
  if (trouble) warnings.push(`a trial start of the kernel's Python failed: ${trouble}`);
  return warnings;
}

/** Which limit this user cannot be given on this machine: launches by others, or elsewhere, may do better. */
function unenforceable({ engine, limits }: KernelLaunchOptions, host: Host): string | undefined {
  if (engine !== "namespaces" || !needsCgroups(limits)) return undefined;
  try {
    planLimits(limits, { host, cgroups: probeCgroups() });
    return undefined;
  } catch (error) {
    if (!(error instanceof CordonError)) throw error;
    return `no kernel will start for this user here: ${render(error).trimEnd().replace(/^cordon: /, "")}`;
  }
}

/** Imports ipykernel in a sandbox that shows what the kernel will see; what went wrong, in words. */
function tryOut({ argv, visible }: KernelProgram, executable: string): string | undefined {
  if (!isIpykernel(argv)) return undefined;
  const { success, code, stderr } = new Deno.Command(executable, {
    args: [
      "isolate",
      "--time",
      String(TRIAL_SECONDS),
      "--workdir",
      "/",
      "--mnt",
      "tmp:/media", // instead of the current directory
      ...readOnlyArguments(visible.paths),
      "--",
      argv[0]!,
      "-c",
      "import ipykernel.kernelapp",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).outputSync();
  if (success) return undefined;
  const said = new TextDecoder().decode(stderr).trim();
  return code === 125
    ? `${said}\n(cordon doctor says what this machine lacks)`
    : said.split("\n").at(-1) ?? "";
}

/** The Spec of a launch in the current directory. */
function specOf(launch: KernelLaunchOptions, host: Host) {
  return launchSpec({ ...launch, hide: [] }, { host, connection: anyConnection(), transport: "ipc" });
}

function anyConnection(): Connection {
  const ports = CHANNELS.map((channel, i) => [`${channel}_port`, i + 1]);
  return parseConnection(JSON.stringify(Object.fromEntries(ports)), "(none)");
}
