/** An end of a WebSocket as frames: read one after the other, written one after the other. RFC 6455, section 5. */
import { randomBytes } from "node:crypto";
import { concat } from "../../host/pieces.ts";
import { frame, type FrameHead, frameHead, unmask } from "./frames.ts";
import type { Input } from "./input.ts";

export interface Line {
  input: Input;
  /** Whose frames come. A client masks those that it sends. */
  from: "client" | "server";
  write(bytes: Uint8Array): Promise<void>;
  /** The other side is gone, or takes nothing. It calls {@link Framed.stop}. */
  end(): void;
}

export class Framed {
  readonly #line: Line;
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;
  /** When something was read last: performance.now(). */
  heard = performance.now();
  /** Waiting for the other side, not for whoever takes its messages. */
  reading = false;

  constructor(line: Line) {
    this.#line = line;
  }

  /** Nothing more is read. */
  stop(): void {
    this.#stopped = true;
  }

  /** The head of the next frame; undefined when there will be none. @throws Violation */
  async head(): Promise<FrameHead | undefined> {
    const { input, from } = this.#line;
    for (;;) {
      const head = frameHead(input.view().subarray(0, 14), from);
      if (head) {
        input.take(head.size);
        return head;
      }
      if (!await this.more()) return undefined;
    }
  }

  /** Grows as it comes: what is announced and never sent holds nothing. Without `keep` it is empty. */
  async payload({ length, mask }: FrameHead, keep = true): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { input } = this.#line;
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (let at = 0; at < length;) {
      if (input.length === 0 && !await this.more()) return undefined;
      const part = input.take(length - at);
      if (mask.length > 0) unmask(part, mask, at);
      at += part.length;
      if (keep) parts.push(part);
    }
    return parts.length === 1 ? parts[0]! : concat(parts);
  }

  /** Waits until something more is there; false when nothing will be. */
  async more(): Promise<boolean> {
    this.reading = true;
    const came = !this.#stopped && await this.#line.input.more();
    this.reading = false;
    this.heard = performance.now();
    if (!came) this.#line.end();
    return came;
  }

  /** Resolves when the other side has taken it; false when it is gone. */
  async write(opcode: number, payload: Uint8Array): Promise<boolean> {
    const { from, write } = this.#line;
    const bytes = from === "client" ? frame(opcode, payload) : frame(opcode, payload, randomBytes(4));
    const turn = this.#turn.then(() => write(bytes));
    this.#turn = turn.catch(() => {});
    try {
      await turn;
      return true;
    } catch {
      // Why is of no use to anybody: the other side is gone, takes nothing, or it was closed here.
      this.#line.end();
      return false;
    }
  }
}
