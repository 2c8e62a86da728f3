import assert from "node:assert/strict";
import { composeKernelJson, type Composition } from "../../../lib/jupyter/compose.ts";
import { ipykernelArgv } from "../../../lib/jupyter/kernelspec.ts";
import { parseKernelMount, readOnlyArguments, toMounts } from "../../../lib/jupyter/mounts.ts";
import { pinnedName } from "../../../lib/jupyter/pin.ts";
import type { KernelProgram } from "../../../lib/jupyter/program.ts";
import { UsageError } from "../../../lib/errors.ts";

const PROGRAM: KernelProgram = {
  argv: ipykernelArgv("/p/bin/python3"),
  language: "python",
  displayName: "Python 3",
  interruptMode: "signal",
  metadata: { debugger: true },
  env: {},
  visible: { paths: [], withheld: [] },
};
const BASE: Composition = {
  executable: "/opt/cordon",
  version: "1",
  engine: "namespaces",
  program: PROGRAM,
  mounts: [],
  env: [],
  options: [],
};

Deno.test("the command line: launch, its options, the connection file, and the kernel behind --", () => {
  const mounts = readOnlyArguments(["/p"]);
  const json = composeKernelJson({ ...BASE, mounts, options: ["--memory", "1G"] });
  assert.deepEqual(json, {
    argv: [
      ...["/opt/cordon", "kernel", "launch", "--engine", "namespaces", "--mnt", "ro:/p", "--memory", "1G"],
      ...["-f", "{connection_file}", "--", "/p/bin/python3", "-m", "ipykernel_launcher"],
      ...["-f", "{connection_file}", "--HistoryManager.hist_file=:memory:"],
    ],
    display_name: "Python 3 (isolated)",
    language: "python",
    interrupt_mode: "signal",
    env: {},
    metadata: { debugger: true, cordon: { version: "1", engine: "namespaces" } },
  });
});

Deno.test("a container: the pinned image runs, the typed one is shown", () => {
  const json = composeKernelJson({ ...BASE, engine: "docker", image: "a@sha256:0", imageTyped: "a:1" });
  assert.deepEqual(json.argv.slice(3, 7), ["--engine", "docker", "--image", "a@sha256:0"]);
  assert.equal(json.display_name, "Docker kernel of a:1");
});

Deno.test("names people see: the one given, the wrapped kernel's, its name, its language", () => {
  const name = (more: Partial<Composition>, program: Partial<KernelProgram> = {}) =>
    composeKernelJson({ ...BASE, ...more, program: { ...PROGRAM, ...program } }).display_name;
  assert.equal(name({ displayName: "Exam" }), "Exam");
  assert.equal(name({}, { displayName: "R" }), "R (isolated)");
  assert.equal(name({ from: "ir" }, { displayName: "" }), "ir (isolated)");
  assert.equal(name({ language: "bash" }, { displayName: "", language: "" }), "bash (isolated)");
});

const ENV: {
  what: string;
  env?: Composition["env"];
  spec?: Record<string, string>;
  words: string[];
  variables: object;
}[] = [
  {
    what: "a value goes into env and is let in",
    env: [{ name: "A", value: "b" }],
    words: ["A"],
    variables: { A: "b" },
  },
  { what: "without a value it is only let in", env: [{ name: "A" }], words: ["A"], variables: {} },
  {
    what: "a value with $ is not left for Jupyter to expand",
    env: [{ name: "A", value: "$b" }],
    words: ["A=$b"],
    variables: {},
  },
  {
    what: "what would change the launcher is for the kernel alone",
    env: [{ name: "LD_PRELOAD", value: "/x.so" }, { name: "PATH", value: "/y" }],
    words: ["LD_PRELOAD=/x.so", "PATH=/y"],
    variables: {},
  },
  {
    what: "a wrapped kernel's variables come along, templates as they are",
    spec: { A: "1", B: "${HOME}/x", PATH: "${PATH}:/z", HOME: "/h" },
    words: ["A", "B", "PATH", "HOME=/h"],
    variables: { A: "1", B: "${HOME}/x", PATH: "${PATH}:/z" },
  },
  {
    what: "what is typed wins over the wrapped kernel's",
    spec: { A: "1", B: "2" },
    env: [{ name: "A", value: "$3" }, { name: "B", value: "4" }],
    words: ["A=$3", "B"],
    variables: { B: "4" },
  },
];

for (const { what, env = [], spec = {}, words, variables } of ENV) {
  Deno.test(`environment: ${what}`, () => {
    const json = composeKernelJson({ ...BASE, env, program: { ...PROGRAM, env: spec } });
    assert.deepEqual(json.argv.slice(5, json.argv.indexOf("-f")), words.flatMap((word) => ["--env", word]));
    assert.deepEqual(json.env, variables);
  });
}

Deno.test("read-only mounts: a list, and objects for names that a list cannot hold", () => {
  assert.deepEqual(readOnlyArguments([]), []);
  const paths = ["/a", "/b", "/my env", "/x:y"];
  const args = readOnlyArguments(paths);
  assert.deepEqual(args.slice(0, 2), ["--mnt", "ro:/a ro:/b"]);
  const mounts = toMounts([{ list: args[1]! }, { json: args[3]! }, { json: args[5]! }], {
    cwd: "/",
    home: "/",
  });
  assert.deepEqual(mounts.map(({ dest, source, readOnly }) => [dest, source, readOnly]), [
    ["/a", "/a", true],
    ["/b", "/b", true],
    ["/my env", "/my env", true],
    ["/x:y", "/x:y", true],
  ]);
});

Deno.test("HOST:MOUNT: modes, home, relative names", () => {
  const mount = (text: string) => {
    const [found] = toMounts([parseKernelMount("--mount", text)], { cwd: "/c", home: "/h" });
    return [found!.source, found!.dest, found!.kind, found!.readOnly];
  };
  assert.deepEqual(mount("/a:/b"), ["/a", "/b", "bind", false]);
  assert.deepEqual(mount("/a:/b/:ro"), ["/a", "/b", "bind", true]);
  assert.deepEqual(mount("a/../b:/b:copy"), ["/c/b", "/b", "copy", false]);
  assert.deepEqual(mount("~/d:/b:rw"), ["/h/d", "/b", "bind", false]);
  for (const bad of ["", "/a", "/a:b", ":/b", "/a:/b:rx", "/a:/b:ro:copy"]) {
    assert.throws(() => parseKernelMount("--mount", bad), UsageError, bad);
  }
});

const DIGEST = `sha256:${"a".repeat(64)}`;
const PINS: { typed: string; digests: string[]; name: string }[] = [
  { typed: "jupyter/base", digests: [`jupyter/base@${DIGEST}`], name: `jupyter/base@${DIGEST}` },
  {
    typed: "r.example:5000/a:1",
    digests: [`r.example:5000/a@${DIGEST}`],
    name: `r.example:5000/a@${DIGEST}`,
  },
  {
    typed: "python:3",
    digests: [`docker.io/library/python@${DIGEST}`],
    name: `docker.io/library/python@${DIGEST}`,
  },
  { typed: "mine:1", digests: [], name: "mine:1" },
  { typed: "mine:1", digests: [`other@${DIGEST}`], name: "mine:1" },
  { typed: "localhost/mine", digests: [`localhost/mine@${DIGEST}`], name: "localhost/mine" },
  { typed: `a@${DIGEST}`, digests: [], name: `a@${DIGEST}` },
];
for (const { typed, digests, name } of PINS) {
  Deno.test(`image ${typed.slice(0, 20)} with ${digests.length} digests`, () => {
    assert.equal(pinnedName(typed, digests), name);
  });
}
