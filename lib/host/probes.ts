/** Tries on this machine what the checks ask for. Leaves nothing behind. */

import { MFD, W_OK } from "../../ffi/constants.ts";
import { errnoName } from "../../ffi/errno.ts";
import { lastErrno, libc, memfdCreate } from "../../ffi/libc.ts";
import { imageOf } from "../engine/namespaces/engine.ts";
import { CordonError, EXIT, render } from "../errors.ts";
import { writeImage } from "../shim/image.ts";
import { runBeside } from "../shim/run.ts";
import { userOf } from "../spec/defaults.ts";
import type { Spec } from "../spec/spec.ts";
import { cString } from "./bytes.ts";
import { realCgroupSystem } from "./cgroups.ts";
import type { Host } from "./host.ts";
import { type Failure, type StepId, stepProgram } from "./steps.ts";

/** What checks may ask; tests answer with recordings. A failure is a value here: it is what doctor looks for. */
export interface Probes {
  /** Takes the steps for real, in a process of its own. */
  steps(steps: readonly StepId[]): Failure | undefined;
  /** Makes a sandbox as `cordon isolate` does by default; what it says where that fails. */
  sandbox(): string | undefined;
  /** Executes a program from memory. */
  memfd(): Failure | undefined;
  /** Executes a program from a private directory below `directory`. */
  fileExec(directory: string): Failure | undefined;
  /** Writes a file of a few KB into the directory and removes it. */
  write(directory: string): Failure | undefined;
  /** Path of a program on PATH. */
  which(program: string): string | undefined;
  /** A device or socket that may be opened for writing. */
  usable(path: string): Failure | undefined;
}

export function realProbes(host: Host): Probes {
  const { uid, gid, arch } = host;
  const image = (steps: readonly StepId[]) => writeImage(stepProgram(arch, steps, { uid, gid }));
  return {
    steps(steps) {
      const bytes = image(steps);
      const inMemory = runFromMemory(bytes);
      // Where memory cannot be executed the steps are still worth trying: cordon falls back to a file as well.
      return inMemory?.step === "memfd" ? runFromFile(bytes, temporary(host)) : inMemory;
    },
    sandbox: () => makeSandbox(host),
    memfd: () => runFromMemory(image([])),
    fileExec: (directory) => runFromFile(image([]), directory),
    write: (directory) => tryWriting(directory),
    which: (program) => realCgroupSystem.which(program),
    usable(path) {
      return libc().access(cString(path), W_OK) === 0
        ? undefined
        : { step: path, errno: errnoName(lastErrno()) };
    },
  };
}

/** The default Spec, with a target that is in no sandbox: all of the set-up is done, and nothing is run. */
function makeSandbox(host: Host): string | undefined {
  const spec: Spec = {
    command: ["cordon-check"],
    env: {},
    workdir: { path: "/", required: true },
    user: userOf(host, host.user),
    mapRoot: false,
    hostname: "cordon",
    root: { assembleAt: "/tmp", etc: true },
    mounts: [],
    network: { mode: "none", allow: [] },
    limits: { tmpBytes: 16 << 20, bestEffort: false },
    keepFds: [],
    rawStdio: false,
    nested: false,
    verbose: false,
  };
  try {
    const { status, said } = runBeside(imageOf(spec, host));
    return status === EXIT.notFound ? undefined : said || `status ${status}`;
  } catch (error) {
    if (!(error instanceof CordonError)) throw error;
    return render(error);
  }
}

function temporary(host: Host): string {
  return host.env["XDG_RUNTIME_DIR"] ?? "/tmp";
}

function runFromMemory(image: Uint8Array<ArrayBuffer>): Failure | undefined {
  const name = cString("cordon-check");
  const flags = MFD.CLOEXEC | MFD.ALLOW_SEALING;
  let fd = memfdCreate(name, flags | MFD.EXEC);
  // Before Linux 6.3 there is no MFD_EXEC, and no need for it.
  if (fd < 0 && errnoName(lastErrno()) === "EINVAL") fd = memfdCreate(name, flags);
  if (fd < 0) return { step: "memfd", errno: errnoName(lastErrno()) };
  try {
    for (let rest = image; rest.length > 0;) {
      const written = Number(libc().write(fd, rest, BigInt(rest.length)));
      if (written < 0) return { step: "memfd", errno: errnoName(lastErrno()) };
      rest = rest.subarray(written);
    }
    return run(`/proc/self/fd/${fd}`, "memfd");
  } finally {
    libc().close(fd);
  }
}

function runFromFile(image: Uint8Array, parent: string): Failure | undefined {
  let directory: string;
  try {
    directory = Deno.makeTempDirSync({ dir: parent, prefix: "cordon-" });
  } catch (error) {
    return { step: "file", errno: reason(error) };
  }
  try {
    Deno.writeFileSync(`${directory}/check`, image, { createNew: true, mode: 0o700 });
    return run(`${directory}/check`, "file");
  } catch (error) {
    return { step: "file", errno: reason(error) };
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Runs a step program: status 0, or a step on stdout and its errno as the status. */
function run(path: string, how: string): Failure | undefined {
  let output: Deno.CommandOutput;
  try {
    output = new Deno.Command(path, { stdin: "null", stdout: "piped", stderr: "null", clearEnv: true })
      .outputSync();
  } catch (error) {
    return { step: how, errno: reason(error) };
  }
  if (output.code === 0) return undefined;
  const step = new TextDecoder().decode(output.stdout);
  if (step === "") return { step: how, errno: output.signal ?? `status ${output.code}` };
  return { step, errno: errnoName(output.code) };
}

function tryWriting(directory: string): Failure | undefined {
  let file: string | undefined;
  try {
    file = Deno.makeTempFileSync({ dir: directory, prefix: ".cordon-" });
    Deno.writeFileSync(file, new Uint8Array(4096).fill(0x20));
    return undefined;
  } catch (error) {
    return { step: directory, errno: reason(error) };
  } finally {
    if (file !== undefined) Deno.removeSync(file);
  }
}

/** The errno's name where the runtime passes it on, else its own words. */
function reason(error: unknown): string {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  if (typeof code === "string") return code;
  return error instanceof Error ? error.message : String(error);
}
