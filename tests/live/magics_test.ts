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

test("the examples with an API: cordon serve", {
  needs: [...notebookNeeds, ordinaryUser, userns],
}, async () => {
  await using server = await serve();
  const { example } = await notebooks({
    EXAMPLE_BACKEND: `api ${server.url}`,
    EXAMPLE_API: server.url,
    EXAMPLE_IMAGE: "host",
  });
  const first = "01_containers.ipynb";
  assert.deepEqual(anyBackend(await example(first)), anyBackend(kept(first)));
  const api = await example("03_api.ipynb");
  const address = server.url.replace(/:[^:@]+@/, ":***@");
  assert.match(
    text(api[1]),
    new RegExp(`^Dockyter backend status: API backend reachable at ${RegExp.escape(address)}$`, "m"),
  );
  assert.deepEqual(anyBackend(api).slice(0, -1), anyBackend(kept("03_api.ipynb")).slice(0, -1));
  assert.match(text(api.at(-1), "stderr"), /device/);
  assert.doesNotMatch(JSON.stringify(api), /a-token-of-the-tests/);
});

test("Dockyter from PyPI plays the same examples against cordon serve", {
  needs: [...notebookNeeds, ordinaryUser, userns, dockyter],
}, async () => {
  await using server = await serve();
  const { home, python, packages } = await environment();
  Deno.writeTextFileSync(join(packages, "dockyter.pth"), DOCKYTER + "\n");
  const env = {
    HOME: home,
    EXAMPLE_BACKEND: `api ${server.url}`,
    EXAMPLE_API: server.url,
    EXAMPLE_IMAGE: "host",
  };
  const found = await run([python, "-c", "import dockyter; print(dockyter.__file__)"], { cwd: home });
  assert.equal(found.stdout, `${DOCKYTER}/dockyter/__init__.py\n`, found.stderr);
  for (const name of ["01_containers.ipynb", "03_api.ipynb"]) {
    const job = { notebook: join(EXAMPLES, name), extension: "dockyter" };
    const played = anyBackend(await runNotebook(python, { job, home, env }));
    const wanted = anyBackend(kept(name));
    // Dockyter prints stderr on stdout, in red; the last cell of 03 is refused in words of the server's.
    const lines = (outputs: CellOutput[]) =>
      outputs.slice(0, -1).flatMap((cell) => cell.flatMap(([, text]) => text.split("\n")))
        .map((line) => stripVTControlCharacters(line)).filter((line) => line !== "");
    assert.deepEqual(lines(played), lines(wanted), name);
    if (name === "03_api.ipynb") assert.match(text(played.at(-1)), /device/);
  }
});
