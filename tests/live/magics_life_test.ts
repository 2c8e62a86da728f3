/** The magics while something runs: output as it comes, interrupts, a kernel that is killed. */
import assert from "node:assert/strict";
import { listContainers } from "../../lib/docker/containers.ts";
import { formatEndpoint } from "../../lib/docker/endpoint.ts";
import type { Engine } from "../../lib/docker/system.ts";
import { tmp } from "../helpers/binary.ts";
import { dockerNeeds, IMAGE, startDocker } from "../helpers/engines.ts";
import { type Need, ordinaryUser, test, userns } from "../helpers/need.ts";
import { withArgument } from "../helpers/processes.ts";
import { type CellOutput, notebookNeeds, type Notebooks, notebooks, serve } from "./magics_setup.ts";

const KERNEL = new URL("magics_kernel.py", import.meta.url).pathname;

/** A backend with the magics in a Python of their own. */
interface Place extends AsyncDisposable {
  image: string;
  play(scenario: string, cells: string[], directory?: string): Promise<Answer>;
  /** Whether anything is left of what was started with this mark in it. */
  left(mark: string): Promise<boolean>;
}

interface Answer {
  output: CellOutput;
  /** Of the cell, and of one after it. */
  status: string;
  later: string;
}

async function play(
  { python, run }: Notebooks,
  scenario: string,
  { cells, directory }: { cells: string[]; directory: string },
) {
  const stdin = JSON.stringify(cells);
  const { code, stdout, stderr } = await run([python, KERNEL, scenario, directory], { stdin });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Answer;
}

async function withDocker(): Promise<Place> {
  const docker = await startDocker();
  const book = await notebooks({ DOCKER_HOST: formatEndpoint(docker.endpoint) });
  return {
    image: IMAGE,
    play: (scenario, cells, directory = "/") =>
      play(book, scenario, { cells: ["%load_ext cordon", ...cells], directory }),
    left: async (mark) => running(mark) || await anyContainer(docker.engine),
    [Symbol.asyncDispose]: () => docker[Symbol.asyncDispose](),
  };
}

async function anyContainer(engine: Engine): Promise<boolean> {
  return (await listContainers(engine)).length > 0;
}

async function withNamespaces(): Promise<Place> {
  const book = await notebooks();
  const backend = "%load_ext cordon\n%docker_backend namespaces";
  return {
    image: "host",
    play: (scenario, cells, directory = "/") =>
      play(book, scenario, { cells: [backend, ...cells], directory }),
    left: (mark) => Promise.resolve(running(mark)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const PLACES: [name: string, needs: readonly Need[], open: () => Promise<Place>][] = [
  ["Docker", dockerNeeds, withDocker],
  ["namespaces", [userns], withNamespaces],
];

let marks = 0;

/** An argument of sleep(1) that nobody else has. */
function mark(): string {
  return `${Deno.pid}.${++marks}`;
}

for (const [name, needs, open] of PLACES) {
  test(`${name}: what a cell prints is shown while it runs, in its order, each stream as itself`, {
    needs: [...notebookNeeds, ...needs],
  }, async () => {
    await using place = await open();
    const directory = tmp();
    const wait = (word: string) => `until [ -e /work/${word} ]; do sleep 0.05; done`;
    const { output, status } = await place.play("order", [
      [
        `%%docker -v ${directory}:/work ${place.image}`,
        `echo one; ${wait("one")}`,
        `echo two >&2; ${wait("two")}`,
        `printf three; ${wait("three")}`,
        "echo four >&2",
      ].join("\n"),
    ], directory);
    assert.deepEqual(output, [["stdout", "one\n"], ["stderr", "two\n"], ["stdout", "three"], [
      "stderr",
      "four\n",
    ]]);
    assert.equal(status, "ok");
  });

  test(`${name}: an interrupt ends a cell, and the notebook goes on`, {
    needs: [...notebookNeeds, ...needs],
  }, async () => {
    await using place = await open();
    const time = mark();
    const { output, status, later } = await place.play("interrupt", [
      `%%docker ${place.image}\necho running\nsleep ${time}`,
    ]);
    assert.deepEqual([status, later], ["KeyboardInterrupt", "ok"]);
    assert.deepEqual(output, [["stdout", "running\n"]]);
    assert.equal(await place.left(time), false);
  });

  test(`${name}: an interrupt ends what will not be interrupted, and the loop around it`, {
    needs: [...notebookNeeds, ...needs],
  }, async () => {
    await using place = await open();
    const time = mark();
    const stubborn = `trap '' INT TERM; echo running; while :; do sleep ${time}; done`;
    const { output, status } = await place.play("interrupt", [
      `%docker ${place.image}`,
      `for _ in range(3):\n    !${stubborn}`,
    ]);
    assert.equal(status, "KeyboardInterrupt");
    assert.deepEqual(output, [["stdout", "running\n"]]);
    assert.equal(await place.left(time), false);
  });

  test(`${name}: nothing is left of what a killed kernel ran`, {
    needs: [...notebookNeeds, ...needs],
  }, async () => {
    await using place = await open();
    const time = mark();
    const { output } = await place.play("kill", [
      `%%docker ${place.image}\ntrap '' INT TERM HUP\nsleep ${time} &\necho running; wait`,
    ]);
    assert.deepEqual(output, [["stdout", "running\n"]]);
    await until(async () => !await place.left(time));
  });
}

for (const scenario of ["interrupt", "kill"] as const) {
  test(`an API: nothing is left of what a kernel waits for, on ${scenario}`, {
    needs: [...notebookNeeds, ordinaryUser, userns],
  }, async () => {
    await using server = await serve();
    const { python, run } = await notebooks();
    const time = mark();
    const cells = [`%load_ext cordon\n%docker_backend api ${server.url}`, `%%docker host\nsleep ${time}`];
    const argv = [python, KERNEL, scenario, "/", time];
    const { code, stdout, stderr } = await run(argv, { stdin: JSON.stringify(cells) });
    assert.equal(code, 0, stderr);
    const answer: Answer = JSON.parse(stdout);
    if (scenario === "interrupt") assert.equal(answer.status, "KeyboardInterrupt");
    assert.deepEqual(answer.output, []);
    await until(() => !running(time));
  });
}

/** Waits for it, a minute at most. */
async function until(happened: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !await happened(); tries++) {
    assert.ok(tries < 600, "it did not happen");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Whether a process sleeps for exactly this long. */
function running(time: string): boolean {
  return withArgument(time).length > 0;
}
