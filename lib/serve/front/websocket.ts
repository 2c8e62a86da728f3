/**
 * WebSockets, RFC 6455. Not those of the runtime, which read on while nobody takes what came, and up to 64 MiB at once:
 * here a client is read from when its last message has been taken, and what is sent waits for it.
 */
import { createHash } from "node:crypto";
import type { Connection } from "./connection.ts";
import { closeStatus, closing, frame, frameHead, OPCODE, unmask, utf8, Violation } from "./frames.ts";
import type { Input } from "./input.ts";
import { latin1 } from "./reply.ts";

/** Of one message, in however many frames. */
const MOST_MESSAGE_BYTES = 256 * 1024;
/** Pings, pongs and empty frames that are taken at once, and how many more each second. */
const MOST_IDLE_FRAMES = 200, IDLE_FRAMES_PER_SECOND = 50;
/** For a client to answer that it closes too. */
const CLOSE_MS = 2000;

/** Text as a string, bytes as bytes. */
export type Message = string | Uint8Array<ArrayBuffer>;

/** The server's end of one. Nothing here rejects because the client is gone. */
export interface Socket {
  /** The next message; undefined when there will be none. One caller at a time. @throws Violation, to be let through */
  receive(): Promise<Message | undefined>;
  /** Resolves when the connection has taken it; false when it is over. */
  send(message: string | Uint8Array): Promise<boolean>;
  /** Says so, and resolves when the client has, or has not in a moment. */
  close(code: number, reason?: string): Promise<void>;
  /** Aborted when nothing can be sent any more. */
  readonly over: AbortSignal;
}

/** The answer to a request that becomes a WebSocket. Only a front can send it. */
export class Upgrade extends Response {
  /** `serve` talks; when it returns the socket is closed with 1000, and with the code of a {@link Violation} it throws. */
  constructor(readonly serve: (socket: Socket) => Promise<void>, readonly protocol?: string) {
    super(null);
    Object.defineProperty(this, "status", { value: 101 });
  }
}

/** Whether a request asks for a WebSocket in a way that can be answered; if not, why. */
export function asksForWebSocket({ headers, method }: Request): "yes" | "no" | "version" | "key" {
  const connection = (headers.get("connection") ?? "").toLowerCase().split(/[ \t]*,[ \t]*/);
  const upgrade = headers.get("upgrade")?.toLowerCase();
  if (method !== "GET" || upgrade !== "websocket" || !connection.includes("upgrade")) return "no";
  if (headers.get("sec-websocket-version") !== "13") return "version";
  return /^[A-Za-z0-9+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "") ? "yes" : "key";
}

/** Section 4.2.2. */
function switching(request: Request, protocol: string | undefined): Uint8Array {
  const key = request.headers.get("sec-websocket-key")!;
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return latin1(
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n" +
      `sec-websocket-accept: ${accept}\r\n` +
      `${protocol === undefined ? "" : `sec-websocket-protocol: ${protocol}\r\n`}\r\n`,
  );
}

export interface Ends {
  client: Connection;
  input: Input;
  /** A client from which nothing comes for so long is asked whether it is there, and closed after as long again. */
  silenceMs: number;
}

/** Carries it to its end. @throws what `serve` throws, if that is no Violation */
export async function serveSocket(request: Request, { serve, protocol }: Upgrade, ends: Ends): Promise<void> {
  await ends.client.write(switching(request, protocol));
  const socket = new ServerSocket(ends);
  try {
    await serve(socket);
    await socket.close(1000);
  } catch (error) {
    if (error instanceof Violation) return await socket.close(error.code, error.message);
    await socket.close(1011, "the server failed");
    throw error;
  } finally {
    socket.end();
  }
}

class ServerSocket implements Socket {
  readonly #ends: Ends;
  readonly #over = new AbortController();
  readonly #timer: number;
  #turn: Promise<unknown> = Promise.resolve();
  #heard = performance.now();
  /** Waiting for the client, not for whoever takes its messages. */
  #reading = false;
  #receiving = false;
  #closing = false;
  #closed = false;
  #idleFrames = MOST_IDLE_FRAMES;
  #idleSince = performance.now();

  constructor(ends: Ends) {
    this.#ends = ends;
    this.#timer = setInterval(() => this.#look(), ends.silenceMs / 2);
    Deno.unrefTimer(this.#timer);
  }

  get over(): AbortSignal {
    return this.#over.signal;
  }

  async receive(): Promise<Message | undefined> {
    if (this.#closing || this.#receiving) return undefined;
    this.#receiving = true;
    try {
      return await this.#message();
    } finally {
      this.#receiving = false;
    }
  }

  async send(message: string | Uint8Array): Promise<boolean> {
    if (this.#closing) return false;
    return await (typeof message === "string"
      ? this.#write(OPCODE.text, new TextEncoder().encode(message))
      : this.#write(OPCODE.binary, message));
  }

  async close(code: number, reason = ""): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.#write(OPCODE.close, closing(code, reason));
    const late = setTimeout(() => this.end(), CLOSE_MS);
    try {
      // Whoever receives skips what still comes, until the client's own close.
      if (!this.#receiving) await this.#message();
      else if (!this.over.aborted) {
        await new Promise<void>((resolve) => this.over.addEventListener("abort", () => resolve()));
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      // No frames any more. To close with unread bytes around would destroy what was said on its way.
      const { input } = this.#ends;
      do input.take(input.length); while (await this.#more());
    } finally {
      clearTimeout(late);
      this.end();
    }
  }

  /** At once. */
  end(): void {
    clearInterval(this.#timer);
    this.#closing = this.#closed = true;
    this.#ends.client.close();
    this.#over.abort();
  }

  async #message(): Promise<Message | undefined> {
    const parts: Uint8Array[] = [];
    let size = 0, type: number | undefined;
    for (;;) {
      const head = await this.#head();
      if (!head) return undefined;
      const { opcode, length, final, mask } = head;
      if (opcode >= 8 || length === 0) this.#idle();
      if (opcode === OPCODE.text || opcode === OPCODE.binary) {
        if (type !== undefined) throw new Violation(1002, "a message begins within another");
        type = opcode;
      } else if (opcode === OPCODE.continuation && type === undefined) {
        throw new Violation(1002, "a message goes on that has not begun");
      }
      if (opcode < 8) size += length;
      // While it closes, what comes is not kept.
      const keep = !this.#closing || opcode === OPCODE.close;
      if (keep && size > MOST_MESSAGE_BYTES) {
        throw new Violation(1009, `a message is longer than ${MOST_MESSAGE_BYTES} bytes`);
      }
      const payload = await this.#payload(length, mask, keep);
      if (!payload) return undefined;
      if (opcode === OPCODE.close) return await this.#answerClose(payload);
      if (opcode === OPCODE.ping) await this.#write(OPCODE.pong, payload);
      if (opcode >= 8) continue;
      if (!this.#closing) parts.push(payload);
      if (!final) continue;
      if (this.#closing) type = undefined;
      else return type === OPCODE.text ? utf8(joined(parts, size)) : joined(parts, size);
    }
  }

  async #answerClose(payload: Uint8Array): Promise<undefined> {
    const code = closeStatus(payload);
    if (!this.#closing) {
      this.#closing = true;
      await this.#write(OPCODE.close, closing(code, ""));
    }
    this.end();
    return undefined;
  }

  async #head() {
    const { input } = this.#ends;
    for (;;) {
      const head = frameHead(input.view().subarray(0, 14));
      if (head) {
        input.take(head.size);
        return head;
      }
      if (!await this.#more()) return undefined;
    }
  }

  /** Grows as it comes: what is announced and never sent holds nothing. */
  async #payload(length: number, mask: Uint8Array, keep: boolean): Promise<Uint8Array | undefined> {
    const { input } = this.#ends;
    const parts: Uint8Array[] = [];
    for (let at = 0; at < length;) {
      if (input.length === 0 && !await this.#more()) return undefined;
      const part = input.take(length - at);
      unmask(part, mask, at);
      at += part.length;
      if (keep) parts.push(part);
    }
    return parts.length === 1 ? parts[0]! : joined(parts, keep ? length : 0);
  }

  async #more(): Promise<boolean> {
    this.#reading = true;
    const came = !this.#closed && await this.#ends.input.more();
    this.#reading = false;
    this.#heard = performance.now();
    if (!came) this.end();
    return came;
  }

  /** One frame after another, as fast as the client takes them. */
  async #write(opcode: number, payload: Uint8Array): Promise<boolean> {
    const turn = this.#turn.then(() => this.#ends.client.write(frame(opcode, payload)));
    this.#turn = turn.catch(() => {});
    try {
      await turn;
      return true;
    } catch {
      // The connection says to nobody else that the client is gone, or takes nothing.
      this.end();
      return false;
    }
  }

  /** @throws Violation for a client that does nothing else */
  #idle(): void {
    const now = performance.now();
    const more = (now - this.#idleSince) / 1000 * IDLE_FRAMES_PER_SECOND;
    this.#idleFrames = Math.min(MOST_IDLE_FRAMES, this.#idleFrames + more) - 1;
    this.#idleSince = now;
    if (this.#idleFrames < 0 && !this.#closing) {
      throw new Violation(1008, "too many frames that carry nothing");
    }
  }

  #look(): void {
    const { silenceMs } = this.#ends;
    const silent = performance.now() - this.#heard;
    if (this.#reading && silent > 2 * silenceMs) {
      this.close(1008, "no answer to pings").catch(() => this.end());
    } else if (silent > silenceMs) this.#write(OPCODE.ping, new Uint8Array());
  }
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
