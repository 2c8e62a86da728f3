import assert from "node:assert/strict";
import type { PythonAnswer } from "../../../lib/jupyter/probe.ts";
import { prefixOf, together, visibleForProgram, visibleForPython } from "../../../lib/jupyter/visible.ts";
import { BY_LINK, CONDA, IN_HOME, PYENV, SYSTEM, VENV, VENV_IN_COURSE } from "./answers.ts";

const HOME = "/home/u";

const PYTHONS: { what: string; answer: PythonAnswer; paths: string[] }[] = [
  {
    what: "the system's shows nothing but the user's own packages",
    answer: SYSTEM,
    paths: ["/home/u/.local/lib/python3.11/site-packages"],
  },
  { what: "pyenv's shows its version", answer: PYENV, paths: ["/home/u/.pyenv/versions/3.11.7"] },
  {
    what: "a virtual environment shows itself and the Python it was made with",
    answer: VENV,
    paths: ["/home/u/.pyenv/versions/3.11.7", "/srv/grading/env"],
  },
  {
    what: "a virtual environment that is a course's directory shows its programs and libraries only",
    answer: VENV_IN_COURSE,
    paths: [
      "/home/u/.pyenv/versions/3.11.7",
      "/srv/grading/env/bin",
      "/srv/grading/env/include",
      "/srv/grading/env/lib",
      "/srv/grading/env/lib64",
      "/srv/grading/env/pyvenv.cfg",
    ],
  },
  {
    what: "conda's shows its environment, not its neighbours",
    answer: CONDA,
    paths: ["/home/u/miniconda3/envs/ml"],
  },
  {
    what: "one built into the home directory does not show that",
    answer: IN_HOME,
    paths: ["/home/u/bin", "/home/u/lib"],
  },
  {
    what: "one called by a link is there under both names, with the libraries it loads from elsewhere",
    answer: BY_LINK,
    paths: ["/opt/gcc/lib64", "/opt/python/3.11", "/opt/python/current"],
  },
];

for (const { what, answer, paths } of PYTHONS) {
  Deno.test(`Python: ${what}`, () => {
    assert.deepEqual(visibleForPython(answer, HOME), { paths, withheld: [] });
  });
}

Deno.test("Python: an entry of its path that holds the home directory is withheld, and said", () => {
  const path = ["/home/u", "/home", "/"].map((path) => ({ path, real: path, directory: true }));
  assert.deepEqual(visibleForPython({ ...SYSTEM, path }, HOME), {
    paths: [],
    withheld: ["/home/u", "/home", "/"],
  });
});

Deno.test("Python: a home directory under another name is still the home directory", () => {
  const path = [{ path: "/export/link", real: "/home/u", directory: true }];
  assert.deepEqual(visibleForPython({ ...SYSTEM, path }, HOME).withheld, ["/export/link"]);
});

Deno.test("Python: an editable install elsewhere is shown", () => {
  const path = [{ path: "/home/u/code/pkg/src", real: "/home/u/code/pkg/src", directory: true }];
  assert.deepEqual(visibleForPython({ ...SYSTEM, path }, HOME).paths, ["/home/u/code/pkg/src"]);
});

Deno.test("a program shows the prefix around its bin", () => {
  const program = { path: "/opt/julia/bin/julia", real: "/opt/julia/bin/julia", directory: false };
  const prefix = {
    path: "/opt/julia",
    real: "/opt/julia",
    entries: ["bin", "etc", "include", "lib", "share"],
  };
  assert.deepEqual(visibleForProgram(program, { home: HOME, prefix, arguments: [] }).paths, ["/opt/julia"]);
});

Deno.test("a program in ~/.local does not show what other programs keep there", () => {
  const program = { path: "/home/u/.local/bin/k", real: "/home/u/.local/bin/k", directory: false };
  const prefix = { path: "/home/u/.local", real: "/home/u/.local", entries: ["bin", "lib", "share"] };
  assert.deepEqual(visibleForProgram(program, { home: HOME, prefix, arguments: [] }).paths, [
    "/home/u/.local/bin",
    "/home/u/.local/lib",
  ]);
});

Deno.test("files that arguments name come with their directory, unless that holds the home directory", () => {
  const program = { path: "/usr/bin/node", real: "/usr/bin/node", directory: false };
  const places = ["/opt/kernel/main.js", "/home/u/kernel.js"].map((path) => ({
    path,
    real: path,
    directory: false,
  }));
  assert.deepEqual(visibleForProgram(program, { home: HOME, arguments: places }), {
    paths: ["/home/u/kernel.js", "/opt/kernel"],
    withheld: [],
  });
});

Deno.test("the prefix of a program is above bin", () => {
  assert.equal(prefixOf("/opt/julia/bin/julia"), "/opt/julia");
  assert.equal(prefixOf("/opt/kernel/run"), undefined);
});

Deno.test("what lies inside another is not mounted twice, and similar names are not confused", () => {
  const parts = [["/a/b", "/a"], ["/ab", "/a/b/c"]].map((paths) => ({ paths, withheld: [] }));
  assert.deepEqual(together(...parts).paths, ["/a", "/ab"]);
});
