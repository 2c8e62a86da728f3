/** The examples of `--help` run as they stand there, up to a pipe into another program. */
import assert from "node:assert/strict";
import { registry } from "../../cmd/commands.ts";
import { environment } from "../live/magics_setup.ts";
import { executable } from "../helpers/binary.ts";
import { program, pythonModule, test, userns } from "../helpers/need.ts";
import { baseEnv, run, tmp } from "../helpers/run.ts";

/** Those that want what a test does not have; most of these things have tests of their own. */
const NOT_RUN: [why: string, examples: RegExp][] = [
  ["the internet", /example\.org|pypi\.org/],
  ["an engine and an image", /--image |run (--rm |-it |--rm --script - )|gc --host|kernel end/],
  ["another kernel, a Jupyter that waits for it", /--from-kernel|bash_kernel|launch -f/],
  ["a server that runs on", /portwrap|^cordon serve($| --)/],
  ["what an operator has made", /serve token|\/opt\/conda/],
];

const FILES: Record<string, string> = {
  "solution.py": "print(sum(map(int, open('data/numbers'))))\n",
  "train.py": "print('trained')\n",
  "answers.txt": "42\n",
  "data/numbers": "40\n2\n",
  "cell.sh": "echo a cell\n",
  "cordon.toml": '[backend]\nmode = "namespaces"\n[profiles]\nml = "-v .:/work -w /work host"\n',
  "k.json": JSON.stringify({
    ...{ ip: "127.0.0.1", transport: "tcp", key: "k", signature_scheme: "hmac-sha256" },
    ...{ shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 },
  }),
};

test("the examples of --help do what they say", {
  needs: [program("bash"), userns, pythonModule("ipykernel")],
}, async (t) => {
  const { home, python } = await environment();
  const work = tmp();
  Deno.mkdirSync(`${work}/data`);
  for (const [name, text] of Object.entries(FILES)) {
    Deno.writeTextFileSync(`${work}/${name}`, text, { mode: 0o600 });
  }
  // So that --user can mean something to this Python.
  const config = Deno.readTextFileSync(`${home}/venv/pyvenv.cfg`);
  Deno.writeTextFileSync(`${home}/venv/pyvenv.cfg`, config.replace("packages = false", "packages = true"));
  const path = [executable().replace(/\/cordon$/, ""), python.replace(/\/[^/]*$/, ""), baseEnv("/")["PATH"]];
  const env = { HOME: home, SHELL: "/bin/sh", PATH: path.join(":") };
  const made =
    "mkdir -p ~/.local/share/{bash-completion/completions,man/man1} ~/.zfunc ~/.config/fish/completions";
  assert.equal((await run(["bash", "-c", made], { env })).code, 0);
  for (const { name, examples } of registry.commands) {
    for (const { command } of examples) {
      if (NOT_RUN.some(([, those]) => those.test(command))) continue;
      await t.step(command, async () => {
        const [line = ""] = command.split(" | ");
        const { code, stderr } = await run(["bash", "-c", line], { cwd: work, env });
        // A policy may refuse.
        const wanted = name === "serve check-policy" ? [0, 1] : [0];
        assert.ok(wanted.includes(code), `status ${code}: ${stderr}`);
      });
    }
  }
});
