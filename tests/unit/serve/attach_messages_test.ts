import assert from "node:assert/strict";
import {
  clientMessage,
  offered,
  offeredTokens,
  serverMessage,
  SIGNALS,
  takenMessage,
} from "../../../lib/serve/attach-messages.ts";
import { Violation } from "../../../lib/serve/front/frames.ts";

function closedWith(code: number) {
  return (error: unknown) => error instanceof Violation && error.code === code && error.message.length < 124;
}

Deno.test("what a client may say is read as it is", () => {
  assert.deepEqual(clientMessage('{"type":"eof"}'), { type: "eof" });
  assert.deepEqual(clientMessage(' {"rows": 1, "columns": 10000, "type": "resize"} '), {
    type: "resize",
    rows: 1,
    columns: 10_000,
  });
  for (const signal of SIGNALS) {
    assert.deepEqual(clientMessage(JSON.stringify({ type: "signal", signal })), { type: "signal", signal });
  }
});

Deno.test("everything else has the code that the socket is closed with", () => {
  for (const text of ["", "hello", "{", "NaN", "{'type':'eof'}", '{"type":"eof"} x', "\u0000"]) {
    assert.throws(() => clientMessage(text), closedWith(1007), text);
  }
  for (
    const value of [
      null,
      [],
      "eof",
      1,
      {},
      { type: "stdin" },
      { type: ["eof"] },
      { type: "eof", more: 1 },
      { type: "signal" },
      { type: "signal", signal: "KILL" },
      { type: "signal", signal: "STOP" },
      { type: "signal", signal: "SIGINT" },
      { type: "signal", signal: "toString" },
      { type: "signal", signal: 2 },
      { type: "resize", rows: 0, columns: 1 },
      { type: "resize", rows: 1, columns: 10_001 },
      { type: "resize", rows: 1.5, columns: 1 },
      { type: "resize", rows: "1", columns: 1 },
      { type: "resize", rows: 1 },
      JSON.parse('{"type": "__proto__", "__proto__": {"type": "eof"}}'),
    ]
  ) {
    assert.throws(() => clientMessage(JSON.stringify(value)), closedWith(1003), JSON.stringify(value));
  }
  // However deep: JSON.parse takes it, the schema does not.
  assert.throws(() => clientMessage("[".repeat(100_000) + "]".repeat(100_000)), closedWith(1003));
});

Deno.test("output is told as bytes with its position, a state as text", () => {
  const bytes = Uint8Array.of(0, 255, 10);
  assert.deepEqual(
    serverMessage({ id: 2 ** 40 + 3, type: "stderr", bytes }),
    Uint8Array.of(2, 0, 0, 1, 0, 0, 0, 0, 3, 0, 255, 10),
  );
  assert.deepEqual(
    (serverMessage({ id: 1, type: "stdout", bytes: new Uint8Array() }) as Uint8Array)[0],
    1,
  );
  const state = serverMessage({ id: 7, type: "state", state: { state: "finished", exit_code: 3 } });
  assert.deepEqual(JSON.parse(state as string), { type: "state", id: 7, state: "finished", exit_code: 3 });
  assert.deepEqual(JSON.parse(takenMessage(9)), { type: "taken", bytes: 9 });
});

Deno.test("tokens stand among the subprotocols", () => {
  const request = (header?: string) =>
    new Request("http://localhost/", {
      headers: header === undefined ? {} : { "sec-websocket-protocol": header },
    });
  assert.deepEqual(offered(request()), []);
  assert.deepEqual(offered(request(" cordon.v1 ,\tother,, ")), ["cordon.v1", "other"]);
  assert.deepEqual(offeredTokens(request("cordon.v1, cordon.token.a.b, cordon.token., cordon.tokenx")), [
    "a.b",
    "",
  ]);
});
