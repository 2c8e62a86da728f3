/**
 * The stream format of attach, logs and exec without a terminal: frames of an 8-byte header `[stream, 0, 0, 0,
 * uint32 big-endian length]` and that many bytes (Engine API, "Attach to a container", "Stream format"). With a
 * terminal the bytes come raw.
 */

import { BrokenConnectionError, EngineError } from "./errors.ts";

/** A piece of one stream. A frame may come in several pieces, and a piece may split a UTF-8 character. */
export interface Output {
  stream: "stdout" | "stderr";
  bytes: Uint8Array;
}

const HEADER_BYTES = 8;
const SYSTEM_ERROR = 3;
/** An error of the engine inside the stream is kept no longer than this. */
const MAX_ERROR_BYTES = 4096;

/** Takes the stream apart, wherever the transport has split it, without ever holding a whole frame. */
export class FrameDecoder {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #left = 0;
  #error: string | undefined;

  /**
   * The pieces in a chunk, to be taken before the next one is pushed.
   *
   * @throws BrokenConnectionError when the bytes are no frames
   * @throws EngineError when a frame carries an error of the engine
   */
  *push(chunk: Uint8Array): Generator<Output> {
    for (let at = 0; at < chunk.length;) {
      if (this.#headerBytes < HEADER_BYTES) {
        const take = Math.min(HEADER_BYTES - this.#headerBytes, chunk.length - at);
        this.#header.set(chunk.subarray(at, at + take), this.#headerBytes);
        this.#headerBytes += take;
        at += take;
        if (this.#headerBytes < HEADER_BYTES) break;
        this.#begin();
      } else {
        const bytes = chunk.subarray(at, at + this.#left);
        this.#left -= bytes.length;
        at += bytes.length;
        if (this.#error !== undefined) this.#collectError(bytes);
        // Stream 0 is stdin, which an engine echoes on stdout.
        else yield { stream: this.#header[0] === 2 ? "stderr" : "stdout", bytes };
      }
      if (this.#left === 0) this.#finish();
    }
  }

  /** Tells that the stream has ended. @throws BrokenConnectionError when that was inside a frame */
  end(): void {
    if (this.#headerBytes === 0) return;
    throw new BrokenConnectionError("The container's output broke off", {
      why: this.#headerBytes < HEADER_BYTES
        ? "The connection ended inside a frame's header"
        : `The connection ended with ${this.#left} bytes of a frame missing`,
    });
  }

  #begin(): void {
    const [stream, a, b, c] = this.#header;
    if (stream === undefined || stream > SYSTEM_ERROR || a !== 0 || b !== 0 || c !== 0) {
      throw new BrokenConnectionError("The container's output is not in frames", {
        why: `A frame's header is ${[...this.#header].join(" ")}`,
      });
    }
    this.#left = new DataView(this.#header.buffer).getUint32(4);
    if (stream === SYSTEM_ERROR) this.#error = "";
  }

  #collectError(bytes: Uint8Array): void {
    const room = MAX_ERROR_BYTES - (this.#error ?? "").length;
    this.#error += new TextDecoder().decode(bytes.subarray(0, Math.max(0, room)));
  }

  #finish(): void {
    this.#headerBytes = 0;
    if (this.#error === undefined) return;
    const engineMessage = this.#error.trim();
    throw new EngineError("The container's output ended with an error of the engine", {
      why: engineMessage,
      engineMessage,
    });
  }
}

/** The streams in a hijacked or logs body. With `tty` everything is stdout. */
export async function* demultiplex(
  chunks: AsyncIterable<Uint8Array>,
  options: { tty: boolean },
): AsyncGenerator<Output> {
  if (options.tty) {
    for await (const bytes of chunks) yield { stream: "stdout", bytes };
    return;
  }
  const decoder = new FrameDecoder();
  for await (const chunk of chunks) yield* decoder.push(chunk);
  decoder.end();
}
