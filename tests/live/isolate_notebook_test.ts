/** A notebook on a kernel that a hand-written kernel.json starts in a sandbox: nbclient and jupyter_client from PyPI. */
import assert from "node:assert/strict";
import { executableAs } from "../helpers/binary.ts";
import { everyone, type Person } from "../helpers/everyone.ts";
import { python, pythonModule } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";
import { asUserArgv } from "../helpers/user.ts";

const DRIVER = new URL("isolate_notebook.py", import.meta.url).pathname;
const needs = ["nbclient", "nbformat", "ipykernel", "jupyter_client"].map(pythonModule);

let copy: string | undefined;

/** build/venv, or a copy of it where the checkout lies in a directory that the ordinary user cannot enter. */
function environment(): string {
  const built = python.replace(/\/bin\/python$/, "");
  const [program, ...args] = asUserArgv([python, "-c", "import nbclient"]);
  if (new Deno.Command(program!, { args, cwd: "/", stderr: "null" }).outputSync().success) return built;
  if (copy === undefined) {
    const fresh = `${tmp()}/venv`;
    const { success, stderr } = new Deno.Command("cp", { args: ["-r", built, fresh] }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    copy = fresh;
  }
  return copy;
}

/** Where nbclient's connection files go: MNTDIRS cannot name `{connection_file}`, so its directory must be known. */
const RUNTIME = "~/.local/share/jupyter/runtime";

/** The kernel.json of the original's README: `isolate.sh` before the usual argv, MNTDIRS in env. */
const ORIGINAL = (venv: string) => ({
  argv: [
    executableAs("isolate.sh"),
    "--no-net",
    `${venv}/bin/python`,
    "-m",
    "ipykernel",
    "-f",
    "{connection_file}",
  ],
  display_name: "Python 3 (os) isolated",
  language: "python",
  env: { MNTDIRS: `. ro:${venv} ro:${RUNTIME}`, NI_QUIET: "1" },
});

/** The same with today's command, which shows the kernel its own connection file alone. */
const TODAY = (venv: string) => ({
  argv: [
    ...[executableAs("cordon"), "isolate", "--network", "host"],
    ...["-m", `. ro:${venv} ro:{connection_file}`, "--"],
    ...[`${venv}/bin/python`, "-m", "ipykernel", "-f", "{connection_file}"],
  ],
  display_name: "Python 3 (isolated)",
  language: "python",
});

async function live(p: Person, kernelspec: (venv: string) => object): Promise<Record<string, unknown>> {
  const home = p.dir();
  const venv = environment();
  const kernel = `${home}/.local/share/jupyter/kernels/python3-isolated`;
  await p.sh(`mkdir -p ${kernel} ${home}/.local/share/jupyter/runtime work; echo secret > secret`, home);
  Deno.writeTextFileSync(`${home}/kernel.json`, JSON.stringify(kernelspec(venv)));
  Deno.chmodSync(`${home}/kernel.json`, 0o644);
  await p.sh(`cp kernel.json ${kernel}/`, home);
  Deno.copyFileSync(DRIVER, `${home}/driver.py`);
  Deno.chmodSync(`${home}/driver.py`, 0o644);
  const argv = [`${venv}/bin/python`, `${home}/driver.py`, "python3-isolated", `${home}/secret`];
  const { code, stdout, stderr } = await run(p.name === "user" ? asUserArgv(argv) : argv, {
    cwd: `${home}/work`,
    env: { HOME: home, TMPDIR: RUNTIME.replace("~", home), JUPYTER_PLATFORM_DIRS: "0" },
    deadline: 240_000,
  });
  assert.equal(code, 0, stderr);
  assert.equal(Deno.readTextFileSync(`${home}/work/written-inside`), "by the notebook");
  return { ...JSON.parse(stdout), home };
}

for (const [name, kernelspec] of [["isolate.sh", ORIGINAL], ["cordon isolate", TODAY]] as const) {
  everyone(`a notebook and a kernel's life with ${name} in kernel.json`, async (p) => {
    const { home, notebook, said, ...life } = await live(p, kernelspec);
    assert.deepEqual(notebook, ["2", "False", "still here\n", `'${home}/work'`, `(${p.uid}, '1')`]);
    assert.deepEqual(life, {
      "set": ["ok", "1"],
      "interrupted": "KeyboardInterrupt",
      "child interrupted": "KeyboardInterrupt",
      "child gone": ["ok", "False"],
      "kept": ["ok", "1"],
      "restarted": [false, ["NameError", null]],
      "works again": ["ok", "4"],
      "shut down": [false, false],
      "killed": [false, false],
    });
    assert.equal(said, "");
  }, { needs });
}
