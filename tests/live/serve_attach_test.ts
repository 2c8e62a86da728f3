/** Attaching to executions in containers of a real engine, as root; `cordon run --api` does it too. */
import assert from "node:assert/strict";
import { attached, created } from "../helpers/attached.ts";
import { dockerNeeds, IMAGE, startDocker } from "../helpers/engines.ts";
import { cordon, executable } from "../helpers/binary.ts";
import { program, test } from "../helpers/need.ts";
import { Pty, PYTHON } from "../helpers/pty.ts";
import { forContainers, serving, TOKEN } from "../helpers/serving.ts";

const needs = [...dockerNeeds, program(PYTHON)];

test("a container takes input, signals and the size of its terminal", { needs }, async () => {
  await using engine = await startDocker();
  await using server = await serving({ user: "caller", config: forContainers(engine, IMAGE) });
  const plain = await attached(
    server,
    await created(server, { command: "cat; exit 3", image: IMAGE, interactive: true }),
  );
  plain.type("hello\n");
  await plain.shows(/^hello\n$/);
  plain.say({ type: "eof" });
  assert.equal((await plain.closed).code, 1000);
  assert.equal(plain.states.at(-1)!.exit_code, 3);
  const trap = "trap 'echo seen; exit 5' USR1; echo ready; while :; do sleep 0.1; done";
  const signalled = await attached(
    server,
    await created(server, { command: ["sh", "-c", trap], image: IMAGE, interactive: true }),
  );
  await signalled.shows(/ready/);
  signalled.say({ type: "signal", signal: "USR1" });
  await signalled.closed;
  assert.equal(signalled.states.at(-1)!.exit_code, 5);
  const terminal = await attached(
    server,
    await created(server, {
      // Engines before Docker 23 learn of the size when it has started.
      command:
        "until stty size 2>/dev/null | grep '33 111'; do sleep 0.1; done; read line; stty size; exit 7",
      image: IMAGE,
      interactive: true,
      tty: { rows: 33, columns: 111 },
    }),
  );
  await terminal.shows(/33 111\r\n/);
  terminal.say({ type: "resize", rows: 12, columns: 34 });
  terminal.type("\n");
  assert.equal((await terminal.closed).code, 1000);
  assert.match(terminal.text, /12 34\r\n/);
  assert.equal(terminal.states.at(-1)!.exit_code, 7);
  const there = ["run", "--api", `${server.url}/${TOKEN}`];
  const piped = await cordon([...there, "-i", IMAGE, "sh", "-c", "cat; echo end >&2; exit 3"], {
    stdin: "by cordon run\n",
  });
  assert.deepEqual([piped.code, piped.stdout, piped.stderr], [3, "by cordon run\n", "end\n"]);
  const script =
    "stty -echo; echo ready; read line; until stty size | grep '12 34'; do sleep 0.1; done; exit 7";
  const pty = new Pty([executable(), ...there, "-it", IMAGE, "sh", "-c", script], { user: "caller" });
  await pty.expect(/ready\r\n/);
  await pty.resize(12, 34);
  await pty.type("\r");
  await pty.expect(/12 34\r\n/);
  assert.equal(await pty.ended(), 7);
  await pty.close();
});
