/**
 * One connection to the engine, with buffered reading, half-close and cancellation. Nothing is read ahead of what is
 * asked for beyond one buffer, so a caller that does not read makes the engine wait instead of our memory grow.
 */

import { type Endpoint, formatEndpoint } from "./endpoint.ts";
import { BrokenConnectionError } from "./errors.ts";
import { unreachable } from "./unreachable.ts";
import { writeAll } from "../host/pieces.ts";

const BUFFER_BYTES = 64 * 1024;

/** What a connection needs of a socket; `Deno.Conn` of every kind has it. */
export interface Socket {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

/** A buffered, cancellable connection. Cancelling its signal closes it and makes every call throw the reason. */
export class Connection {
  readonly #socket: Socket;
  readonly #signal: AbortSignal | undefined;
  readonly #resetIsEnd: boolean;
  readonly #onAbort = () => this.close();
  #buffer = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #closed = false;
  #failure: unknown;
  #writeFailure: unknown;

  constructor(socket: Socket, options: { signal?: AbortSignal | undefined; resetIsEnd?: boolean } = {}) {
    const { signal, resetIsEnd = false } = options;
    this.#socket = socket;
    this.#signal = signal;
    this.#resetIsEnd = resetIsEnd;
    if (signal?.aborted) this.close();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Why the last {@link tryWrite} failed, if one did. */
  get writeFailure(): unknown {
    return this.#writeFailure;
  }

  /** Some bytes (at most `max`), or null at the end of the stream. The array is the caller's to keep. */
  async read(max = BUFFER_BYTES): Promise<Uint8Array | null> {
    return (await this.readView(max))?.slice() ?? null;
  }

  /** The same without a copy: the bytes are good until the next read. */
  async readView(max = BUFFER_BYTES): Promise<Uint8Array | null> {
    if (this.#start === this.#end && !await this.#fill()) return null;
    const end = Math.min(this.#end, this.#start + max);
    const bytes = this.#buffer.subarray(this.#start, end);
    this.#start = end;
    return bytes;
  }

  /**
   * A line without its CR LF, or null when the stream ends before its first byte.
   *
   * @throws BrokenConnectionError when the stream ends inside the line or the line is longer than `max` bytes
   */
  async readLine(max: number): Promise<string | null> {
    let line = "";
    while (true) {
      if (this.#start === this.#end && !await this.#fill()) {
        if (line === "") return null;
        throw new BrokenConnectionError("The engine's answer broke off", {
          why: "The stream ended inside a line",
        });
      }
      const pending = this.#buffer.subarray(this.#start, this.#end);
      const newline = pending.indexOf(10);
      const taken = newline < 0 ? pending : pending.subarray(0, newline);
      for (const byte of taken) line += String.fromCharCode(byte);
      this.#start += taken.length + (newline < 0 ? 0 : 1);
      if (line.length > max) {
        throw new BrokenConnectionError("The engine's answer is not HTTP", {
          why: `A line exceeds ${max} bytes`,
        });
      }
      if (newline >= 0) return line.endsWith("\r") ? line.slice(0, -1) : line;
    }
  }

  /** Writes everything; waits while the other side does not read. */
  async write(bytes: Uint8Array): Promise<void> {
    if (!await this.tryWrite(bytes)) {
      throw new BrokenConnectionError("Cannot send to the engine", {
        why: this.#writeFailure instanceof Error ? this.#writeFailure.message : String(this.#writeFailure),
        cause: this.#writeFailure,
      });
    }
  }

  /**
   * Like {@link write}, but false when the other side no longer takes anything: it may have answered early, and the
   * answer, still to be read, says more than the broken pipe does.
   */
  async tryWrite(bytes: Uint8Array): Promise<boolean> {
    try {
      await writeAll(this.#socket, bytes);
      return true;
    } catch (error) {
      this.#throwIfEnded();
      this.#writeFailure = error;
      return false;
    }
  }

  /** Half-close: the other side sees the end of its input and can still answer. */
  async closeWrite(): Promise<void> {
    try {
      await this.#socket.closeWrite();
    } catch (error) {
      this.#throwIfEnded();
      // The other side was quicker and has closed; then there is nobody left to tell.
      if (!(error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.BrokenPipe)) {
        throw error;
      }
    }
  }

  /** Closes the connection so that pending and later calls throw `error`. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.close();
  }

  /** Closes the connection; harmless when closed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#socket.close();
  }

  async #fill(): Promise<boolean> {
    if (this.#buffer.length === 0) this.#buffer = new Uint8Array(BUFFER_BYTES);
    let count: number | null;
    try {
      this.#throwIfEnded();
      count = await this.#socket.read(this.#buffer);
    } catch (error) {
      this.#throwIfEnded();
      if (this.#resetIsEnd && error instanceof Deno.errors.ConnectionReset) return false;
      throw new BrokenConnectionError("The connection to the engine broke", {
        why: error instanceof Error ? error.message : String(error),
        cause: error,
      });
    }
    this.#start = 0;
    this.#end = count ?? 0;
    return count !== null && count > 0;
  }

  #throwIfEnded(): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#signal?.throwIfAborted();
    if (this.#closed) throw new BrokenConnectionError("The connection to the engine was closed on this side");
  }
}

/**
 * Connects to the engine.
 *
 * @throws UnreachableError with the cause looked for, when nothing answers
 */
export async function connect(endpoint: Endpoint, signal?: AbortSignal): Promise<Connection> {
  signal?.throwIfAborted();
  const opening = open(endpoint);
  let stop: (() => void) | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal?.reason);
    signal?.addEventListener("abort", stop, { once: true });
  });
  try {
    const socket = await Promise.race([opening, stopped]);
    // A Unix socket whose other end closes with our stdin unread reports a reset, but only after everything that was
    // sent to us: it is an ordinary end. Over TCP a reset may have thrown output away.
    return new Connection(socket, { signal, resetIsEnd: endpoint.kind === "unix" });
  } catch (error) {
    // A connection that comes about after all is nobody's: close it. If it fails instead, that was reported or
    // is of no interest any more.
    opening.then((socket) => socket.close(), () => undefined);
    signal?.throwIfAborted();
    throw await unreachable(endpoint, error);
  } finally {
    if (stop) signal?.removeEventListener("abort", stop);
  }
}

async function open(endpoint: Endpoint): Promise<Socket> {
  if (endpoint.kind === "unix") return await Deno.connect({ transport: "unix", path: endpoint.path });
  const { host: hostname, port, tls } = endpoint;
  if (!tls) return await Deno.connect({ hostname, port });
  const socket = await Deno.connectTls({
    hostname,
    port,
    alpnProtocols: ["http/1.1"],
    ...(tls.ca !== undefined ? { caCerts: [tls.ca] } : {}),
    ...(tls.cert !== undefined && tls.key !== undefined ? { cert: tls.cert, key: tls.key } : {}),
  });
  try {
    await socket.handshake();
  } catch (error) {
    socket.close();
    throw new Error(
      `TLS with ${formatEndpoint(endpoint)} failed: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
  return socket;
}
