/** The side of an execution that takes something while it runs: input, signals, the size of its terminal. */
import type { Controls, TerminalSize } from "../engine/engine.ts";

/** What becomes of an execution when whoever writes to it goes away. */
export type OnDetach = "keep" | "eof" | "cancel";

export interface Interactive {
  onDetach: OnDetach;
  terminal?: TerminalSize;
}

/** Bytes that wait for the command to read them. */
export const MOST_WAITING = 256 * 1024;
/** Given to the command at once: that it takes its input is seen by these. */
const MOST_AT_ONCE = 64 * 1024;
/** What each piece costs beside its bytes. */
const PIECE_BYTES = 128;
/** Ctrl-D: a terminal has no other end of its input (termios(3), VEOF). */
const END_OF_TRANSMISSION = new Uint8Array([4]);

export class Interaction {
  readonly onDetach: OnDetach;
  /** For the engine. Made when it is asked for. */
  readonly stdin: ReadableStream<Uint8Array>;
  #terminal: TerminalSize | undefined;
  #queue: Uint8Array[] = [];
  #waiting = 0;
  #sent = false;
  #changed = Promise.withResolvers<void>();
  #ended = false;
  /** The command, or its engine, reads no more. */
  #deaf = false;
  #controls = Promise.withResolvers<Controls>();
  #running = false;
  #resized = false;
  #writer: (() => void) | undefined;
  /** Bytes that the command was given. */
  given = 0;
  /** Bytes that came, given to the command already or not. */
  received = 0;

  constructor({ onDetach, terminal }: Interactive) {
    this.onDetach = onDetach;
    this.#terminal = terminal;
    this.stdin = new ReadableStream({
      pull: (controller) => this.#pull(controller),
      cancel: () => {
        this.#deaf = true;
        this.#queue = [];
        this.#waiting = 0;
        this.#wake();
      },
    }, { highWaterMark: 0 });
  }

  get terminal(): TerminalSize | undefined {
    return this.#terminal;
  }

  /** It runs. */
  begun(controls: Controls): void {
    this.#running = true;
    if (this.#resized) this.#catchUp(controls);
    this.#controls.resolve(controls);
    this.#wake();
  }

  /** The engine may have read the size before it was another. */
  async #catchUp(controls: Controls): Promise<void> {
    try {
      await controls.resize(this.#terminal!);
    } catch {
      // It is ending; a size is not worth a failure.
    }
  }

  /** Becomes the one who writes; false when there is one. `taken`: somebody else has become it. */
  take(taken: () => void, { force }: { force: boolean }): boolean {
    if (this.#writer && !force) return false;
    this.#writer?.();
    this.#writer = taken;
    return true;
  }

  /** Tells whether it was the one who wrote. */
  leave(taken: () => void): boolean {
    if (this.#writer !== taken) return false;
    this.#writer = undefined;
    return true;
  }

  /** No more input is taken. A terminal's has no end. */
  get ended(): boolean {
    return this.#ended;
  }

  /** There is room for more input, or nobody to want it. */
  get room(): boolean {
    return this.#deaf || this.#ended || this.#waiting < MOST_WAITING;
  }

  /** Waits for room. False when the command, running, takes nothing for so long; true also when it is over. */
  async roomWithin(ms: number, over: AbortSignal): Promise<boolean> {
    const late = Promise.withResolvers<"late">();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let { given } = this;
    const gone = Promise.withResolvers<void>();
    const go = () => gone.resolve();
    over.addEventListener("abort", go, { once: true });
    try {
      while (!this.room && !over.aborted) {
        if (given !== this.given) {
          given = this.given;
          clearTimeout(timer);
          timer = undefined;
        }
        if (this.#running) timer ??= setTimeout(() => late.resolve("late"), ms);
        if (await Promise.race([this.changed(), gone.promise, late.promise]) === "late") return false;
      }
      return true;
    } finally {
      clearTimeout(timer);
      over.removeEventListener("abort", go);
    }
  }

  /** Resolves when the command took something, or will take no more. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** False after the end of the input. What a command that has closed its stdin does not read is dropped. */
  write(bytes: Uint8Array): boolean {
    if (this.#ended) return false;
    this.received += bytes.length;
    if (this.#deaf || bytes.length === 0) return true;
    this.#queue.push(bytes);
    this.#waiting += bytes.length + PIECE_BYTES;
    this.#wake();
    return true;
  }

  end(): void {
    if (this.#terminal) return void this.write(END_OF_TRANSMISSION);
    this.#ended = true;
    this.#wake();
  }

  /** Resolves when the engine has taken it. Of one that has not begun: when it has. */
  async signal(name: Deno.Signal): Promise<void> {
    const controls = await this.#controls.promise;
    await controls.signal(name);
  }

  async resize(size: TerminalSize): Promise<void> {
    this.#terminal = size;
    this.#resized = true;
    if (this.#running) await (await this.#controls.promise).resize(size);
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    // Asked again: what was given has been taken.
    if (this.#sent) this.#wake();
    for (;;) {
      const next = this.#queue.shift();
      if (next) {
        const piece = next.subarray(0, MOST_AT_ONCE);
        if (piece.length < next.length) this.#queue.unshift(next.subarray(MOST_AT_ONCE));
        else this.#waiting -= PIECE_BYTES;
        this.#waiting -= piece.length;
        this.given += piece.length;
        this.#sent = true;
        return controller.enqueue(piece);
      }
      if (this.#ended) return controller.close();
      if (this.#deaf) return;
      await this.#changed.promise;
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
