/** What a kernel's command line needs to see of the host, found by looking at its programs. */
import { basename } from "node:path";
import { CordonError } from "../errors.ts";
import { hostFs } from "../host/fs.ts";
import type { Place, Prefix, PythonAnswer } from "./probe.ts";
import { askPython, isPythonName, onPath } from "./python.ts";
import { prefixOf, together, type Visible, visibleForProgram, visibleForPython } from "./visible.ts";

export interface NeedsFacts {
  home: string;
  /** PATH */
  path: string;
  /** The program itself, when it is a Python that was asked already. */
  python?: PythonAnswer;
}

/** argv[0] is an absolute path. */
export function needsOf(argv: readonly string[], facts: NeedsFacts): Visible {
  const [program = "", ...rest] = argv;
  const named = rest.flatMap(pathsIn).map(placeOf).filter((place) => place !== undefined);
  if (facts.python) {
    const parts = visibleForProgram(placeAt(facts.python.executable), { home: facts.home, arguments: named });
    return together(visibleForPython(facts.python, facts.home), parts);
  }
  const parts = [programNeeds(program, named, facts)];
  const interpreter = interpreterOf(program, facts.path);
  if (interpreter !== undefined) {
    parts.push(
      isPythonName(interpreter)
        ? visibleForPython(askPython(interpreter), facts.home)
        : programNeeds(interpreter, [], facts),
    );
  }
  if (basename(program) === "R") parts.push(programNeeds(program, rLibraries(program), facts));
  return together(...parts);
}

function programNeeds(program: string, named: readonly Place[], { home }: NeedsFacts): Visible {
  const place = placeOf(program);
  if (!place) throw new CordonError(`Program ${program} cannot be used`, { why: "there is no such file" });
  // The prefix of the real file: the name may be a link somewhere on PATH.
  const prefix = prefixOf(place.real);
  return visibleForProgram(place, {
    home,
    ...(prefix !== undefined && { prefix: prefixAt(prefix) }),
    arguments: named,
  });
}

/** Absolute paths in an argument: the whole of it, or what follows an equals sign. */
function pathsIn(word: string): string[] {
  return [word, word.slice(word.indexOf("=") + 1)].filter((text) => text.startsWith("/"));
}

function placeOf(path: string): Place | undefined {
  const real = hostFs.realpath(path);
  if (typeof real !== "string") return undefined;
  return { path, real, directory: hostFs.stat(real) === "directory" };
}

function placeAt(path: string): Place {
  return placeOf(path) ?? { path, real: path, directory: false };
}

function prefixAt(path: string): Prefix {
  return { path, real: path, entries: Array.from(Deno.readDirSync(path), ({ name }) => name) };
}

/** The interpreter that the first line of a script names (execve(2)); undefined for other files. */
function interpreterOf(program: string, path: string): string | undefined {
  using file = Deno.openSync(program);
  const bytes = new Uint8Array(256);
  const text = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
  const words = /^#![ \t]*([^\n]*)/.exec(text)?.[1]?.trim().split(/[ \t]+/) ?? [];
  const [first, ...rest] = words;
  if (first === undefined || basename(first) !== "env") return first;
  const name = rest.find((word) => !word.startsWith("-"));
  return name === undefined ? undefined : onPath([name], path)[0];
}

/** R's libraries, the user's own among them: R decides where they are. */
function rLibraries(program: string): Place[] {
  const output = new Deno.Command(program, {
    args: ["--slave", "--no-restore", "-e", "cat(.libPaths(), sep = '\\n')"],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).outputSync();
  if (!output.success) {
    const said = new TextDecoder().decode(output.stderr).trim();
    throw new CordonError(`${program} does not tell where its libraries are`, { why: said });
  }
  return new TextDecoder().decode(output.stdout).split("\n").filter((line) => line.startsWith("/"))
    .map(placeOf).filter((place) => place !== undefined);
}
