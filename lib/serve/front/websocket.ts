/**
 * WebSockets, RFC 6455. Not those of the runtime, which read on while nobody takes what came, and up to 64 MiB at once:
 * here a client is read from when its last message has been taken, and what is sent waits for it.
 */
import { concat } from "../../host/pieces.ts";
import type { Connection } from "./connection.ts";
import { acceptanceOf, closeStatus, closing, OPCODE, utf8, Violation } from "./frames.ts";
import { Framed } from "./framed.ts";
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
  const accept = acceptanceOf(request.headers.get("sec-websocket-key")!);
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
  readonly #frames: Framed;
  readonly #over = new AbortController();
  readonly #timer: number;
  #receiving = false;
  #closing = false;
  #idleFrames = MOST_IDLE_FRAMES;
  #idleSince = performance.now();

  constructor(ends: Ends) {
    this.#ends = ends;
    const { client, input } = ends;
    this.#frames = new Framed({
      input,
      from: "client",
      write: (bytes) => client.write(bytes),
      end: () => this.end(),
    });
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
      ? this.#frames.write(OPCODE.text, new TextEncoder().encode(message))
      : this.#frames.write(OPCODE.binary, message));
  }

  async close(code: number, reason = ""): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.#frames.write(OPCODE.close, closing(code, reason));
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
      do input.take(input.length); while (await this.#frames.more());
    } finally {
      clearTimeout(late);
      this.end();
    }
  }

  /** At once. */
  end(): void {
    clearInterval(this.#timer);
    this.#closing = true;
    this.#frames.stop();
    this.#ends.client.close();
    this.#over.abort();
  }

  async #message(): Promise<Message | undefined> {
    const parts: Uint8Array[] = [];
    let size = 0, type: number | undefined;
    for (;;) {
      const head = await this.#frames.head();
      if (!head) return undefined;
      const { opcode, length, final } = head;
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
      const payload = await this.#frames.payload(head, keep);
      if (!payload) return undefined;
      if (opcode === OPCODE.close) return await this.#answerClose(payload);
      if (opcode === OPCODE.ping) await this.#frames.write(OPCODE.pong, payload);
      if (opcode >= 8) continue;
      if (!this.#closing) parts.push(payload);
      if (!final) continue;
      if (this.#closing) type = undefined;
      else return type === OPCODE.text ? utf8(concat(parts)) : concat(parts);
    }
  }

  async #answerClose(payload: Uint8Array): Promise<undefined> {
    const code = closeStatus(payload);
    if (!this.#closing) {
      this.#closing = true;
      await this.#frames.write(OPCODE.close, closing(code, ""));
    }
    this.end();
    return undefined;
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
    const silent = performance.now() - this.#frames.heard;
    if (this.#frames.reading && silent > 2 * silenceMs) {
      this.close(1008, "no answer to pings").catch(() => this.end());
    } else if (silent > silenceMs) this.#frames.write(OPCODE.ping, new Uint8Array());
  }
}
