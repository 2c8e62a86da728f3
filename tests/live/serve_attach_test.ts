/** Attaching to executions in containers of a real engine, as root. */
import assert from "node:assert/strict";
import { attached, created } from "../helpers/attached.ts";
import { dockerNeeds, IMAGE, startDocker } from "../helpers/engines.ts";
import { test } from "../helpers/need.ts";
import { hashed, serving, TOKEN } from "../helpers/serving.ts";

test("a container takes input, signals and the size of its terminal", { needs: dockerNeeds }, async () => {
  await using engine = await startDocker();
  await using server = await serving({
    user: "caller",
    config: `
engine = "docker"
drain = "1s"
[docker]
host = "unix://${engine.endpoint.path}"
[policies.default]
images = ["${IMAGE}"]
[tenants.class]
tokens = ["${hashed(TOKEN)}"]
`,
  });
  const plain = await attached(
    server,
    await created(server, { command: "cat; exit 3", image: IMAGE, interactive: true }),
  );
  plain.type("hello\n");
  await plain.shows(/^hello\n$/);
  plain.say({ type: "eof" });
  assert.equal((await plain.closed).code, 1000);
  assert.equal(plain.states.at(-1)!.exit_code, 3);
  const script = "trap 'echo seen; exit 5' USR1; echo ready; while :; do sleep 0.1; done";
  const signalled = await attached(
    server,
    await created(server, { command: ["sh", "-c", script], image: IMAGE, interactive: true }),
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
});
