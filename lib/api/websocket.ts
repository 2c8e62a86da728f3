/**
 * The client's end of a WebSocket, RFC 6455. Not the runtime's: that one knows no Unix sockets and no authorities of
 * ours, and reads on while nobody takes what came.
 */
import { randomBytes } from "node:crypto";
import { CordonError } from "../errors.ts";
import { acceptanceOf, closeStatus, closing, OPCODE, utf8, Violation } from "../serve/front/frames.ts";
import { Framed } from "../serve/front/framed.ts";
import { Input } from "../serve/front/input.ts";
import { dial } from "./dial.ts";
import { type Api, printable, refusal } from "./request.ts";
import { concat, writeAll } from "../host/pieces.ts";

const MOST_HEAD_BYTES = 64 * 1024;
const MOST_MESSAGE_BYTES = 1024 * 1024;
/** A server that is asked so often, in milliseconds, and says nothing for so long is gone. */
const ASK_MS = 15_000, SILENCE_MS = 45_000;
/** For the server to answer that it closes too. */
const CLOSE_MS = 1000;

export interface Opening {
  /** Below the address, beginning with a slash. */
  path: string;
  protocol: string;
  /** Until it is open. */
  signal: AbortSignal;
}

/** @throws ApiError; the signal's reason when it is aborted */
export async function openSocket(api: Api, opening: Opening): Promise<ClientSocket> {
  const connection = await connected(api, opening.signal);
  const end = () => close(connection);
  opening.signal.addEventListener("abort", end, { once: true });
  const input = new Input(connection);
  try {
    const key = randomBytes(16).toString("base64");
    await writeAll(connection, request(api, opening, key));
    await upgraded(api, { input, key });
  } catch (error) {
    end();
    opening.signal.throwIfAborted();
    throw told(api, error);
  } finally {
    opening.signal.removeEventListener("abort", end);
  }
  return new ClientSocket(connection, input);
}

async function connected(api: Api, signal: AbortSignal): Promise<Deno.Conn> {
  signal.throwIfAborted();
  const dialled = dial(api.address, api.env);
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([dialled, stopped.promise]);
  } catch (error) {
    // One that comes about after all is nobody's; one that fails was told, or is of no interest any more.
    dialled.then(close, () => undefined);
    signal.throwIfAborted();
    throw told(api, error);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function told(api: Api, error: unknown): CordonError {
  return error instanceof CordonError ? error : api.unreachable(error);
}

/** Section 4.1. */
function request({ address }: Api, { path, protocol }: Opening, key: string): Uint8Array {
  const { base, authorization } = address;
  const { host, pathname } = new URL(base + path.replace(/\?.*/, ""));
  const query = /\?.*/.exec(path)?.[0] ?? "";
  const lines = [
    `GET ${pathname}${query} HTTP/1.1`,
    `host: ${host}`,
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    `sec-websocket-key: ${key}`,
    `sec-websocket-protocol: ${protocol}`,
    ...(authorization === undefined ? [] : [`authorization: ${authorization}`]),
  ];
  return new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
}

/** @throws ApiError unless it is a WebSocket from here on */
async function upgraded(api: Api, { input, key }: { input: Input; key: string }): Promise<void> {
  const [start = "", ...fields] = (await head(api, input)).split("\r\n");
  const [, code, statusText = ""] = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(start) ?? [];
  if (code === undefined) throw api.broken("It is no HTTP", 0);
  const headers = new Headers();
  for (const field of fields) {
    const [, name, value = ""] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? [];
    if (name === undefined) throw api.broken("It is no HTTP", 0);
    headers.append(name, value);
  }
  const status = Number(code);
  if (status >= 300 && status < 600) {
    const response = new Response(await body(input, headers), { status, headers, statusText });
    throw await refusal(response, api.address.shown);
  }
  if (status !== 101 || headers.get("sec-websocket-accept") !== acceptanceOf(key)) {
    throw api.broken(`It opens no WebSocket: ${code} ${printable(statusText)}`, status);
  }
}

async function head(api: Api, input: Input): Promise<string> {
  for (let text = "";;) {
    const view = input.view();
    let end = -1;
    for (let at = 3; at < view.length && end < 0; at++) {
      if (view[at] === 10 && view[at - 1] === 13 && view[at - 2] === 10 && view[at - 3] === 13) end = at + 1;
    }
    if (end >= 0) {
      for (const byte of input.take(end - 4)) text += String.fromCharCode(byte);
      input.take(4);
      return text;
    }
    if (view.length >= MOST_HEAD_BYTES) throw api.broken("Its head is too long", 0);
    if (!await input.more()) throw api.broken("It broke off", 0);
  }
}

/** Of an answer that says how long it is; nothing of others. */
async function body(input: Input, headers: Headers): Promise<Uint8Array<ArrayBuffer> | null> {
  const length = Number(headers.get("content-length") ?? 0);
  if (!(length > 0 && length < MOST_HEAD_BYTES)) return null;
  while (input.length < length && await input.more());
  return input.take(length);
}

export class ClientSocket {
  readonly #connection: Deno.Conn;
  readonly #frames: Framed;
  readonly #over = Promise.withResolvers<void>();
  readonly #timer: number;
  #receiving = false;
  #closing = false;
  #ended = false;
  /** With what the server closed it; absent when it broke off. */
  closed: { code: number; reason: string } | undefined;

  constructor(connection: Deno.Conn, input: Input) {
    this.#connection = connection;
    this.#frames = new Framed({
      input,
      from: "server",
      write: (bytes) => writeAll(connection, bytes),
      end: () => this.end(),
    });
    this.#timer = setInterval(() => this.#look(), ASK_MS);
  }

  /** Resolves when nothing can be sent any more. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** The next message, text as a string; undefined when there will be none. One caller at a time. */
  async receive(): Promise<string | Uint8Array | undefined> {
    this.#receiving = true;
    try {
      return await this.#message();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.closed ??= { code: error.code, reason: error.message };
      await this.#frames.write(OPCODE.close, closing(error.code, error.message));
      this.end();
      return undefined;
    } finally {
      this.#receiving = false;
    }
  }

  /** Resolves when the connection has taken it; false when it is over. */
  async send(message: string | Uint8Array): Promise<boolean> {
    if (this.#closing) return false;
    return await (typeof message === "string"
      ? this.#frames.write(OPCODE.text, new TextEncoder().encode(message))
      : this.#frames.write(OPCODE.binary, message));
  }

  /** Says so, behind all that was sent, and resolves when the server has too, or has not in a moment. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#closing = true;
    const late = setTimeout(() => this.end(), CLOSE_MS);
    await this.#frames.write(OPCODE.close, closing(1000, ""));
    while (!this.#ended && !this.#receiving && await this.receive() !== undefined);
    await this.over;
    clearTimeout(late);
  }

  /** At once. */
  end(): void {
    if (this.#ended) return;
    this.#ended = this.#closing = true;
    this.#frames.stop();
    clearInterval(this.#timer);
    close(this.#connection);
    this.#over.resolve();
  }

  async #message(): Promise<string | Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    let size = 0, type: number | undefined;
    for (;;) {
      const head = await this.#frames.head();
      if (!head) return undefined;
      const { opcode, length, final } = head;
      if (opcode < 8) {
        if ((opcode === OPCODE.continuation) !== (type !== undefined)) {
          throw new Violation(1002, "messages are mixed up");
        }
        type ??= opcode;
        size += length;
      }
      if (size > MOST_MESSAGE_BYTES) throw new Violation(1009, "a message is too long");
      const payload = await this.#frames.payload(head);
      if (!payload) return undefined;
      if (opcode === OPCODE.close) return await this.#answerClose(payload);
      if (opcode === OPCODE.ping) await this.#frames.write(OPCODE.pong, payload);
      if (opcode >= 8) continue;
      parts.push(payload);
      if (!final) continue;
      const whole = parts.length === 1 ? payload : concat(parts);
      return type === OPCODE.text ? utf8(whole) : whole;
    }
  }

  async #answerClose(payload: Uint8Array): Promise<undefined> {
    const code = closeStatus(payload);
    this.closed ??= { code, reason: utf8(payload.subarray(2)) };
    if (!this.#closing) {
      this.#closing = true;
      await this.#frames.write(OPCODE.close, closing(code, ""));
    }
    this.end();
    return undefined;
  }

  #look(): void {
    // While nobody reads, nothing can be heard.
    if (this.#frames.reading && performance.now() - this.#frames.heard > SILENCE_MS) this.end();
    else void this.#frames.write(OPCODE.ping, new Uint8Array());
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    // Twice is as good as once.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
