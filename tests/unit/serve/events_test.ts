import assert from "node:assert/strict";
import { eventStream } from "../../../lib/serve/events.ts";
import { Output } from "../../../lib/serve/output.ts";
import { checkPosition, find, type Known } from "../../../lib/serve/past.ts";
import { Problem } from "../../../lib/serve/problem.ts";
import type { Service } from "../../../lib/serve/service.ts";
import type { Recorded } from "../../../lib/serve/recorded.ts";
import { Store } from "../../../lib/serve/store.ts";

const MIB = 2 ** 20;
/** Of what is told at once, however it is written. */
const MOST_TOLD = 40_000;
const EMPTY = [
  ...["reason", "detail", "session", "started", "ended", "exit_code", "signal", "wall_ms", "user_ms"],
  ...["system_ms", "max_rss", "stdout_bytes", "stderr_bytes", "truncated", "key", "asked"],
];

/** An execution in the record alone, with this output. */
async function past(output: Output, state: Recorded["state"] = "finished"): Promise<PastOne> {
  const store = new Store(":memory:");
  const row = {
    ...Object.fromEntries(EMPTY.map((name) => [name, null])),
    ...{ id: "a", tenant: "t", via: "v1", request_id: "r", state, engine: "namespaces", image: "host" },
    ...{ args: "host", command: '"true"', created: 1, limits: "{}" },
  } as unknown as Recorded;
  await store.insert(row);
  for (const event of output.read(0)) {
    const bytes = event.type === "state"
      ? new TextEncoder().encode(JSON.stringify(event.state))
      : event.bytes;
    store.keep("a", { after: event.id, type: event.type, bytes });
  }
  await store.written();
  const service = { store, executor: { get: () => undefined } } as unknown as Service;
  return { known: find(service, "a", "t")!, store };
}

interface PastOne {
  known: Known;
  store: Store;
}

function finish(output: Output): void {
  output.close({ state: "finished" });
  output.reveal();
}

function textOf(pieces: Uint8Array[]): string {
  return pieces.map((piece) => new TextDecoder().decode(piece)).join("");
}

function live(output: Output): Known {
  return {
    row: {} as Recorded,
    get end() {
      return output.end;
    },
    kept: () => output.end,
    pieces: (stream) => output.pieces(stream),
    read: (after, most) => output.read(after, most),
    more: () => output.closed ? undefined : output.changed(),
  };
}

/** Two kinds that are longest when they are told: control characters in JSON, and pieces of one byte. */
function outputs(): Output[] {
  const zeros = new Output(MIB);
  for (let n = 0; n < 16; n++) zeros.write("stdout", new Uint8Array(MIB / 16));
  const alternating = new Output(MIB);
  for (let n = 0; n < 20_000; n++) {
    alternating.write(n % 2 ? "stdout" : "stderr", Uint8Array.of(97 + n % 26));
  }
  for (const output of [zeros, alternating]) finish(output);
  return [zeros, alternating];
}

Deno.test("little is held for a client that does not read, whatever the output, and nothing is missed", async () => {
  for (const output of outputs()) {
    const { known, store } = await past(output);
    for (const one of [live(output), known]) {
      let asked = 0;
      const read: Known["read"] = (after, most) => {
        asked++;
        return one.read(after, most);
      };
      const counted: Known = { ...one, read };
      const reader = eventStream(counted, { after: 0, encoding: "text" }).body!.getReader();
      await reader.read();
      await new Promise((resolve) => setTimeout(resolve, 10));
      assert.equal(asked, 0, "it reads ahead");
      const told = { stdout: "", stderr: "" };
      let last: { state?: string } = {};
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        assert.ok(next.value.length <= MOST_TOLD, `${next.value.length} bytes at once`);
        const text = new TextDecoder().decode(next.value);
        for (const [, type, data] of text.matchAll(/^event: (.*)\ndata: (.*)$/gm)) {
          const value = JSON.parse(data!);
          if (type === "state") last = value;
          else told[type as "stdout"] += value.data;
        }
      }
      for (const stream of ["stdout", "stderr"] as const) {
        // Not to be shown: it is long.
        const [got, wanted] = [told[stream], textOf(output.pieces(stream))];
        assert.ok(got === wanted, `${got.length} characters of ${stream}, wanted ${wanted.length}`);
      }
      assert.equal(last.state, "finished");
    }
    store.close();
  }
});

Deno.test("the record gives the same from every position, in steps of any size", async () => {
  const output = new Output(10_000);
  output.state({ state: "running" });
  for (let n = 0; n < 30; n++) output.write(n % 3 ? "stdout" : "stderr", new TextEncoder().encode(`é${n}€`));
  finish(output);
  const { known, store } = await past(output);
  const shown = (events: ReturnType<Known["read"]>) =>
    events.map((event) =>
      event.type === "state" ? "|" : new TextDecoder("utf-8", { fatal: true }).decode(event.bytes)
    ).join("");
  for (const most of [4, 7, 70, 200, Infinity]) {
    let whole = "";
    for (let at = 0, events = known.read(at, most); events.length > 0; events = known.read(at, most)) {
      whole += shown(events);
      at = events.at(-1)!.id;
    }
    assert.equal(whole, shown(output.read(0)), `in steps of ${most}`);
  }
  for (const { id } of output.read(0)) {
    assert.deepEqual(known.read(id, Infinity).map((event) => event.id), output.read(id).map(({ id }) => id));
  }
  assert.equal(textOf(known.pieces("stderr")), textOf(output.pieces("stderr")));
  assert.equal(known.end, output.end);
  checkPosition(output.end, known);
  assert.throws(() => checkPosition(output.end + 1, known), Problem);
  store.close();
});

Deno.test("of one that was lost the end is told behind whatever its clients had", async () => {
  for (const kept of [0, 5]) {
    const output = new Output(100);
    if (kept > 0) output.state({ state: "running" });
    output.write("stdout", new Uint8Array(kept));
    const { known, store } = await past(output, "lost");
    for (const had of [1, 100, 10 ** 12]) {
      checkPosition(had, known);
      const last = known.read(had, Infinity).at(-1)!;
      assert.equal(last.type === "state" && last.state["state"], "lost");
      assert.deepEqual(known.read(last.id, Infinity), []);
    }
    store.close();
  }
});
