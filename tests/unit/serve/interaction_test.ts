import assert from "node:assert/strict";
import type { Controls } from "../../../lib/engine/engine.ts";
import { Interaction, MOST_WAITING } from "../../../lib/serve/interaction.ts";

const LONG_MS = 600_000;
const never = new AbortController().signal;
const bytes = (text: string) => new TextEncoder().encode(text);

/** What an engine would be told to do, in order. */
function recording(): { did: string[]; controls: Controls } {
  const did: string[] = [];
  return {
    did,
    controls: {
      signal: (name) => void did.push(name),
      resize: ({ rows, columns }) => void did.push(`${rows}x${columns}`),
    },
  };
}

function begin({ terminal = false } = {}): Interaction {
  return new Interaction({ onDetach: "keep", ...(terminal && { terminal: { rows: 24, columns: 80 } }) });
}

/** All that the command reads. */
async function readAll(interaction: Interaction): Promise<string> {
  return await new Response(interaction.stdin).text();
}

/** Lets everything happen that waits for nothing outside. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("the command reads what was written, in order and to its end, and nothing is taken after it", async () => {
  const interaction = begin();
  interaction.write(bytes("one "));
  const all = readAll(interaction);
  await settle();
  interaction.write(bytes("two "));
  interaction.write(new Uint8Array());
  await settle();
  interaction.write(bytes("three"));
  interaction.end();
  assert.equal(interaction.write(bytes("late")), false);
  assert.equal(await all, "one two three");
  assert.equal(interaction.given, 13);
});

Deno.test("a large piece is given in parts, so that it is seen how far the command is", async () => {
  const interaction = begin();
  const large = new Uint8Array(MOST_WAITING).map((_, index) => index % 251);
  interaction.write(large);
  assert.equal(interaction.room, false);
  const reader = interaction.stdin.getReader();
  const first = (await reader.read()).value!;
  assert.ok(first.length < large.length && first.length === interaction.given);
  const parts = [...first];
  while (parts.length < large.length) parts.push(...(await reader.read()).value!);
  assert.deepEqual(Uint8Array.from(parts), large);
  assert.equal(interaction.given, large.length);
  assert.equal(interaction.room, true);
});

Deno.test("a terminal's end of input is Ctrl-D, after which there can be more", async () => {
  const interaction = begin({ terminal: true });
  interaction.end();
  assert.equal(interaction.write(bytes("more")), true);
  const reader = interaction.stdin.getReader();
  assert.deepEqual((await reader.read()).value, Uint8Array.of(4));
  assert.deepEqual((await reader.read()).value, bytes("more"));
});

Deno.test("there is room until much waits, in bytes or in pieces, and again when the command has read", async () => {
  const interaction = begin();
  interaction.write(new Uint8Array(MOST_WAITING));
  assert.equal(interaction.room, false);
  let room: boolean | undefined;
  const waiting = interaction.roomWithin(LONG_MS, never).then((has) => room = has);
  await settle();
  assert.equal(room, undefined);
  interaction.begun(recording().controls);
  const reader = interaction.stdin.getReader();
  for (let got = 0; got < MOST_WAITING;) got += (await reader.read()).value!.length;
  await waiting;
  assert.equal(room, true);
  // Each piece costs something, however short.
  for (let n = 0; n < 10_000 && interaction.room; n++) interaction.write(bytes("x"));
  assert.equal(interaction.room, false);
});

Deno.test("no room is told of a command that runs and does not read, not of one that waits for its turn", async () => {
  const interaction = begin();
  interaction.write(new Uint8Array(MOST_WAITING));
  let room: boolean | undefined;
  const waiting = interaction.roomWithin(1, never).then((has) => room = has);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(room, undefined);
  interaction.begun(recording().controls);
  await waiting;
  assert.equal(room, false);
});

Deno.test("who waits for room is let go when the connection or the command's input is over", async () => {
  const interaction = begin();
  interaction.write(new Uint8Array(MOST_WAITING));
  const over = new AbortController();
  const gone = interaction.roomWithin(LONG_MS, over.signal);
  over.abort();
  assert.equal(await gone, true);
  const deaf = interaction.roomWithin(LONG_MS, never);
  await interaction.stdin.cancel();
  assert.equal(await deaf, true);
  // Nobody reads it: it is dropped.
  assert.equal(interaction.write(new Uint8Array(10 * MOST_WAITING)), true);
  assert.equal(interaction.room, true);
});

Deno.test("signals wait for the command to begin; of sizes before that the last one counts", async () => {
  const { did, controls } = recording();
  const interaction = begin({ terminal: true });
  const signalled = interaction.signal("SIGUSR1");
  await interaction.resize({ rows: 1, columns: 2 });
  await interaction.resize({ rows: 3, columns: 4 });
  await settle();
  assert.deepEqual(did, []);
  assert.deepEqual(interaction.terminal, { rows: 3, columns: 4 });
  interaction.begun(controls);
  await signalled;
  await interaction.resize({ rows: 5, columns: 6 });
  assert.deepEqual(did, ["3x4", "SIGUSR1", "5x6"]);
});

Deno.test("one writes at a time; who takes over tells the other, who has nothing more to leave", () => {
  const interaction = begin();
  const told: string[] = [];
  const first = () => void told.push("first"), second = () => void told.push("second");
  assert.equal(interaction.take(first, { force: false }), true);
  assert.equal(interaction.take(second, { force: false }), false);
  assert.deepEqual(told, []);
  assert.equal(interaction.take(second, { force: true }), true);
  assert.deepEqual(told, ["first"]);
  assert.equal(interaction.leave(first), false);
  assert.equal(interaction.leave(second), true);
  assert.equal(interaction.take(first, { force: false }), true);
});
