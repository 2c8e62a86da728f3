/** Finding the Python that runs a kernel, by asking the candidates themselves. */
import { basename, join } from "node:path";
import { shellQuote } from "../cli/completions/common.ts";
import { CordonError, reasonOf } from "../errors.ts";
import type { JupyterFacts } from "./paths.ts";
import { parseAnswer, PROBE, type PythonAnswer } from "./probe.ts";

/** A healthy Python answers in a tenth of a second; one on a cold network file system takes a while. */
const PATIENCE_MS = 60_000;

/** Whether a program's name is a Python's. */
export function isPythonName(program: string): boolean {
  return /^(python|pypy)[\d.]*$/.test(basename(program));
}

const answers = new Map<string, PythonAnswer>();

/**
 * Asks one Python what it is made of; each one once.
 * @throws CordonError when it cannot be started or fails, with what it said
 */
export function askPython(python: string): PythonAnswer {
  const answer = answers.get(python) ?? ask(python);
  answers.set(python, answer);
  return answer;
}

function ask(python: string): PythonAnswer {
  const what = `${python} cannot be used`;
  let output: Deno.CommandOutput;
  try {
    output = new Deno.Command("timeout", {
      args: [String(PATIENCE_MS / 1000), python, "-I", "-c", PROBE],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).outputSync();
  } catch (cause) {
    throw new CordonError(what, { why: reasonOf(cause), cause });
  }
  if (!output.success) {
    const said = new TextDecoder().decode(output.stderr).trim().split("\n").at(-1);
    const why = output.code === 124
      ? `it did not answer within ${PATIENCE_MS / 1000} s`
      : `it ended with status ${output.code}${said ? `: ${said}` : ""}`;
    throw new CordonError(what, { why });
  }
  return parseAnswer(new TextDecoder().decode(output.stdout), python);
}

/** The executables of these names on a search path, in its order. */
export function onPath(names: readonly string[], path: string): string[] {
  return path.split(":").filter((directory) => directory.startsWith("/"))
    .flatMap((directory) => names.map((name) => join(directory, name))).filter(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(file);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch (error) {
    // What cannot be looked at cannot be started either.
    if (error instanceof Error) return false;
    throw error;
  }
}

/**
 * The first python3 on the path that has ipykernel.
 * @throws CordonError when there is none, with the command that installs it into the first
 */
export function findPython(path: string): PythonAnswer {
  let first: PythonAnswer | undefined;
  const asked = new Set<string>();
  for (const candidate of onPath(["python3", "python"], path)) {
    let answer: PythonAnswer;
    try {
      answer = askPython(candidate);
    } catch (error) {
      // A shim that finds nothing behind it, a Python 2: not the one that is looked for.
      if (error instanceof CordonError) continue;
      throw error;
    }
    if (asked.has(answer.executable)) continue;
    asked.add(answer.executable);
    if (answer.ipykernel !== undefined) return answer;
    first ??= answer;
  }
  if (first) throw withoutIpykernel(first);
  throw new CordonError("There is no Python 3 on PATH", { why: `looked in ${path}` });
}

/** Refuses a Python in which no kernel can run. */
export function withoutIpykernel(python: PythonAnswer): CordonError {
  return new CordonError(`Python ${python.executable} has no ipykernel`, {
    why: "ipykernel is the package that makes a Jupyter kernel of it",
    hint: python.managed
      ? `${
        plain(python.executable)
      } -m venv ~/kernel && ~/kernel/bin/pip install ipykernel, then --python ~/kernel/bin/python3`
      : `${plain(python.executable)} -m pip install ipykernel`,
  });
}

/** A path as a shell reads it, without quotes where it needs none. */
function plain(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : shellQuote(path);
}

/** What is known of Jupyter here. The Python on the path stands for the one Jupyter runs on. */
export function jupyterFacts(host: { uid: number; home: string; env: JupyterFacts["env"] }): JupyterFacts {
  const { uid, home, env } = host;
  for (const candidate of onPath(["python3"], env["PATH"] ?? "")) {
    try {
      const { prefix, basePrefix, owner } = askPython(candidate);
      return { uid, home, env, python: { prefix, basePrefix, owner } };
    } catch (error) {
      // A shim with nothing behind it; without any Python there is no environment of one.
      if (!(error instanceof CordonError)) throw error;
    }
  }
  return { uid, home, env };
}
