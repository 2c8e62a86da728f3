/** A hijacked connection to a container's or exec's streams. */

import { demultiplex, type Output } from "./frames.ts";
import { withoutNote } from "./podman-note.ts";
import type { Reply } from "./request.ts";

/** Streams of a process: read {@link output}, write its stdin, and close. */
export class Attached {
  readonly #reply: Reply;
  readonly #tty: boolean;
  readonly #notes: boolean;

  /** `notes`: the engine may end the output with a word of its own (see {@link withoutNote}). */
  constructor(reply: Reply, options: { tty: boolean; notes?: boolean }) {
    this.#reply = reply;
    this.#notes = options.notes === true;
    this.#tty = options.tty;
  }

  /** The process's output to its end; may be iterated once. While nobody iterates, the process blocks. */
  output(): AsyncGenerator<Output> {
    const output = demultiplex(this.#reply.chunks(), { tty: this.#tty });
    return this.#notes ? withoutNote(output) : output;
  }

  /** The same for who is done with a piece before asking for the next: a gigabyte of it leaves no garbage. */
  passing(): AsyncGenerator<Output> {
    return this.#notes ? this.output() : demultiplex(this.#reply.views(), { tty: this.#tty });
  }

  /** Writes to stdin; waits while the process does not read. False when stdin takes nothing any more. */
  async write(bytes: Uint8Array): Promise<boolean> {
    return await this.#reply.connection.tryWrite(bytes);
  }

  /** Ends stdin; output goes on. With a terminal the engine ends stdin only when the connection closes. */
  async closeStdin(): Promise<void> {
    await this.#reply.connection.closeWrite();
  }

  /** Closes both directions; a pending iteration throws. */
  close(): void {
    this.#reply.close();
  }
}
