/** What Pythons of the usual kinds answer, recorded with the home directory renamed. */
import type { Place, Prefix, PythonAnswer } from "../../../lib/jupyter/probe.ts";

const DEDICATED = ["bin", "include", "lib", "share"];

function place(path: string, real = path): Place {
  return { path, real, directory: !/\.(zip|so[.\d]*)$|\/python[\d.]*$/.test(path) };
}

function prefix(path: string, entries: string[] = DEDICATED, real = path): Prefix {
  return { path, real, entries };
}

const COMMON = { owner: 1000, userBase: "/home/u/.local", ipykernel: "6.30.1", debugpy: true };
const LIBC = place("/usr/lib/x86_64-linux-gnu/libc.so.6");

/** Debian's, with packages of the user's own. */
export const SYSTEM: PythonAnswer = {
  ...COMMON,
  owner: 0,
  executable: "/usr/bin/python3",
  version: "3.11.2",
  prefix: "/usr",
  basePrefix: "/usr",
  prefixes: [prefix("/usr", ["bin", "games", "include", "lib", "local", "sbin", "share", "src"])],
  path: [
    place("/usr/lib/python3.11"),
    place("/usr/lib/python3.11/lib-dynload"),
    place("/home/u/.local/lib/python3.11/site-packages"),
    place("/usr/local/lib/python3.11/dist-packages"),
    place("/usr/lib/python3/dist-packages"),
  ],
  chain: [place("/usr/bin/python3", "/usr/bin/python3.11"), place("/usr/bin/python3.11")],
  libraries: [LIBC],
};

const PYENV_ROOT = "/home/u/.pyenv/versions/3.11.7";

export const PYENV: PythonAnswer = {
  ...COMMON,
  executable: `${PYENV_ROOT}/bin/python3`,
  version: "3.11.7",
  prefix: PYENV_ROOT,
  basePrefix: PYENV_ROOT,
  prefixes: [prefix(PYENV_ROOT)],
  path: [place(`${PYENV_ROOT}/lib/python3.11`), place(`${PYENV_ROOT}/lib/python3.11/site-packages`)],
  chain: [
    place(`${PYENV_ROOT}/bin/python3`, `${PYENV_ROOT}/bin/python3.11`),
    place(`${PYENV_ROOT}/bin/python3.11`),
  ],
  libraries: [LIBC, place(`${PYENV_ROOT}/lib/libpython3.11.so.1.0`)],
};

const VENV_ROOT = "/srv/grading/env";

/** A virtual environment made by that pyenv's Python. */
export const VENV: PythonAnswer = {
  ...PYENV,
  executable: `${VENV_ROOT}/bin/python3`,
  prefix: VENV_ROOT,
  prefixes: [prefix(VENV_ROOT, [...DEDICATED, "lib64", "pyvenv.cfg"]), prefix(PYENV_ROOT)],
  path: [place(`${PYENV_ROOT}/lib/python3.11`), place(`${VENV_ROOT}/lib/python3.11/site-packages`)],
  chain: [
    place(`${VENV_ROOT}/bin/python3`, `${PYENV_ROOT}/bin/python3.11`),
    place(`${PYENV_ROOT}/bin/python3`, `${PYENV_ROOT}/bin/python3.11`),
    place(`${PYENV_ROOT}/bin/python3.11`),
  ],
};

/** A virtual environment whose directory is the course itself. */
export const VENV_IN_COURSE: PythonAnswer = {
  ...VENV,
  prefixes: [
    prefix(VENV_ROOT, [...DEDICATED, "lib64", "pyvenv.cfg", "gradebook.db", "source", "submitted"]),
    prefix(PYENV_ROOT),
  ],
};

const CONDA_ROOT = "/home/u/miniconda3/envs/ml";

export const CONDA: PythonAnswer = {
  ...COMMON,
  executable: `${CONDA_ROOT}/bin/python`,
  version: "3.12.1",
  prefix: CONDA_ROOT,
  basePrefix: CONDA_ROOT,
  prefixes: [
    prefix(CONDA_ROOT, [
      "bin",
      "cmake",
      "compiler_compat",
      "conda-meta",
      "etc",
      "fonts",
      "include",
      "lib",
      "libexec",
      "man",
      "sbin",
      "share",
      "ssl",
      "x86_64-conda-linux-gnu",
    ]),
  ],
  path: [place(`${CONDA_ROOT}/lib/python3.12`), place(`${CONDA_ROOT}/lib/python3.12/site-packages`)],
  chain: [place(`${CONDA_ROOT}/bin/python`, `${CONDA_ROOT}/bin/python3.12`)],
  libraries: [LIBC, place(`${CONDA_ROOT}/lib/libssl.so.3`)],
};

/** Built with `--prefix=$HOME`. */
export const IN_HOME: PythonAnswer = {
  ...PYENV,
  executable: "/home/u/bin/python3",
  prefix: "/home/u",
  basePrefix: "/home/u",
  prefixes: [prefix("/home/u", [".bashrc", ".ssh", "bin", "lib", "thesis"])],
  path: [place("/home/u/lib/python3.11")],
  chain: [place("/home/u/bin/python3")],
  libraries: [LIBC],
};

/** Installed below a directory that has a second name, and called by that. */
export const BY_LINK: PythonAnswer = {
  ...PYENV,
  executable: "/opt/python/current/bin/python3",
  prefix: "/opt/python/3.11",
  basePrefix: "/opt/python/3.11",
  prefixes: [prefix("/opt/python/3.11")],
  path: [place("/opt/python/3.11/lib/python3.11")],
  chain: [place("/opt/python/current/bin/python3", "/opt/python/3.11/bin/python3")],
  libraries: [LIBC, place("/opt/gcc/lib64/libstdc++.so.6")],
};
