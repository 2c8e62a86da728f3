/** `cordon kernel setup`: finds what the kernel needs and writes its kernelspec. */
import { dirname, resolve } from "node:path";
import { buildInfo } from "../lib/buildinfo.ts";
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import type { EnvArgument } from "../lib/cli/values.ts";
import { CordonError } from "../lib/errors.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import { composeKernelJson } from "../lib/jupyter/compose.ts";
import { ownExecutable } from "../lib/jupyter/executable.ts";
import { installKernelspec } from "../lib/jupyter/install.ts";
import { transportFor } from "../lib/jupyter/launch.ts";
import { absolute, type HostMount, readOnlyArguments } from "../lib/jupyter/mounts.ts";
import { installDirectory, type JupyterFacts, kernelDirectories } from "../lib/jupyter/paths.ts";
import { type KernelProgram, resolveProgram } from "../lib/jupyter/program.ts";
import { jupyterFacts } from "../lib/jupyter/python.ts";
import { checkKernelJson, warningsOf } from "./kernel-setup-check.ts";
import type { ChosenImage } from "./kernel-setup-image.ts";
import type { Asked } from "./kernel-setup-python.ts";
import type { KernelSetupOptions } from "./kernel-setup.options.ts";
import { currentDirectory } from "./kernel-launch.ts";

interface Setup {
  host: Host;
  cwd: string;
  program: KernelProgram;
  image: ChosenImage | undefined;
  /** Where the kernelspec goes. */
  directory: string;
}

export async function run(options: KernelSetupOptions, context: CommandContext): Promise<number> {
  const host = { ...gatherHost(), env: context.env };
  const executable = ownExecutable();
  const cwd = currentDirectory(host);
  const jupyter = jupyterFacts(host);
  const directory = placeFor(options, { jupyter, cwd, home: host.home });
  const found = resolveProgram(options.program, {
    container: options.sandbox.engine === "docker",
    path: context.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
    cwd,
    home: host.home,
    kernelDirectories: kernelDirectories(jupyter),
  });
  const image = await imageOf(options, host);
  const { program, doubt } = await programIn(image, options, { program: found, host });
  const setup: Setup = { host, cwd, program, image, directory };
  const json = kernelJson(options, setup, executable);
  const launch = checkKernelJson(json, host);
  const resources = program.resources === undefined ? {} : { resources: program.resources };
  const replaced = installKernelspec(directory, { json, ...resources });
  writeStdout(summary(options, setup, replaced));
  const doubts = doubt === undefined ? [] : [`the image's Python was not tried: ${doubt}`];
  for (const warning of [...doubts, ...warningsOf(launch, { host, program, executable })]) {
    writeStderr(`cordon: warning: ${warning}\n`);
  }
  return 0;
}

async function imageOf(options: KernelSetupOptions, host: Host): Promise<ChosenImage | undefined> {
  if (options.sandbox.image === undefined) return undefined;
  const { chooseImage } = await import("./kernel-setup-image.ts");
  return await chooseImage(options, host);
}

/** The program, with the image's own Python in it where it is one. */
async function programIn(
  image: ChosenImage | undefined,
  options: KernelSetupOptions,
  { program, host }: { program: KernelProgram; host: Host },
): Promise<Asked> {
  if (!image?.engine) return { program };
  const { pythonOfImage } = await import("./kernel-setup-python.ts");
  return await pythonOfImage(program, options, { engine: image.engine, image: image.name, host });
}

function placeFor(
  { name, scope }: KernelSetupOptions,
  { jupyter, cwd, home }: { jupyter: JupyterFacts; cwd: string; home: string },
): string {
  switch (scope.kind) {
    case "prefix":
      return installDirectory(name, { kind: "prefix", path: absolute(scope.path, { cwd, home }) }, jupyter);
    case "sys-prefix":
      if (!jupyter.python) {
        throw new CordonError("There is no Python on PATH whose prefix --sys-prefix could mean", {
          hint: "name the place with --prefix PATH",
        });
      }
      return installDirectory(name, { kind: "prefix", path: jupyter.python.prefix }, jupyter);
    default:
      return resolve(cwd, installDirectory(name, scope, jupyter));
  }
}

function kernelJson(options: KernelSetupOptions, setup: Setup, executable: string) {
  const { host, program, image } = setup;
  const { sandbox } = options;
  const language = options.language ?? program.language;
  return composeKernelJson({
    executable,
    version: buildInfo.version,
    engine: sandbox.engine,
    ...(image && { image: image.name, imageTyped: sandbox.image! }),
    program,
    ...(options.displayName !== undefined && { displayName: options.displayName }),
    language,
    mounts: mountArguments(options, setup),
    env: [...libraryPath(program, host), ...sandbox.env],
    options: [
      ...(image?.host === undefined ? [] : ["--host", image.host]),
      ...transportArguments(options, language),
      ...options.passed,
    ],
    ...(options.program.kind === "kernelspec" && { from: options.program.name }),
  });
}

/** Arguments of the launch: what the program needs to see, and what was asked for. */
function mountArguments(options: KernelSetupOptions, setup: Setup): string[] {
  const { program, directory, cwd, host } = setup;
  const needed = readOnlyArguments(program.visible.paths);
  if (program.argv.some((word) => word.includes("{resource_dir}"))) {
    needed.push(...hostMountArguments({ host: directory, dest: directory, mode: "ro" }));
  }
  const typed = options.sandbox.mounts.flatMap((mount) => {
    if ("list" in mount) return []; // among the options that are passed on
    if ("json" in mount) return ["--mount", mount.json];
    // A relative name is one of the directory setup runs in; Jupyter starts the kernel in another.
    return hostMountArguments({ ...mount, host: absolute(mount.host, { cwd, home: host.home }) });
  });
  return [...needed, ...typed];
}

function hostMountArguments({ host, dest, mode }: HostMount): string[] {
  if (!host.includes(":") && !dest.includes(":")) return ["--mount", `${host}:${dest}:${mode}`];
  return ["--mount", JSON.stringify({ dest, source: host, flags: mode === "rw" ? [] : [mode] })];
}

/** LD_LIBRARY_PATH, when the Python found libraries by it: Jupyter may run without. */
function libraryPath({ python }: KernelProgram, { env }: Host): EnvArgument[] {
  const value = env["LD_LIBRARY_PATH"];
  const directories = (value ?? "").split(":").filter((directory) => directory.startsWith("/"));
  const used = python?.libraries.some(({ path }) => directories.includes(dirname(path)));
  return value !== undefined && used ? [{ name: "LD_LIBRARY_PATH", value }] : [];
}

function transportArguments({ sandbox }: KernelSetupOptions, language: string): string[] {
  if (sandbox.transport !== "auto") return ["--transport", sandbox.transport];
  if (transportFor(language) === "ipc") return [];
  return ["--transport", "tcp"];
}

function summary(options: KernelSetupOptions, setup: Setup, replaced: boolean): string {
  const { program, image, directory } = setup;
  const { python } = program;
  const lines = [`Kernel ${options.name} ${replaced ? "replaced in" : "saved to"} ${directory}`];
  if (image) lines.push(`Image ${image.name}`);
  if (python) {
    const version = python.ipykernel ? `, ipykernel ${python.ipykernel}` : "";
    lines.push(`Python ${python.version} (${python.executable})${version}`);
  } else if (!image) lines.push(`Program ${program.argv[0]}`);
  if (program.visible.paths.length > 0) lines.push(`Read-only inside: ${program.visible.paths.join(" ")}`);
  return lines.join("\n") + "\n";
}
