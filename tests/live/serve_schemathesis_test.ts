/** Requests generated from the OpenAPI document: no answer that is not in it, and no failure of the server. */
import assert from "node:assert/strict";
import { python, pythonModule, test, userns } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";
import { type Serving, serving, TOKEN } from "../helpers/serving.ts";

const options = { needs: [userns, pythonModule("schemathesis")] };
const EXAMPLES = 4;

interface Options {
  phases: string;
  headers: string[];
}

async function generated(server: Serving, { phases, headers }: Options): Promise<void> {
  const directory = tmp();
  const argv = [
    ...[python.replace(/python$/, "schemathesis"), "run", `${server.url}/openapi.json`],
    ...["--phases", phases, "--max-examples", String(EXAMPLES)],
    // JSON Schema cannot tell all that makes a request valid, such as that no two files have one path.
    ...["--exclude-checks", "positive_data_acceptance"],
    // The same requests each time.
    "--generation-deterministic",
    ...["--request-timeout", "90", "--no-color"],
    ...headers.flatMap((header) => ["-H", header]),
  ];
  const { code, stdout, stderr } = await run(argv, {
    cwd: directory,
    deadline: 540_000,
    env: { HOME: directory },
  });
  assert.equal(code, 0, stdout.slice(-6000) + stderr);
  const cases = Number(/(\d+) generated/.exec(stdout)?.[1]);
  assert.ok(cases > 50, stdout);
  const errors = server.said().split("\n").filter((line) => line.includes('"level":"error"'));
  assert.deepEqual(errors, []);
  assert.equal((await server.execute("echo alive")).body.stdout, "alive\n");
}

test("generated requests with a token have the answers of the document", options, async () => {
  await using server = await serving();
  await generated(server, { phases: "coverage,fuzzing", headers: [`Authorization: Bearer ${TOKEN}`] });
});

test("generated requests without a token have the answers of the document", options, async () => {
  await using server = await serving();
  await generated(server, { phases: "coverage", headers: [] });
});
