/** From the program asked for to the command line of a kernel, and what of the host that needs to see. */
import { basename, dirname, join } from "node:path";
import { nearest } from "../cli/suggest.ts";
import { CordonError, UsageError } from "../errors.ts";
import {
  findKernelspecs,
  ipykernelArgv,
  isCordons,
  isIpykernel,
  type Kernelspec,
  withMemoryHistory,
} from "./kernelspec.ts";
import { absolute } from "./mounts.ts";
import { needsOf } from "./needs.ts";
import type { PythonAnswer } from "./probe.ts";
import { askPython, findPython, isPythonName, onPath, withoutIpykernel } from "./python.ts";
import { type Visible, visibleForPython } from "./visible.ts";
import { isObject } from "../host/json.ts";

/** The program of a kernel as asked for. */
export type ProgramRequest =
  /** ipykernel of this Python; of the one that is found when absent. */
  | { kind: "python"; python?: string }
  /** Program and arguments; one holds `{connection_file}`. */
  | { kind: "command"; argv: string[] }
  /** What this kernelspec starts, with another Python if one is named. */
  | { kind: "kernelspec"; name: string; python?: string };

export interface KernelProgram {
  argv: string[];
  /** Empty when nothing tells it. */
  language: string;
  /** Of the original, without a word on isolation; empty when nothing tells it. */
  displayName: string;
  interruptMode: string;
  metadata: Record<string, unknown>;
  /** Variables of the kernelspec, `${NAME}` in them for Jupyter to fill in. */
  env: Record<string, string>;
  /** Directory with logos and other files that belong to the kernelspec. */
  resources?: string;
  visible: Visible;
  /** The Python that was asked, if it is one. */
  python?: PythonAnswer;
}

export interface ProgramFacts {
  /** The program runs in a container: nothing of the host is looked at. */
  container: boolean;
  /** PATH */
  path: string;
  cwd: string;
  home: string;
  /** Directories of kernelspecs, in Jupyter's order. */
  kernelDirectories: readonly string[];
}

/** Where images of Jupyter's own family have it (the original's default). */
export const IMAGE_PYTHON = "/opt/conda/bin/python3";

const NOTHING: Visible = { paths: [], withheld: [] };
const PLAIN = { interruptMode: "signal", env: {}, metadata: {}, displayName: "", language: "" };

/** @throws CordonError for a program that is not there or is no kernel */
export function resolveProgram(request: ProgramRequest, facts: ProgramFacts): KernelProgram {
  switch (request.kind) {
    case "python":
      return pythonKernel(request.python, facts);
    case "command":
      return { ...PLAIN, ...locate(request.argv, facts) };
    case "kernelspec":
      return wrap(request, facts);
  }
}

function pythonKernel(python: string | undefined, facts: ProgramFacts): KernelProgram {
  const common = { ...PLAIN, displayName: "Python 3", language: "python" };
  if (facts.container) {
    return { ...common, argv: ipykernelArgv(python ?? IMAGE_PYTHON), visible: NOTHING };
  }
  const answer = python === undefined ? findPython(facts.path) : askPython(findProgram(python, facts));
  if (answer.ipykernel === undefined) throw withoutIpykernel(answer);
  return {
    ...common,
    argv: ipykernelArgv(answer.executable),
    metadata: { debugger: answer.debugpy },
    visible: visibleForPython(answer, facts.home),
    python: answer,
  };
}

function wrap(request: { name: string; python?: string }, facts: ProgramFacts): KernelProgram {
  const spec = findKernelspec(request.name, facts.kernelDirectories);
  // Jupyter knows a python3 even where no kernelspec says so.
  if (!spec) return pythonKernel(request.python, facts);
  const { json } = spec;
  refuseForeignProvisioner(spec);
  const { kernel_provisioner: _, ...metadata } = json.metadata ?? {};
  return {
    ...locate(withMemoryHistory(withPython(spec, request.python, facts)), facts),
    language: json.language,
    displayName: json.display_name,
    interruptMode: json.interrupt_mode ?? "signal",
    env: json.env ?? {},
    metadata,
    resources: spec.directory,
  };
}

function findKernelspec(name: string, directories: readonly string[]): Kernelspec | undefined {
  const broken: unknown[] = [];
  const specs = findKernelspecs(directories, (error) => broken.push(error));
  const spec = specs.find((spec) => spec.name === name);
  if (spec && isCordons(spec.json)) {
    throw new CordonError(`Kernel ${name} is isolated already`, {
      why: `cordon made it (${spec.directory})`,
      hint: "cordon kernel list",
    });
  }
  if (spec) return spec;
  if (broken.length > 0) throw broken[0];
  if (name === "python3") return undefined;
  const meant = nearest(name, specs.map((spec) => spec.name));
  throw new CordonError(`There is no kernel ${name}`, {
    why: meant ? `Did you mean ${meant}?` : `looked in ${directories.join(", ")}`,
  });
}

/** A provisioner of its own starts the kernel elsewhere (a cluster, say), where this sandbox cannot be. */
function refuseForeignProvisioner({ name, json }: Kernelspec): void {
  const provisioner = json.metadata?.["kernel_provisioner"];
  const kind = isObject(provisioner) ? provisioner["provisioner_name"] : undefined;
  if (kind === undefined || kind === "local-provisioner") return;
  throw new CordonError(`Kernel ${name} cannot be isolated`, { why: `it is started by ${kind}` });
}

/** The argv of a kernelspec with its Python made definite. */
function withPython(spec: Kernelspec, python: string | undefined, facts: ProgramFacts): string[] {
  const [program = "", ...rest] = spec.json.argv;
  if (!isPythonName(program)) {
    if (python === undefined) return [program, ...rest];
    throw new UsageError(`Option --python does not fit kernel ${spec.name}`, { why: `It runs ${program}` });
  }
  if (facts.container) return [python ?? IMAGE_PYTHON, ...rest];
  if (python !== undefined) return [findProgram(python, facts), ...rest];
  // Jupyter takes a bare name for the Python it runs on, which is the one whose prefix holds the kernelspec.
  if (program.includes("/")) return [program, ...rest];
  const prefix = dirname(dirname(dirname(dirname(spec.directory)))); // of PREFIX/share/jupyter/kernels/NAME
  return [onPath([program], join(prefix, "bin"))[0] ?? program, ...rest];
}

/** A command line with its program's place in the file system, and what that needs. */
function locate(
  [first = "", ...rest]: string[],
  facts: ProgramFacts,
): Pick<KernelProgram, "argv" | "visible" | "python"> {
  if (facts.container) return { argv: [first, ...rest], visible: NOTHING };
  const program = findProgram(first, facts);
  if (!isPythonName(program)) {
    return { argv: [program, ...rest], visible: needsOf([program, ...rest], facts) };
  }
  const python = askPython(program);
  const argv = [python.executable, ...rest];
  if (isIpykernel(argv) && python.ipykernel === undefined) throw withoutIpykernel(python);
  return { argv, visible: needsOf(argv, { ...facts, python }), python };
}

/** An absolute path for a program named as in a shell. */
function findProgram(name: string, facts: ProgramFacts): string {
  if (name.includes("/") || name === "~") return absolute(name, facts);
  const found = onPath([name], facts.path)[0];
  if (found !== undefined) return found;
  throw new CordonError(`Program ${basename(name)} is not on PATH`, { why: `looked in ${facts.path}` });
}
