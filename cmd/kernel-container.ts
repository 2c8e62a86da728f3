/** `cordon kernel launch --image`: the same kernel in a container. Loaded for that alone. */
import { posix } from "node:path";
import { writeStdout } from "../lib/cli/streams.ts";
import { resolveEndpoint } from "../lib/docker/endpoint.ts";
import { openEngine } from "../lib/docker/system.ts";
import { type ContainerMount, OUTSIDE } from "../lib/engine/docker/kernel-config.ts";
import { execContainerKernel, refuseDistant } from "../lib/engine/docker/kernel.ts";
import { startKeeper } from "../lib/engine/docker/keeper.ts";
import { CordonError } from "../lib/errors.ts";
import { encodeOs } from "../lib/host/bytes.ts";
import { hostFs } from "../lib/host/fs.ts";
import type { Host } from "../lib/host/host.ts";
import { hiddenPaths } from "../lib/jupyter/hide.ts";
import { insideFiles, listenForKernel, portsAndSockets } from "../lib/jupyter/launch.ts";
import { privateName, privateParents, removeTree } from "../lib/jupyter/leftovers.ts";
import { toMounts } from "../lib/jupyter/mounts.ts";
import type { Mount } from "../lib/spec/spec.ts";
import type { KernelLaunchOptions } from "./kernel-launch.options.ts";
import { currentDirectory, kernelEnvironment, type Launch } from "./kernel-launch.ts";

/** What a socket's address holds (unix(7)), and what of it comes after the directory. */
const SUN_PATH = 107, SOCKET = `/${OUTSIDE.directory}/${OUTSIDE.door}`.length;
/** The common part of the kernel's sockets, in their directory. */
const SOCKETS = "kernel";
/** A kernel that is to fail must do so while somebody looks. */
const ENGINE_MS = 1500;

export async function launchInContainer(options: KernelLaunchOptions, launch: Launch): Promise<number> {
  const { host, connection, transport } = launch;
  const cwd = currentDirectory(host);
  const workdir = options.workdir ?? cwd;
  const endpoint = await resolveEndpoint({ host: options.host }, host);
  refuseDistant(endpoint);
  const engine = await openEngine(endpoint, { pingMs: ENGINE_MS });
  const { files, command } = insideFiles(connection, {
    transport,
    file: options.connectionFile,
    command: options.command,
  });
  const name = privateName();
  const kept = { endpoint, name, directory: posix.join(privateParent(host.env, name), name) };
  const { directory } = kept;
  const forwards = options.explain
    ? []
    : listenForKernel(connection, { transport: "ipc", socketBase: SOCKETS });
  const keeper = startKeeper(kept, host);
  try {
    Deno.mkdirSync(directory, { mode: 0o700 });
    const place: Mount = {
      dest: workdir,
      source: cwd,
      kind: options.copyWorkdir ? "copy" : "bind",
      readOnly: false,
      devices: false,
      optional: false,
    };
    const mounts = [place, ...toMounts(options.mounts, { cwd, home: host.home })];
    const kernel = {
      image: options.image!,
      command,
      env: imageEnvironment(options, host),
      workdir,
      mounts: [
        ...mounts.map((mount) => containerMount(mount, directory)),
        ...hiddenPaths(cwd, options.hide).map((name) =>
          cover(posix.join(cwd, name), { dest: posix.join(workdir, name), directory })
        ),
      ],
      limits: options.limits,
      network: networkOf(options),
      ...(options.gpus !== undefined && { gpus: options.gpus }),
      files,
      forwards,
      ports: transport === "tcp" ? portsAndSockets() : [],
      ...(options.result && { result: options.result }),
    };
    if (options.explain) {
      writeStdout(JSON.stringify(kernel, null, 2) + "\n");
      return 0; // the keeper removes the directory
    }
    return await execContainerKernel(engine, { ...kernel, kept, keeper }, host);
  } catch (error) {
    removeTree(directory);
    keeper.dismiss();
    throw error;
  }
}

/** Where the launch's directory is made. From its name kernel gc sees later that its maker is dead. */
function privateParent(env: Host["env"], name: string): string {
  const fits = (path: string) => encodeOs(`${path}/${name}`).length + SOCKET <= SUN_PATH;
  return privateParents(env).find((path) => fits(path) && mayMakeIn(path)) ?? "/tmp";
}

/** A runtime directory may be that of the user who became this one. */
function mayMakeIn(path: string): boolean {
  if (hostFs.stat(path) !== "directory") return false;
  const { uid, mode } = Deno.statSync(path);
  return Deno.uid() === 0 || ((mode ?? 0) & (uid === Deno.uid() ? 0o200 : 0o002)) !== 0;
}

/** The kernel's own variables. What the host says of its programs and its user's home is not so in an image. */
function imageEnvironment(options: KernelLaunchOptions, host: Host): Record<string, string> {
  const { PATH: _path, HOME: _home, SHELL: _shell, ...env } = host.env;
  const { HOME: _, ...variables } = kernelEnvironment({ ...options, env: [] }, { ...host, env });
  for (const { name, value } of options.env) {
    const given = value ?? host.env[name];
    if (given !== undefined) variables[name] = given;
  }
  return variables;
}

function networkOf(options: KernelLaunchOptions): "none" | "host" | "bridge" {
  if (options.network.allow.length > 0) {
    throw new CordonError("--allow is not possible for a kernel in a container", {
      why: "the engine has no such network",
      hint: "use --network auto (the engine's bridge), or the namespaces engine",
    });
  }
  return options.network.mode === "none" ? "none" : options.network.mode === "host" ? "host" : "bridge";
}

function containerMount(mount: Mount, directory: string): ContainerMount {
  const real = hostFs.realpath(mount.source!);
  if (typeof real !== "string") {
    throw new CordonError(`Mount source ${mount.source} cannot be used`, {
      why: "there is no such file or directory",
    });
  }
  const source = mount.kind === "copy" ? copied(real, directory) : real;
  return { source, dest: mount.dest, readOnly: mount.readOnly };
}

/** A copy in the launch's private directory, which goes with it. */
function copied(source: string, directory: string): string {
  const place = `${directory}/copy-${crypto.randomUUID()}`;
  const args = ["-RP", "--preserve=mode,timestamps,links", "--", source, place];
  const { success, stderr } = new Deno.Command("cp", { args, stdout: "null", stderr: "piped" }).outputSync();
  if (!success) {
    throw new CordonError(`Cannot copy ${source}`, { why: new TextDecoder().decode(stderr).trim() });
  }
  return place;
}

/** Something empty of the same type over what is not to be seen. */
function cover(source: string, { dest, directory }: { dest: string; directory: string }): ContainerMount {
  const empty = `${directory}/empty-${crypto.randomUUID()}`;
  if (hostFs.stat(source) === "directory") Deno.mkdirSync(empty, { mode: 0o555 });
  else Deno.writeFileSync(empty, new Uint8Array(), { createNew: true, mode: 0o444 });
  return { source: empty, dest, readOnly: true };
}
