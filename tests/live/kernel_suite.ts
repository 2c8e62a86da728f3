/**
 * What a kernel has to do whatever engine it runs on, seen from Jupyter's side with Jupyter's own programs. The Python
 * programs kernel_*.py beside this file play Jupyter and print what they met. Run by kernel_*_test.ts.
 */
import assert from "node:assert/strict";
import { executable } from "../helpers/binary.ts";
import { type Need, python, pythonModule } from "../helpers/need.ts";
import { type Outcome, run, tmp } from "../helpers/run.ts";
import { asUserArgv } from "../helpers/user.ts";

const HERE = new URL(".", import.meta.url).pathname;
const VENV_BIN = python.replace(/\/python$/, "");

export const KERNEL = "isolated";

export const kernelNeeds: readonly Need[] = [
  ...["ipykernel", "jupyter_client", "jupyter_kernel_test", "jupyter_server", "websocket"],
  ...["nbclient", "nbconvert", "matplotlib"],
].map(pythonModule);

export interface Place {
  /** Who runs Jupyter: 0, or the ordinary user's uid. */
  uid: number;
  /** Arguments of `cordon kernel setup` for a Python kernel. */
  setup: string[];
  /** The engine's socket, where there are containers. */
  socket?: string;
  /** The engine is the user's own: there the user is root inside. */
  rootless?: boolean;
}

/** A home with a kernel set up in it. */
export class Jupyter {
  readonly home: string;
  readonly work: string;
  readonly runtime: string;
  readonly temporary: string;
  readonly place: Place;

  private constructor(place: Place) {
    this.place = place;
    this.home = tmp({ owner: place.uid });
    [this.work, this.runtime, this.temporary] = ["work", "runtime", "temporary"].map((name) => {
      const path = `${this.home}/${name}`;
      Deno.mkdirSync(path, { mode: 0o700 });
      Deno.chownSync(path, place.uid, place.uid);
      return path;
    }) as [string, string, string];
    for (const { name } of Deno.readDirSync(HERE)) {
      if (/^kernel_.*\.py$/.test(name)) Deno.copyFileSync(HERE + name, `${this.home}/${name}`);
    }
  }

  static async with(place: Place): Promise<Jupyter> {
    const jupyter = new Jupyter(place);
    await jupyter.setup(KERNEL, place.setup);
    return jupyter;
  }

  async setup(name: string, args: readonly string[]): Promise<void> {
    const outcome = await this.run([
      ...[executable(), "kernel", "setup", "--user", "--name", name],
      ...args,
    ]);
    assert.equal(outcome.code, 0, JSON.stringify(outcome));
  }

  /** Runs a program of this user's in the working directory. */
  async run(argv: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
    const whole = this.place.uid === Deno.uid() ? [...argv] : asUserArgv(argv);
    return await run(whole, {
      cwd: this.work,
      deadline: 300_000,
      env: {
        HOME: this.home,
        XDG_RUNTIME_DIR: this.runtime,
        TMPDIR: this.temporary,
        JUPYTER_PLATFORM_DIRS: "0",
        PYTHONDONTWRITEBYTECODE: "1",
        ...env,
      },
    });
  }

  /** Runs kernel_NAME.py; what it printed as JSON. */
  async play(name: string, facts: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const outside = JSON.stringify({
      directories: [this.runtime, this.temporary],
      ...(this.place.socket !== undefined && { engine: this.place.socket }),
      ...facts,
    });
    const { code, stdout, stderr } = await this.run([
      ...[python, `${this.home}/kernel_${name}.py`, KERNEL, outside],
    ]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }
}

type Step = (name: string, body: () => Promise<void>) => Promise<unknown>;

export async function kernelSuite(step: Step, jupyter: Jupyter): Promise<void> {
  const { home, work, place } = jupyter;
  const { uid, socket, rootless } = place;
  const inside = rootless ? 0 : uid;

  await step("jupyter_kernel_test", async () => {
    const { code, stderr } = await jupyter.run([python, `${home}/kernel_contract.py`], {
      CORDON_TEST_KERNEL: KERNEL,
    });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^Ran 1[0-9] tests/m);
    assert.match(stderr, /^OK\b/m);
  });

  await step("from start to end", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const secrets = ["secret", "gradebook.db", "source/ps1/p1.ipynb", "submitted/other/ps1/p1.ipynb"]
      .map((name) => `${home}/${name}`);
    for (const path of secrets) {
      Deno.mkdirSync(path.replace(/\/[^/]*$/, ""), { recursive: true });
      Deno.writeTextFileSync(path, "not for the kernel");
    }
    const found = await jupyter.play("life", { secrets, listener: (listener.addr as Deno.NetAddr).port });
    assert.deepEqual(found, {
      "listeners": ["0100007F"],
      "two": "2",
      "identity": `(${inside}, ${inside}, True)`,
      "directory": `'${work}'`,
      "secrets": "[]",
      "tokens": "[]",
      "nbgrader": "'autograde'",
      "network": "(['refused', 'refused'], [])",
      "writable": "True",
      "written": "13",
      "input": "got Ada\n",
      "comm": ["cordon-test", "abab"],
      "bash": "42\nhere\n",
      "plot": "PNG",
      "big": 50_000_001,
      "debug": [true, 2, "ok"],
      "set": "1",
      "interrupted": ["KeyboardInterrupt", ""],
      "child": "KeyboardInterrupt",
      "child was": "'interrupted\\n'",
      "kept": "1",
      "restarted": [[], "NameError"],
      "restarted now": [[], "NameError"],
      "connection file kept": true,
      "left": [],
      "said": "",
    });
    const written = Deno.statSync(`${work}/written-inside`);
    assert.deepEqual([written.uid, written.gid], [uid, uid]);
  });

  await step("however it ends", async () => {
    // Where a container's launcher reports a signal it does so as a shell would.
    const killed = socket === undefined ? -9 : 137;
    assert.deepEqual(await jupyter.play("ends"), {
      "exit 3": [3, "", []],
      "kill -9": [killed, "", []],
      "launcher killed": [],
      "group killed": [],
      "parent killed": [],
      "while starting": [],
    });
  });

  await step("a Jupyter server over REST and WebSocket", async () => {
    assert.deepEqual(await jupyter.play("server"), {
      "runs": "42\n",
      "interrupted": "KeyboardInterrupt",
      "restarted": ["NameError", []],
      "after its death": "again",
      "left": [],
      "left by the server": [],
      "log": [],
    });
  });

  await step("eight at once", async () => {
    const values = [..."0123456701234567"];
    assert.deepEqual(await jupyter.play("many"), { values, said: "", left: [] });
  });

  await step("nbclient, jupyter execute, jupyter nbconvert --execute", async () => {
    const notebook = {
      cells: [{
        cell_type: "code",
        id: "one",
        metadata: {},
        source: "print(6 * 7)",
        outputs: [],
        execution_count: null,
      }],
      metadata: { kernelspec: { name: KERNEL, display_name: KERNEL, language: "python" } },
      nbformat: 4,
      nbformat_minor: 5,
    };
    const path = `${work}/notebook.ipynb`;
    const whole = [
      [`${VENV_BIN}/jupyter-execute`, "--inplace", path],
      [`${VENV_BIN}/jupyter-nbconvert`, "--execute", "--to", "notebook", "--inplace", path],
      [
        python,
        "-c",
        "import sys, nbformat, nbclient; n = nbformat.read(sys.argv[1], 4); " +
        "nbclient.execute(n); nbformat.write(n, sys.argv[1])",
        path,
      ],
    ];
    for (const argv of whole) {
      Deno.writeTextFileSync(path, JSON.stringify(notebook));
      Deno.chownSync(path, uid, uid);
      const { code, stderr } = await jupyter.run(argv);
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stderr, /cordon:/);
      assert.match(Deno.readTextFileSync(path), /"42\\n"/, argv.join(" "));
    }
  });
}
