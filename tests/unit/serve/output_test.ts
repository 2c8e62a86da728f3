import assert from "node:assert/strict";
import { type Event, Output, type StreamName, unfinished } from "../../../lib/serve/output.ts";
import { Printed } from "../../../lib/serve/printed.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (output: Output, stream: StreamName) =>
  new Printed(output.pieces(stream), { encoding: "text" }).toJSON();
const shown = (events: Event[]) =>
  events.map((event) =>
    event.type === "state"
      ? [event.id, "state"]
      : [event.id, event.type, new TextDecoder().decode(event.bytes)]
  );

Deno.test("a reader takes up where it stopped, also in the middle of what grew since", () => {
  const output = new Output(100);
  output.write("stdout", bytes("abc"));
  assert.deepEqual(shown(output.read(0)), [[3, "stdout", "abc"]]);
  output.write("stdout", bytes("def"));
  output.write("stderr", bytes("x"));
  assert.deepEqual(shown(output.read(3)), [[6, "stdout", "def"], [7, "stderr", "x"]]);
  assert.deepEqual(shown(output.read(7)), []);
  assert.deepEqual(shown(output.read(1e9)), []);
});

Deno.test("reading in small steps gives the same as at once", () => {
  const output = new Output(10_000);
  for (let n = 0; n < 50; n++) output.write(n % 3 ? "stdout" : "stderr", bytes(`é${n}€`));
  output.close({ state: "finished" });
  let whole = { stdout: "", stderr: "" };
  for (const most of [3, 4, 7, Infinity]) {
    const read = { stdout: "", stderr: "" };
    for (let at = 0, events = output.read(at, most); events.length > 0; events = output.read(at, most)) {
      for (const event of events) {
        if (event.type !== "state") {
          read[event.type] += new TextDecoder("utf-8", { fatal: true }).decode(event.bytes);
        }
        at = event.id;
      }
    }
    whole = read;
    assert.equal(read.stdout, text(output, "stdout"));
    assert.equal(read.stderr, text(output, "stderr"));
  }
  assert.match(whole.stdout, /^é1€é2€é4€/);
});

Deno.test("a character split between two pieces is not torn, one that never ends is told at the end", () => {
  const output = new Output(100);
  const euro = bytes("€");
  output.write("stdout", euro.subarray(0, 2));
  output.write("stderr", bytes("!"));
  assert.deepEqual(shown(output.read(0)), [[1, "stderr", "!"]]);
  output.write("stdout", euro.subarray(2));
  assert.equal(text(output, "stdout"), "€");
  output.write("stdout", euro.subarray(0, 1));
  output.close({});
  assert.equal(text(output, "stdout"), "€\ufffd");
});

Deno.test("no event ends in the middle of a character, however much there is", () => {
  for (const character of ["é", "€", "😀"]) {
    const output = new Output(10 ** 6);
    const printed = "x" + character.repeat(70_000);
    const all = bytes(printed);
    for (let at = 0; at < all.length; at += 65_536) output.write("stdout", all.subarray(at, at + 65_536));
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const read = output.read(0).map((event) => event.type === "state" ? "" : decoder.decode(event.bytes));
    assert.equal(read.join(""), printed);
  }
});

Deno.test("what does not fit is dropped and told, and the rest counted", () => {
  const output = new Output(5);
  output.write("stdout", bytes("abcd"));
  output.write("stderr", bytes("ef"));
  output.write("stdout", bytes("g"));
  assert.deepEqual([text(output, "stdout"), text(output, "stderr"), output.truncated], ["abcd", "e", true]);
  assert.deepEqual(output.received, { stdout: 5, stderr: 2 });
  output.close({});
  output.reveal();
  assert.equal(output.read(0).at(-1)?.type, "state");
});

Deno.test("readers have the last state when it is revealed, the record before", async () => {
  const output = new Output(5);
  output.write("stdout", bytes("ab"));
  output.close({ state: "finished" });
  const changed = output.changed();
  assert.deepEqual([shown(output.read(0)), output.closed], [[[2, "stdout", "ab"]], false]);
  assert.deepEqual(shown(output.whole()), [[2, "stdout", "ab"], [3, "state"]]);
  output.reveal();
  await changed;
  assert.deepEqual([shown(output.read(0)), output.closed], [[[2, "stdout", "ab"], [3, "state"]], true]);
  assert.deepEqual(shown(output.whole()), shown(output.read(0)));
});

Deno.test("for the server's own words there is always room", () => {
  const output = new Output(2);
  output.write("stderr", bytes("abcdef"));
  output.remark("cordon: no\n");
  assert.deepEqual([text(output, "stderr"), output.truncated], ["abcordon: no\n", true]);
});

Deno.test("the cut is made between characters", () => {
  const output = new Output(4);
  output.write("stdout", bytes("ab€"));
  assert.deepEqual([text(output, "stdout"), output.truncated], ["ab", true]);
});

Deno.test("a program that alternates between its outputs does not fill the memory", () => {
  const output = new Output(2 ** 20);
  const one = bytes("x");
  for (let n = 0; n < 50_000; n++) output.write(n % 2 ? "stdout" : "stderr", one);
  assert.equal(output.truncated, true);
});

Deno.test("watchers are woken by what is added", async () => {
  const output = new Output(10);
  const woken = [output.changed(), output.changed()];
  output.write("stdout", bytes("a"));
  await Promise.all(woken);
});

for (
  const [hex, count] of [
    ["", 0],
    ["61", 0],
    ["c3", 1],
    ["c3a9", 0],
    ["e282", 2],
    ["e282ac", 0],
    [
      "f09f98",
      3,
    ],
    ["ff", 0],
    ["8080", 0],
    ["80808080", 0],
    ["61e2", 1],
    ["f0", 1],
    ["c0", 0],
  ] as const
) {
  Deno.test(`bytes ${hex || "none"} end with ${count} of an unfinished character`, () => {
    const value = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    assert.equal(unfinished(value), count);
  });
}
