/** A client of /v1/executions/{id}/attach. */
import assert from "node:assert/strict";
import { type Serving, TOKEN, until } from "./serving.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

export interface Attached {
  readonly protocol: string;
  /** All of stdout so far. */
  readonly bytes: number[];
  readonly text: string;
  /** All of stderr so far. */
  readonly errors: string;
  readonly states: Json[];
  /** Of each piece of output. */
  readonly positions: number[];
  /** What was said first to one who writes. */
  readonly begun: Json;
  /** Bytes of input that the command was given. */
  readonly taken: number;
  readonly closed: Promise<CloseEvent>;
  /** Input. */
  type(input: string | Uint8Array<ArrayBuffer>): void;
  say(message: Json): void;
  raw(data: string | Uint8Array<ArrayBuffer>): void;
  /** Waits for it in stdout. */
  shows(wanted: RegExp): Promise<void>;
  close(): void;
}

/** Creates an execution and gives its id. */
export async function created(server: Serving, json: Json): Promise<string> {
  const response = await server.request("/v1/executions", { method: "POST", json });
  const body = await response.json();
  assert.equal(response.status, 202, JSON.stringify(body));
  return body.id;
}

export async function attached(server: Serving, id: string, query = ""): Promise<Attached> {
  const url = `${server.url.replace(/^http/, "ws")}/v1/executions/${id}/attach${query}`;
  const socket = new WebSocket(url, ["cordon.v1", `cordon.token.${TOKEN}`]);
  socket.binaryType = "arraybuffer";
  const bytes: number[] = [], errors: number[] = [], states: Json[] = [], positions: number[] = [];
  let taken = 0, over = false, begun: Json;
  const closed = new Promise<CloseEvent>((resolve) =>
    socket.onclose = (event) => {
      over = true;
      resolve(event);
    }
  );
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "taken") taken = message.bytes;
      else if (message.type === "input") begun = message;
      else if (message.type === "truncated") return;
      else states.push(message);
      return;
    }
    const view = new DataView(data);
    positions.push(Number(view.getBigUint64(1)));
    const to = view.getUint8(0) === 1 ? bytes : errors;
    for (const byte of new Uint8Array(data, 9)) to.push(byte);
  };
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = (event) => reject(new Error(`cannot attach: ${(event as ErrorEvent).message}`));
  });
  socket.onerror = null;
  const decoded = (from: number[]) => new TextDecoder().decode(Uint8Array.from(from));
  const raw: Attached["raw"] = (data) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(data);
  };
  return {
    protocol: socket.protocol,
    bytes,
    get text() {
      return decoded(bytes);
    },
    get errors() {
      return decoded(errors);
    },
    states,
    positions,
    get begun() {
      return begun;
    },
    get taken() {
      return taken;
    },
    closed,
    type: (input) =>
      raw(typeof input === "string" ? Uint8Array.from(new TextEncoder().encode(input)) : input),
    say: (message) => raw(JSON.stringify(message)),
    raw,
    async shows(wanted) {
      await until(() => wanted.test(decoded(bytes)) || over);
      assert.match(decoded(bytes), wanted);
    },
    close: () => socket.close(),
  };
}
