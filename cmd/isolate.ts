/** `cordon isolate`: from its options to a Spec, and into the sandbox. */
import { posix } from "node:path";
import type { CommandContext } from "../lib/cli/command.ts";
import { CordonError, EXIT, reasonOf } from "../lib/errors.ts";
import { explainNamespaces, imageOf, namespaces } from "../lib/engine/namespaces/engine.ts";
import { resultPlace, tellFailure } from "../lib/engine/namespaces/result.ts";
import { exposesHome } from "../lib/engine/namespaces/root.ts";
import { encodeOs } from "../lib/host/bytes.ts";
import { hostFs } from "../lib/host/fs.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import { insideEnvironment, userOf } from "../lib/spec/defaults.ts";
import { type MountContext, parseMountJson, parseMountList } from "../lib/spec/mounts.ts";
import type { Mount, Spec } from "../lib/spec/spec.ts";
import type { IsolateOptions, MountArgument } from "./isolate.options.ts";
import type { IsolateShOptions } from "./legacy/isolate-sh.options.ts";

const HOSTNAME = "cordon";
/** Directory the root is assembled over when nothing else is said. It only has to exist. */
const ASSEMBLE_AT = "/tmp";

export async function run(options: IsolateOptions, context: CommandContext): Promise<number> {
  if (options.action.kind === "check") {
    const doctor = await import("./doctor.ts");
    return doctor.run({ json: false }, context);
  }
  try {
    return await isolate(options);
  } catch (error) {
    if (options.result && options.action.kind === "run") tellFailure(options.result);
    throw error;
  }
}

async function isolate(options: IsolateOptions): Promise<number> {
  const host = gatherHost();
  const spec = toSpec(options, host);
  if (options.seccompFile !== undefined) spec.seccomp = await readProfile(options.seccompFile, host);
  switch (options.action.kind) {
    case "explain":
      write(explainSpec(spec) + explainNamespaces(spec, host));
      return 0;
    case "emit":
      emit(options.action.file, imageOf(spec, host));
      return 0;
    default:
      warnAboutHome(spec);
      return namespaces.exec(spec, host);
  }
}

/** The old command: its mounts and defaults, everything else as it is everywhere. */
export async function runIsolateSh(options: IsolateShOptions, context: CommandContext): Promise<number> {
  const host = gatherHost();
  const spec = isolateShSpec(options, host, context.env);
  if (!options.quiet) {
    write(`${host.user} in ${spec.workdir.path}\n`);
    if (options.command.length > 0) write(`running command ${options.command.join(" ")}\n`);
  }
  return await Promise.resolve(namespaces.exec(spec, host));
}

/** The Spec of `cordon isolate`'s options. No I/O. */
export function toSpec(options: IsolateOptions, host: Host): Spec {
  const cwd = workingDirectory(host);
  const { user, home, shell } = host;
  const places: MountContext = { cwd, home };
  return {
    command: commandOr(options.command, [usableShell(shell)]),
    env: insideEnvironment(host, { add: options.env, keep: options.keepEnv, everything: false }),
    workdir: options.workdir === undefined
      ? { path: cwd, required: false }
      : { path: posix.resolve(cwd, options.workdir), required: true },
    user: userOf(host, user),
    mapRoot: options.mapRoot,
    hostname: options.hostname ?? HOSTNAME,
    root: { assembleAt: posix.resolve(cwd, options.baseDir ?? ASSEMBLE_AT), etc: true },
    mounts: [...(options.sys ? [SYS] : []), ...options.mounts.flatMap((m) => parseArgument(m, places))],
    network: { mode: options.network, allow: options.allow },
    limits: options.limits,
    keepFds: options.keepFds.filter((fd) => fd > 2),
    rawStdio: options.rawStdio,
    nested: options.nested,
    ...(options.result && { result: resultPlace(options.result, cwd) }),
    verbose: options.verbose,
  };
}

const SYS: Mount = {
  dest: "/sys",
  source: "/sys",
  kind: "bind",
  readOnly: true,
  devices: false,
  optional: false,
};

/** The Spec of `isolate.sh`'s command line: no /etc, whole environment, a lone argument is a line for a shell. */
function isolateShSpec(options: IsolateShOptions, host: Host, env: Record<string, string>): Spec {
  const cwd = workingDirectory(host);
  const [first, ...rest] = options.command;
  const command = first === undefined || rest.length > 0
    ? commandOr(options.command, [usableShell(host.shell)])
    : [hostFs.stat("/bin/bash") === "file" ? "/bin/bash" : "/bin/sh", "-c", "--", first];
  return {
    command,
    env: insideEnvironment({ ...host, env }, { add: [], keep: [], everything: true }),
    workdir: { path: cwd, required: true },
    user: userOf(host, host.user),
    mapRoot: false,
    hostname: HOSTNAME,
    root: { assembleAt: posix.resolve(cwd, options.baseDir ?? ASSEMBLE_AT), etc: false },
    mounts: parseMountList(options.mounts, { cwd, home: host.home }),
    network: { mode: options.network, allow: [] },
    limits: { tmpBytes: options.tmpBytes, bestEffort: false },
    keepFds: [],
    rawStdio: false,
    nested: false,
    verbose: options.verbose,
  };
}

/** What to run; an empty name is found nowhere, and PATH must not be asked for it. */
function commandOr(command: string[], otherwise: string[]): string[] {
  if (command[0] === "") throw new CordonError("The program's name is empty", { exit: EXIT.notFound });
  return command.length > 0 ? command : otherwise;
}

function parseArgument(mount: MountArgument, places: MountContext): Mount[] {
  return "json" in mount ? [parseMountJson(mount.json, places)] : parseMountList(mount.list, places);
}

function workingDirectory(host: Host): string {
  if (host.cwd === undefined) {
    throw new CordonError("The current directory has no name", {
      why: "it was deleted, or it lies outside this process's root",
      hint: "cd ~",
    });
  }
  return host.cwd;
}

/** Accounts without a login have a shell that refuses. */
function usableShell(shell: string): string {
  return /\/(nologin|false)$/.test(shell) ? "/bin/sh" : shell;
}

async function readProfile(file: string, host: Host): Promise<Uint8Array> {
  const { ociFilter, parseProfile } = await import("../lib/engine/namespaces/seccomp-oci.ts");
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (cause) {
    throw new CordonError(`Seccomp profile ${file} cannot be read`, { why: reasonOf(cause), cause });
  }
  return ociFilter(parseProfile(text, file), host.arch, { kernelRelease: host.kernel.release });
}

function explainSpec(spec: Spec): string {
  const { seccomp, ...rest } = spec;
  const shown = seccomp ? { ...rest, seccomp: `${seccomp.length / 8} instructions` } : rest;
  return JSON.stringify(shown, null, 2) + "\n\n";
}

/** Saved beside its name and renamed into place: never half written. */
function emit(file: string, image: Uint8Array): void {
  const beside = `${file}.${crypto.randomUUID()}`;
  try {
    Deno.writeFileSync(beside, image, { createNew: true, mode: 0o755 });
    Deno.chmodSync(beside, 0o755);
    Deno.renameSync(beside, file);
  } catch (cause) {
    try {
      Deno.removeSync(beside);
    } catch { /* it was not made: the failure told below says why */ }
    throw new CordonError(`Sandbox cannot be saved as ${file}`, { why: reasonOf(cause), cause });
  }
}

function warnAboutHome(spec: Spec): void {
  const mount = exposesHome(spec, hostFs);
  if (!mount) return;
  const text =
    `cordon: warning: ${hostFs.realpath(mount.source!)} is writable inside and holds the home directory\n` +
    "what runs inside can change ~/.bashrc and other files that run outside later\n";
  Deno.stderr.writeSync(encodeOs(text));
}

function write(text: string): void {
  let bytes: Uint8Array = encodeOs(text);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}
