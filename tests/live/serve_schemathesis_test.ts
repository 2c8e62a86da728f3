/** Requests generated from the OpenAPI document: no answer that is not in it, and no failure of the server. */
import assert from "node:assert/strict";
import { python, pythonModule, test, userns } from "../helpers/need.ts";
import { run, tmp } from "../helpers/run.ts";
import { type Serving, serving, TOKEN } from "../helpers/serving.ts";

const options = { needs: [userns, pythonModule("schemathesis")] };
const EXAMPLES = 4;
const headers = [`Authorization: Bearer ${TOKEN}`];

interface Options {
  phases: string;
  examples?: number;
  headers: string[];
}

/** @returns what it reported */
async function generated(
  server: Serving,
  { phases, examples = EXAMPLES, headers }: Options,
): Promise<string> {
  const directory = tmp();
  const argv = [
    ...[python.replace(/python$/, "schemathesis"), "run", `${server.url}/openapi.json`],
    ...["--phases", phases, "--max-examples", String(examples)],
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
  return stdout;
}

test("generated requests with a token have the answers of the document", options, async () => {
  await using server = await serving();
  const report = await generated(server, { phases: "coverage,fuzzing", headers });
  // Every route, and none was left out for want of data.
  const { paths } = await (await server.request("/openapi.json")).json();
  const routes = Object.values(paths).reduce((sum: number, path) => sum + Object.keys(path!).length, 0);
  assert.match(report, new RegExp(`Selected: ${routes}/${routes}\n\\s*Tested: ${routes}\n`));
});

test("so have requests with ids that the server gave before", options, async () => {
  await using server = await serving();
  const report = await generated(server, { phases: "stateful", examples: 60, headers });
  const covered = Number(/API Links:\s+(\d+) covered/.exec(report)?.[1]);
  assert.ok(covered >= 4, report);
});

test("generated requests without a token have the answers of the document", options, async () => {
  await using server = await serving();
  await generated(server, { phases: "coverage", headers: [] });
});
