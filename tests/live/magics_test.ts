/** The magics in notebooks: docs/examples on every backend, and Dockyter's own client beside them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { formatEndpoint } from "../../lib/docker/endpoint.ts";
import { tagImage } from "../../lib/docker/images.ts";
import { dockerNeeds, IMAGE, startDocker } from "../helpers/engines.ts";
import { type Need, ordinaryUser, test, userns } from "../helpers/need.ts";
import { run } from "../helpers/run.ts";
import {
  type CellOutput,
  environment,
  EXAMPLES,
  notebookNeeds,
  notebooks,
  runNotebook,
  serve,
  text,
} from "./magics_setup.ts";

/** The real one, from PyPI, in a directory of its own (tests/install.sh). */
const DOCKYTER = new URL("../../build/dockyter", import.meta.url).pathname;
const dockyter: Need = {
  what: "Dockyter from PyPI",
  met: () => {
    try {
      return Deno.statSync(`${DOCKYTER}/dockyter/magics.py`).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "not in build/dockyter (run-tests --install)";
      throw error;
    }
  },
};

/** Outputs as they are kept in the notebook, where each stream has one piece. */
function kept(name: string): CellOutput[] {
  const { cells } = JSON.parse(Deno.readTextFileSync(join(EXAMPLES, name)));
  type Output = { name?: string; text?: string[]; data?: Record<string, string[]> };
  type Cell = { cell_type: string; outputs: Output[] };
  return cells.filter(({ cell_type }: Cell) => cell_type === "code").map(({ outputs }: Cell) =>
    outputs.map(({ name = "result", text, data }) => [name, (text ?? data!["text/plain"]!).join("")])
  );
}

/** Without what names the backend, and without the empty line that Dockyter prints after each output. */
function anyBackend(outputs: CellOutput[]): CellOutput[] {
  return outputs.map((cell) =>
    cell.map(([kind, text]): [string, string] => [
      kind,
      text.split("\n").filter((line) =>
        !/^(Dockyter backend|Switched backend|Current docker args)/.test(line) && line !== ""
      ).join("\n"),
    ]).filter(([, text]) => text !== "")
  );
}

const EXAMPLES_ANYWHERE = ["01_containers.ipynb", "02_a_tool_and_its_data.ipynb", "04_profiles.ipynb"];

test("the examples with Docker: as they are", { needs: [...notebookNeeds, ...dockerNeeds] }, async () => {
  await using docker = await startDocker();
  await tagImage(docker.engine, IMAGE, { name: "debian:12" });
  const { example } = await notebooks({ DOCKER_HOST: formatEndpoint(docker.endpoint) });
  for (const name of EXAMPLES_ANYWHERE) assert.deepEqual(await example(name), kept(name), name);
});

test("the examples with namespaces", { needs: [...notebookNeeds, userns] }, async () => {
  const { example } = await notebooks({ EXAMPLE_BACKEND: "namespaces", EXAMPLE_IMAGE: "host" });
  for (const name of EXAMPLES_ANYWHERE) {
    assert.deepEqual(anyBackend(await example(name)), anyBackend(kept(name)), name);
  }
});

/** `cordon serve` with an engine: what the notebooks are told of it. */
interface Api extends AsyncDisposable {
  env: Record<string, string>;
  /** Without the token. */
  shown: string;
}

async function apiOfNamespaces(): Promise<Api> {
  const server = await serve();
  return { ...told(server.url, "host"), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function apiOfDocker(): Promise<Api> {
  await using stack = new AsyncDisposableStack();
  const docker = stack.use(await startDocker());
  await tagImage(docker.engine, IMAGE, { name: "debian:12" });
  const server = stack.use(await serve({ host: formatEndpoint(docker.endpoint), images: ["debian:12"] }));
  const running = stack.move();
  return { ...told(server.url, "debian:12"), [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function told(url: string, image: string): Pick<Api, "env" | "shown"> {
  return {
    env: { EXAMPLE_BACKEND: `api ${url}`, EXAMPLE_API: url, EXAMPLE_IMAGE: image },
    shown: url.replace(/:[^:@]+@/, ":***@"),
  };
}

const APIS: [name: string, needs: readonly Need[], open: () => Promise<Api>][] = [
  ["programs of the machine", [ordinaryUser, userns], apiOfNamespaces],
  ["containers", dockerNeeds, apiOfDocker],
];

/** A command that the server refuses is the last of its notebook; in words of the server's. */
const REFUSING = "03_api.ipynb";
const API_EXAMPLES = ["01_containers.ipynb", "04_profiles.ipynb", REFUSING];

for (const [what, needs, open] of APIS) {
  test(
    `the examples with an API: cordon serve, ${what}`,
    { needs: [...notebookNeeds, ...needs] },
    async () => {
      await using api = await open();
      const { example } = await notebooks(api.env);
      for (const name of API_EXAMPLES) {
        const played = await example(name);
        assert.doesNotMatch(JSON.stringify(played), /a-token-of-the-tests/);
        const wanted = anyBackend(kept(name));
        if (name === REFUSING) {
          assert.match(text(played.pop(), "stderr"), /device/);
          wanted.pop();
          const line = `Dockyter backend status: API backend reachable at ${api.shown}\n`;
          assert.ok(text(played[1]).includes(line), text(played[1]));
        }
        assert.deepEqual(anyBackend(played), wanted, name);
      }
    },
  );

  test(`Dockyter from PyPI plays the examples against cordon serve, ${what}`, {
    needs: [...notebookNeeds, ...needs, dockyter],
  }, async () => {
    await using api = await open();
    const { home, python, packages } = await environment();
    Deno.writeTextFileSync(join(packages, "dockyter.pth"), DOCKYTER + "\n");
    const found = await run([python, "-c", "import dockyter; print(dockyter.__file__)"], { cwd: home });
    assert.equal(found.stdout, `${DOCKYTER}/dockyter/__init__.py\n`, found.stderr);
    for (const name of API_EXAMPLES) {
      const job = { notebook: join(EXAMPLES, name), extension: "dockyter" };
      const played = await runNotebook(python, { job, home, env: { HOME: home, ...api.env } });
      const wanted = kept(name);
      if (name === REFUSING) {
        assert.match(text(played.pop()), /device/);
        wanted.pop();
      }
      // To Dockyter's cells the configured arguments mean nothing, and of a missing profile it says less.
      const differs = name === "04_profiles.ipynb" ? [3, 6] : [];
      assert.deepEqual(lines(played, differs), lines(wanted, differs), name);
    }
  });
}

/** Line by line, whatever the stream and the colour: Dockyter prints stderr on stdout, in red. */
function lines(outputs: CellOutput[], except: number[]): string[] {
  const cells = anyBackend(outputs).filter((_, i) => !except.includes(i));
  return cells.flatMap((cell) => cell.flatMap(([, text]) => text.split("\n")))
    .map(stripVTControlCharacters).filter((line) => line !== "");
}
