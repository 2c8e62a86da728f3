/** `cordon kernel launch`: from a kernelspec's command line to a kernel that Jupyter reaches and that reaches nothing. */
import { posix } from "node:path";
import { writeStdout } from "../lib/cli/streams.ts";
import type { CommandContext } from "../lib/cli/command.ts";
import { explainNamespaces, namespaces } from "../lib/engine/namespaces/engine.ts";
import { resultPlace, tellFailure } from "../lib/engine/namespaces/result.ts";
import { CordonError, reasonOf } from "../lib/errors.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import { type Connection, parseConnection } from "../lib/jupyter/connection.ts";
import { hiddenPaths } from "../lib/jupyter/hide.ts";
import { insideFiles, listenForKernel, type Transport } from "../lib/jupyter/launch.ts";
import { toMounts } from "../lib/jupyter/mounts.ts";
import { insideEnvironment, userOf } from "../lib/spec/defaults.ts";
import type { Mount, Spec } from "../lib/spec/spec.ts";
import type { KernelLaunchOptions } from "./kernel-launch.options.ts";

/** What a kernel gets of the launcher's environment besides the usual; the rest may hold tokens. */
const KERNEL_ENV = ["NBGRADER_*", "JPY_SESSION_NAME"];

export async function run(options: KernelLaunchOptions, context: CommandContext): Promise<number> {
  try {
    return await launch(options, context);
  } catch (error) {
    if (options.result && !options.explain) tellFailure(options.result, options.engine);
    throw error;
  }
}

async function launch(options: KernelLaunchOptions, context: CommandContext): Promise<number> {
  const host = { ...gatherHost(), env: context.env };
  const connection = readConnection(options.connectionFile);
  // Nothing is told in the connection file about the kernel's ZeroMQ: `kernel setup` writes --transport for those
  // without ipc.
  const transport: Transport = options.transport === "tcp" ? "tcp" : "ipc";
  if (options.engine === "docker") {
    const { launchInContainer } = await import("./kernel-container.ts");
    return await launchInContainer(options, { host, connection, transport });
  }
  const spec = launchSpec(options, { host, connection, transport });
  if (options.explain) {
    writeStdout(JSON.stringify(spec, null, 2) + "\n\n" + explainNamespaces(spec, host));
    return 0;
  }
  return namespaces.exec({ ...spec, forwards: listenForKernel(connection, { transport }) }, host);
}

export interface Launch {
  host: Host;
  connection: Connection;
  transport: Transport;
}

/** The Spec of a kernel in namespaces, without its listeners. */
export function launchSpec(options: KernelLaunchOptions, { host, connection, transport }: Launch): Spec {
  const cwd = currentDirectory(host);
  const workdir = options.workdir ?? cwd;
  const { files, command } = insideFiles(connection, {
    transport,
    file: options.connectionFile,
    command: options.command,
  });
  return {
    command,
    env: kernelEnvironment(options, host),
    workdir: { path: workdir, required: true },
    user: userOf(host, host.user),
    mapRoot: false,
    hostname: "cordon",
    root: { assembleAt: "/tmp", etc: true },
    mounts: [
      workdirMount(options, { cwd, workdir }),
      ...toMounts(options.mounts, { cwd, home: host.home }),
      ...hiddenPaths(cwd, options.hide).map((name): Mount => ({
        dest: posix.join(workdir, name),
        kind: "hide",
        readOnly: true,
        devices: false,
        optional: false,
      })),
    ],
    network: options.network,
    limits: options.limits,
    keepFds: [],
    rawStdio: false,
    nested: false,
    files,
    tellLimits: true,
    endWithParent: Deno.ppid,
    ...(options.result && { result: resultPlace(options.result, cwd) }),
    verbose: false,
  };
}

/** The environment of a kernel: an allow-list, and what setup recorded. */
export function kernelEnvironment(options: KernelLaunchOptions, host: Host): Record<string, string> {
  return insideEnvironment(host, { add: options.env, keep: KERNEL_ENV, everything: false });
}

export function currentDirectory(host: Host): string {
  if (host.cwd !== undefined) return host.cwd;
  throw new CordonError("The kernel's working directory has no name", { why: "it was deleted" });
}

function workdirMount(options: KernelLaunchOptions, at: { cwd: string; workdir: string }): Mount {
  return {
    dest: at.workdir,
    source: at.cwd,
    kind: options.copyWorkdir ? "copy" : "bind",
    readOnly: false,
    devices: false,
    optional: false,
  };
}

function readConnection(file: string): Connection {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (cause) {
    throw new CordonError(`Connection file ${file} cannot be read`, { why: reasonOf(cause), cause });
  }
  return parseConnection(text, file);
}
