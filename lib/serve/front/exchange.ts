/** What the connections of a front share, and one request with its answer on one of them. */
import type { Body } from "./chunks.ts";
import type { Handler, Log } from "./handler.ts";
import type { Head } from "./head.ts";
import type { Names } from "./hosts.ts";

/** Milliseconds. */
export interface Deadlines {
  /** For a whole head, from its first byte (or from the beginning of the connection). */
  header: number;
  /** For a whole body. */
  body: number;
  /** Between two requests. */
  idle: number;
  /** Without a byte of a body, or of a response that the client takes. */
  stall: number;
}

/** What all connections of a front have in common. */
export interface Shared {
  handler: Handler;
  names: Names;
  deadlines: Deadlines;
  log: Log;
  draining: boolean;
}

/** One request in work. */
export class Exchange {
  readonly gone: AbortController = new AbortController();
  readonly head: Head;
  readonly body: Body;
  /** Of the response's body. */
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  /** Something of the response was written. */
  replied = false;
  done = false;
  watched = false;
  continued = false;

  constructor(head: Head, body: Body) {
    this.head = head;
    this.body = body;
  }
}
