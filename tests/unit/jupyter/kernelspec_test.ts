import assert from "node:assert/strict";
import { CordonError, UsageError } from "../../../lib/errors.ts";
import { installKernelspec, removeKernelspec } from "../../../lib/jupyter/install.ts";
import {
  findKernelspecs,
  formatKernelJson,
  ipykernelArgv,
  isCordons,
  type KernelJson,
  parseKernelJson,
  parseKernelName,
  withMemoryHistory,
} from "../../../lib/jupyter/kernelspec.ts";
import { dataDirectory, installDirectory, kernelDirectories } from "../../../lib/jupyter/paths.ts";
import { tmp } from "../../helpers/run.ts";

const JSON_ONE: KernelJson = {
  argv: ["/usr/bin/python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
  display_name: "One",
  language: "python",
};

Deno.test("names are Jupyter's, in lower case, and no way out of the directory", () => {
  assert.equal(parseKernelName("--name", "Python3-Isolated_1.0"), "python3-isolated_1.0");
  for (const bad of ["", ".", "..", "a/b", "a b", "ä", "-x", "a\n"]) {
    assert.throws(() => parseKernelName("--name", bad), UsageError, JSON.stringify(bad));
  }
});

Deno.test("kernel.json is read leniently where Jupyter is, and needs an argv", () => {
  assert.deepEqual(parseKernelJson(formatKernelJson(JSON_ONE), "k"), JSON_ONE);
  assert.deepEqual(parseKernelJson('{"argv": ["x"], "env": {"A": 1}}', "k"), {
    argv: ["x"],
    display_name: "",
    language: "",
    env: { A: "1" },
  });
  for (const bad of ["", "[]", "{}", '{"argv": []}', '{"argv": "x"}', '{"argv": [1]}']) {
    assert.throws(() => parseKernelJson(bad, "k"), CordonError, bad);
  }
});

Deno.test("history stays in memory for ipykernel alone, and once", () => {
  const argv = ipykernelArgv("/p");
  assert.equal(argv.at(-1), "--HistoryManager.hist_file=:memory:");
  assert.deepEqual(withMemoryHistory(argv), argv);
  const other = ["/p", "-m", "bash_kernel", "-f", "{connection_file}"];
  assert.deepEqual(withMemoryHistory(other), other);
});

Deno.test("cordon's own kernelspecs are known by what they say or start", () => {
  assert.ok(!isCordons(JSON_ONE));
  assert.ok(isCordons({ ...JSON_ONE, metadata: { cordon: {} } }));
  assert.ok(isCordons({ ...JSON_ONE, argv: ["/opt/cordon", "kernel", "launch"] }));
  assert.ok(!isCordons({ ...JSON_ONE, argv: ["/opt/cordon", "isolate"] }));
});

function write(directory: string, text: string): void {
  Deno.mkdirSync(directory, { recursive: true });
  Deno.writeTextFileSync(`${directory}/kernel.json`, text);
}

Deno.test("the first kernelspec of a name counts; broken ones are told and hide later ones", () => {
  const [a, b] = [tmp(), tmp()];
  write(`${a}/Same`, formatKernelJson({ ...JSON_ONE, display_name: "first" }));
  write(`${b}/same`, formatKernelJson(JSON_ONE));
  write(`${a}/broken`, "{");
  write(`${b}/broken`, formatKernelJson(JSON_ONE));
  write(`${b}/other`, formatKernelJson(JSON_ONE));
  Deno.mkdirSync(`${a}/empty`);
  const told: unknown[] = [];
  const found = findKernelspecs([a, "/nonexistent", b], (error) => told.push(error));
  assert.deepEqual(found.map(({ name, directory }) => [name, directory]), [
    ["other", `${b}/other`],
    ["same", `${a}/Same`],
  ]);
  assert.equal(told.length, 1);
  assert.match(String(told[0]), /broken\/kernel\.json is not JSON/);
});

Deno.test("installing replaces the whole directory, takes resources along and leaves nothing beside", () => {
  const root = tmp();
  const resources = `${root}/from`;
  write(resources, "{}");
  Deno.writeTextFileSync(`${resources}/logo-64x64.png`, "png");
  Deno.mkdirSync(`${resources}/static`);
  Deno.writeTextFileSync(`${resources}/static/kernel.js`, "js");
  const place = `${root}/share/kernels/one`;
  assert.equal(installKernelspec(place, { json: JSON_ONE, resources }), false);
  assert.deepEqual(parseKernelJson(Deno.readTextFileSync(`${place}/kernel.json`), "k"), JSON_ONE);
  assert.equal(Deno.readTextFileSync(`${place}/static/kernel.js`), "js");
  assert.equal(installKernelspec(place, { json: JSON_ONE }), true);
  assert.deepEqual(Array.from(Deno.readDirSync(place), ({ name }) => name), ["kernel.json"]);
  assert.deepEqual(Array.from(Deno.readDirSync(`${root}/share/kernels`), ({ name }) => name), ["one"]);
  removeKernelspec(place);
  assert.deepEqual(Array.from(Deno.readDirSync(`${root}/share/kernels`)), []);
});

Deno.test("a failed installation leaves the old kernelspec and nothing beside", () => {
  const root = tmp();
  const place = `${root}/kernels/one`;
  installKernelspec(place, { json: JSON_ONE });
  assert.throws(() => installKernelspec(place, { json: JSON_ONE, resources: `${root}/none` }), CordonError);
  assert.deepEqual(Array.from(Deno.readDirSync(`${root}/kernels`), ({ name }) => name), ["one"]);
  assert.equal(Deno.readTextFileSync(`${place}/kernel.json`), formatKernelJson(JSON_ONE));
});

Deno.test("a kernelspec that is a link is replaced, and what it points to stays", () => {
  const root = tmp();
  write(`${root}/elsewhere`, "{}");
  Deno.mkdirSync(`${root}/kernels`);
  Deno.symlinkSync(`${root}/elsewhere`, `${root}/kernels/one`);
  assert.equal(installKernelspec(`${root}/kernels/one`, { json: JSON_ONE }), true);
  assert.equal(Deno.readTextFileSync(`${root}/elsewhere/kernel.json`), "{}");
  assert.ok(Deno.lstatSync(`${root}/kernels/one`).isDirectory);
});

const FACTS = { env: {}, home: "/home/u", uid: 1000 };
const VENV = { prefix: "/venv", basePrefix: "/usr", owner: 1000 };
const USER = "/home/u/.local/share/jupyter/kernels";
const SYSTEM = ["/usr/local/share/jupyter/kernels", "/usr/share/jupyter/kernels"];
const IPYTHON = "/home/u/.ipython/kernels";

Deno.test("search order: JUPYTER_PATH, the user's, the environment's, the system's", () => {
  assert.deepEqual(kernelDirectories(FACTS), [USER, ...SYSTEM, IPYTHON]);
  const python = { prefix: "/opt/py", basePrefix: "/opt/py", owner: 1000 };
  const env = { JUPYTER_PATH: "/x:/y" };
  assert.deepEqual(kernelDirectories({ ...FACTS, env, python }), [
    "/x/kernels",
    "/y/kernels",
    USER,
    "/opt/py/share/jupyter/kernels",
    ...SYSTEM,
    IPYTHON,
  ]);
});

Deno.test("search order: a virtual environment of the user's own comes first, unless it is said otherwise", () => {
  const first = (env: Record<string, string>, python = VENV) =>
    kernelDirectories({ ...FACTS, env, python })[0];
  assert.equal(first({}), "/venv/share/jupyter/kernels");
  assert.equal(first({}, { ...VENV, owner: 0 }), USER);
  assert.equal(first({ JUPYTER_PREFER_ENV_PATH: "no" }), USER);
  const plain = { ...VENV, basePrefix: "/venv" };
  assert.equal(first({ JUPYTER_PREFER_ENV_PATH: "1" }, plain), "/venv/share/jupyter/kernels");
  assert.equal(
    first({ CONDA_PREFIX: "/venv", CONDA_DEFAULT_ENV: "ml" }, plain),
    "/venv/share/jupyter/kernels",
  );
  assert.equal(first({ CONDA_PREFIX: "/venv", CONDA_DEFAULT_ENV: "base" }, plain), USER);
});

Deno.test("where kernelspecs are installed", () => {
  assert.equal(installDirectory("k", { kind: "user" }, FACTS), `${USER}/k`);
  assert.equal(installDirectory("k", { kind: "system" }, FACTS), `${SYSTEM[0]}/k`);
  assert.equal(installDirectory("k", { kind: "prefix", path: "/p" }, FACTS), "/p/share/jupyter/kernels/k");
  assert.equal(dataDirectory({ ...FACTS, env: { JUPYTER_DATA_DIR: "/d" } }), "/d");
  assert.equal(dataDirectory({ ...FACTS, env: { XDG_DATA_HOME: "/x" } }), "/x/jupyter");
});
