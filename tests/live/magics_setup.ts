/** What the tests of the magics share: a Python of their own that has them, notebooks in it, and servers. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { cordon, cordonArgv } from "../helpers/binary.ts";
import { python, pythonModule } from "../helpers/need.ts";
import { baseEnv, type Outcome, run, type RunOptions, tmp } from "../helpers/run.ts";
import { ordinaryHome } from "../helpers/user.ts";

export const notebookNeeds = ["nbclient", "nbformat", "ipykernel"].map(pythonModule);

const NOTEBOOK = new URL("magics_notebook.py", import.meta.url).pathname;
export const EXAMPLES = new URL("../../docs/examples/", import.meta.url).pathname;

/** What one cell gave: [kind, text] in order; kind is stdout, stderr, result or the name of an exception. */
export type CellOutput = [kind: string, text: string][];

export interface Notebooks {
  python: string;
  /** The directory notebooks run in, which is the home directory too. */
  home: string;
  env: Record<string, string>;
  /** Runs cells; their outputs. */
  cells(sources: string[], options?: NotebookOptions): Promise<CellOutput[]>;
  /** Runs one of docs/examples. */
  example(name: string, options?: NotebookOptions): Promise<CellOutput[]>;
  run(argv: readonly string[], options?: RunOptions): Promise<Outcome>;
}

export interface NotebookOptions {
  env?: Record<string, string | undefined>;
}

/** A virtual environment with the packages of build/venv. */
export async function environment(): Promise<{ home: string; python: string; packages: string }> {
  const home = tmp();
  const venv = join(home, "venv");
  const made = await run([python, "-m", "venv", "--without-pip", venv]);
  assert.equal(made.code, 0, made.stderr);
  const place = (of: string) => run([of, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
  const [ours, theirs] = await Promise.all([place(`${venv}/bin/python`), place(python)]);
  const packages = ours.stdout.trim();
  Deno.writeTextFileSync(join(packages, "base.pth"), theirs.stdout);
  return { home, python: `${venv}/bin/python`, packages };
}

/** Such an environment with the magics in it. */
export async function notebooks(env: Record<string, string> = {}): Promise<Notebooks> {
  const { home, python } = await environment();
  const installed = await cordon(["magics", "install", "--python", python]);
  assert.equal(installed.code, 0, installed.stderr);
  const whole = { HOME: home, ...env };
  const start = (argv: readonly string[], options: RunOptions = {}) =>
    run(argv, { cwd: home, deadline: 300_000, ...options, env: { ...whole, ...options.env } });
  const play = (job: object, options: NotebookOptions = {}) =>
    runNotebook(python, { job, home, env: { ...whole, ...options.env } });
  return {
    python,
    home,
    env: whole,
    cells: (cells, options) => play({ cells }, options),
    example: (name, options) => play({ notebook: join(EXAMPLES, name) }, options),
    run: start,
  };
}

/** Runs what `job` says (magics_notebook.py). */
export async function runNotebook(
  python: string,
  { job, home, env }: { job: object; home: string; env: Record<string, string | undefined> },
): Promise<CellOutput[]> {
  const options = { cwd: home, env, stdin: JSON.stringify(job), deadline: 300_000 };
  const { code, stdout, stderr } = await run([python, NOTEBOOK], options);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** The text of a cell's stream; without a stream, of everything. */
export function text(output: CellOutput | undefined, stream?: string): string {
  return (output ?? []).filter(([kind]) => stream === undefined || kind === stream).map(([, text]) => text)
    .join("");
}

export interface Served extends AsyncDisposable {
  /** With the token in it. */
  url: string;
}

const TOKEN = "a-token-of-the-tests";

/** `cordon serve`: with programs of this machine as the ordinary user, or with containers of an engine as the caller. */
export async function serve(containers?: { host: string; images: string[] }): Promise<Served> {
  const directory = tmp();
  const file = `${directory}/token`;
  Deno.writeTextFileSync(file, TOKEN + "\n");
  const args = ["serve", "--listen", "127.0.0.1:0", "--token-file", file];
  if (containers) {
    const config = `${directory}/serve.toml`;
    const images = JSON.stringify(containers.images);
    Deno.writeTextFileSync(config, `[policies.default]\nimages = ${images}\n`, { mode: 0o600 });
    args.push("--engine", "docker", "--config", config, "--state", `${directory}/state`);
  }
  const argv = cordonArgv(args, { user: containers ? "caller" : "ordinary" });
  const home = containers ? directory : ordinaryHome();
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    clearEnv: true,
    env: { ...baseEnv(home), ...(containers && { DOCKER_HOST: containers.host }) },
    cwd: home,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let said = "";
  const listening = Promise.withResolvers<string>();
  const read = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      const address = /listening on http:\/\/(\S+)\n/.exec(said)?.[1];
      if (address) listening.resolve(`http://me:${TOKEN}@${address}`);
    }
    listening.reject(new Error(`cordon serve ended: ${said}`));
  })();
  const stop = async () => {
    child.kill("SIGTERM");
    await read;
    await child.status;
  };
  return { url: await listening.promise, [Symbol.asyncDispose]: stop };
}
