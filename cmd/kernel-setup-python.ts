/** Which Python of an image runs the kernel, found by asking it there. Loaded for `kernel setup --image` alone. */
import { posix } from "node:path";
import { runContainer } from "../lib/docker/lifecycle.ts";
import { EngineError } from "../lib/docker/errors.ts";
import type { Engine } from "../lib/docker/system.ts";
import { closedContainer } from "../lib/engine/docker/kernel-config.ts";
import { CordonError, EXIT } from "../lib/errors.ts";
import type { Host } from "../lib/host/host.ts";
import { isIpykernel } from "../lib/jupyter/kernelspec.ts";
import { toMounts } from "../lib/jupyter/mounts.ts";
import { parseAnswer, PROBE, type PythonAnswer } from "../lib/jupyter/probe.ts";
import { IMAGE_PYTHON, type KernelProgram } from "../lib/jupyter/program.ts";
import type { KernelSetupOptions } from "./kernel-setup.options.ts";

/** An image may have to be unpacked first. */
const PATIENCE_MS = 60_000;

export interface AskedImage {
  engine: Engine;
  image: string;
  host: Host;
}

export interface Asked {
  program: KernelProgram;
  /** Why nothing could be found out. */
  doubt?: string;
}

/**
 * The program with the image's Python in it: the one asked for, else {@link IMAGE_PYTHON}, else the python3 on the
 * image's PATH.
 * @throws CordonError when the image has none, or none with ipykernel
 */
export async function pythonOfImage(
  program: KernelProgram,
  options: KernelSetupOptions,
  at: AskedImage,
): Promise<Asked> {
  const request = options.program;
  if (request.kind === "command" || !isIpykernel(program.argv)) return { program };
  const candidates = request.python === undefined ? [IMAGE_PYTHON, "python3"] : [request.python];
  const found: PythonAnswer[] = [];
  for (const candidate of candidates) {
    try {
      const answer = await ask(candidate, options, at);
      if (answer) found.push(answer);
    } catch (error) {
      if (!(error instanceof CordonError)) throw error;
      return { program, doubt: [error.message, error.why].filter(Boolean).join(": ") };
    }
    if (found.at(-1)?.ipykernel !== undefined) break;
  }
  const answer = found.at(-1), typed = options.sandbox.image;
  if (answer?.ipykernel !== undefined) return { program: withPython(program, answer) };
  if (answer) {
    throw new CordonError(`Python ${answer.executable} of image ${typed} has no ipykernel`, {
      why: "ipykernel is the package that makes a Jupyter kernel of it",
      hint: `printf 'FROM ${typed}\\nRUN ${answer.executable} -m pip install ipykernel\\n' | ` +
        `${at.engine.name} build -t kernel -`,
    });
  }
  throw new CordonError(`Image ${typed} has no ${candidates.join(" and no ")}`, {
    why: "Python with ipykernel has to be in the image",
    ...(request.python === undefined && { hint: "name it with --python PATH" }),
  });
}

function withPython(program: KernelProgram, answer: PythonAnswer): KernelProgram {
  return {
    ...program,
    argv: [answer.executable, ...program.argv.slice(1)],
    metadata: { ...program.metadata, debugger: answer.debugpy },
  };
}

/** What this Python says inside the image, with the kernel's mounts; undefined when it is not there. */
async function ask(
  python: string,
  { sandbox }: KernelSetupOptions,
  { engine, image, host }: AskedImage,
): Promise<PythonAnswer | undefined> {
  const cwd = host.cwd ?? "/";
  const said: Record<"stdout" | "stderr", Uint8Array[]> = { stdout: [], stderr: [] };
  const take = (stream: keyof typeof said) => (bytes: Uint8Array) => void said[stream].push(bytes);
  const text = (stream: keyof typeof said) =>
    said[stream].map((bytes) => new TextDecoder().decode(bytes)).join("");
  const shell = await closedContainer(engine, host, {
    image,
    network: "none",
    tmpBytes: sandbox.limits.tmpBytes,
    mounts: toMounts(sandbox.mounts, { cwd, home: host.home }).map(({ source, dest }) => ({
      source: posix.resolve(cwd, source ?? ""),
      dest,
      readOnly: true,
    })),
  });
  const env = [
    "HOME=/tmp",
    ...sandbox.env.flatMap(({ name, value }) => value === undefined ? [] : `${name}=${value}`),
  ];
  let exitCode: number;
  try {
    ({ exitCode } = await runContainer(
      engine,
      { ...shell, Entrypoint: [python], Cmd: ["-c", PROBE], Env: env, WorkingDir: "/" },
      {
        streams: { stdout: take("stdout"), stderr: take("stderr") },
        signal: AbortSignal.timeout(PATIENCE_MS),
      },
    ));
  } catch (error) {
    if (error instanceof EngineError && error.exit === EXIT.notFound) return undefined;
    if (error instanceof DOMException) throw new CordonError(`${python} did not answer`, { cause: error });
    throw error;
  }
  if (exitCode === 0) return parseAnswer(text("stdout"), python);
  throw new CordonError(`${python} ended with status ${exitCode}`, {
    why: text("stderr").trim().split("\n").at(-1),
  });
}
