/** Somebody at the keyboard of an execution of a `cordon serve`, by its subprotocol cordon.v1: docs/serve-http.md. */
import type { TerminalSize } from "../engine/engine.ts";
import { parse, readState, type State } from "./executions.ts";
import type { Api } from "./request.ts";
import { type ClientSocket, openSocket } from "./websocket.ts";

const PROTOCOL = "cordon.v1";

export type Said =
  /** `id` is the position after it. */
  | { type: "stdout" | "stderr"; id: number; bytes: Uint8Array }
  | { type: "state"; id: number; state: State }
  /** The first, to who may write: so much input came before. */
  | { type: "input"; bytes: number; ended: boolean; terminal: boolean }
  /** So much input was given to the command. */
  | { type: "taken"; bytes: number }
  /** What it prints from here on is not told. */
  | { type: "truncated" };

export interface Attaching {
  id: string;
  /** Output and states up to this position are known. */
  after: number;
  /** Also where somebody else writes now. */
  takeOver: boolean;
}

/** @throws ApiError; the signal's reason when it is aborted before it is open */
export async function attach(
  api: Api,
  { id, after, takeOver }: Attaching,
  signal: AbortSignal,
): Promise<Attachment> {
  const query = `?after=${after}&write=${takeOver ? "take" : "yes"}`;
  const path = `/v1/executions/${encodeURIComponent(id)}/attach${query}`;
  return new Attachment(api, await openSocket(api, { path, protocol: PROTOCOL, signal }));
}

export class Attachment {
  readonly #api: Api;
  readonly #socket: ClientSocket;

  constructor(api: Api, socket: ClientSocket) {
    this.#api = api;
    this.#socket = socket;
  }

  /** Resolves when nothing can be said any more. */
  get over(): Promise<void> {
    return this.#socket.over;
  }

  /** Why the server closed it; absent when the connection broke off. */
  get closed(): { code: number; reason: string } | undefined {
    return this.#socket.closed;
  }

  /** What the server says next; undefined when it says no more. @throws ApiError */
  async receive(): Promise<Said | undefined> {
    for (;;) {
      const message = await this.#socket.receive();
      if (message === undefined) return undefined;
      const said = typeof message === "string" ? this.#text(message) : this.#output(message);
      if (said) return said;
    }
  }

  /** False when the connection is over, as with all that follow. */
  input(bytes: Uint8Array): Promise<boolean> {
    return this.#socket.send(bytes);
  }

  /** The end of the input. */
  eof(): Promise<boolean> {
    return this.#say({ type: "eof" });
  }

  resize({ rows, columns }: TerminalSize): Promise<boolean> {
    return this.#say({ type: "resize", rows, columns });
  }

  signal(name: Deno.Signal): Promise<boolean> {
    return this.#say({ type: "signal", signal: name.slice("SIG".length) });
  }

  close(): Promise<void> {
    return this.#socket.close();
  }

  #say(message: unknown): Promise<boolean> {
    return this.#socket.send(JSON.stringify(message));
  }

  #output(message: Uint8Array): Said {
    const type = message[0] === 1 ? "stdout" : message[0] === 2 ? "stderr" : undefined;
    if (type === undefined || message.length < 9) throw this.#api.broken("It sends output of no stream");
    const id = new DataView(message.buffer, message.byteOffset).getBigUint64(1);
    return { type, id: Number(id), bytes: message.subarray(9) };
  }

  /** Undefined for what was not known when this was written. */
  #text(text: string): Said | undefined {
    const { type, id, bytes, ended, terminal } = parse(this.#api, text);
    if (type === "state") return { type, id: this.#number(id), state: readState(this.#api, text) };
    if (type === "taken") return { type, bytes: this.#number(bytes) };
    if (type === "truncated") return { type };
    if (type !== "input") return undefined;
    return { type, bytes: this.#number(bytes), ended: ended === true, terminal: terminal != null };
  }

  #number(value: unknown): number {
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.#api.broken("A message that should count does not");
  }
}
