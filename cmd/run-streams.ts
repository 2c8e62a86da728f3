/** stdin, stdout, stderr and the terminal of `cordon run`. */
import { DEFAULT_DETACH_KEYS, DetachWatch, parseDetachKeys } from "../lib/docker/detach.ts";
import type { Streams } from "../lib/docker/pump.ts";
import { compareVersions } from "../lib/docker/request.ts";
import type { ClientOptions } from "../lib/dockerargs/run.ts";
import type { TerminalSize } from "../lib/engine/engine.ts";
import { CordonError } from "../lib/errors.ts";
import { rawTerminal } from "../lib/host/terminal.ts";
import { writeAll } from "../lib/host/pieces.ts";

const BUFFER = 64 * 1024;

/** The keys that leave a container running were typed. */
export class Detached extends Error {}

export interface RunStreams extends Disposable {
  readonly streams: Streams;
  /** What is typed goes to a terminal of its own, every key of it. */
  readonly terminal: boolean;
  /** The terminal, from here on the container's. */
  enter(): void;
  /** The terminal as it was. */
  leave(): void;
  /** The size of our terminal, if there is one to tell and it has one. */
  size(): TerminalSize | undefined;
  /** Tells the container's terminal the size of ours, now and whenever it changes. */
  watchSize(resize: (size: TerminalSize) => void | Promise<void>): Promise<void>;
  /** The size of ours for the request, where the engine takes it. */
  consoleSize(apiVersion: string): { ConsoleSize?: [rows: number, columns: number] };
}

export interface StreamOptions {
  /** stdin is read although nobody asked for it. */
  script: boolean;
  /** There are keys that leave what runs to itself. */
  keys?: boolean;
}

/** @throws CordonError when a terminal is asked for and stdin is none */
export function openStreams(
  client: Pick<ClientOptions, "attach" | "interactive" | "tty" | "detachKeys">,
  { script, keys: watched = true }: StreamOptions,
): RunStreams {
  const { attach, interactive, tty } = client;
  const carriesInput = script || (interactive && attach.includes("stdin"));
  const terminal = tty && carriesInput;
  if (terminal && !Deno.stdin.isTerminal()) {
    throw new CordonError("-t needs a terminal, and stdin is none", {
      hint: "give -i alone, or neither",
    });
  }
  const keys = client.detachKeys === undefined
    ? DEFAULT_DETACH_KEYS
    : parseDetachKeys("--detach-keys", client.detachKeys);
  const input = carriesInput ? new Input(terminal && watched ? new DetachWatch(keys) : undefined) : undefined;
  const sized = tty && Deno.stdout.isTerminal();
  let restore: (() => void) | undefined;
  let onResize: (() => void) | undefined;
  const size = () => {
    if (!sized) return undefined;
    const { rows, columns } = Deno.consoleSize();
    // A terminal that nobody looks at has none.
    return rows > 0 && columns > 0 ? { rows, columns } : undefined;
  };
  const leave = () => {
    restore?.();
    restore = undefined;
    if (onResize) Deno.removeSignalListener("SIGWINCH", onResize);
    onResize = undefined;
  };
  return {
    streams: {
      stdin: input?.stream,
      stdout: attach.includes("stdout") ? (bytes) => writeAll(Deno.stdout, bytes) : undefined,
      stderr: attach.includes("stderr") ? (bytes) => writeAll(Deno.stderr, bytes) : undefined,
    },
    terminal,
    enter() {
      if (terminal) restore ??= rawTerminal();
    },
    leave,
    size,
    async watchSize(resize) {
      if (!sized) return;
      const tell = async () => {
        const now = size();
        if (now) await resize(now);
      };
      onResize = () => void tell();
      Deno.addSignalListener("SIGWINCH", onResize);
      await tell();
    },
    consoleSize(apiVersion) {
      const now = compareVersions(apiVersion, "1.42") < 0 ? undefined : size();
      return now ? { ConsoleSize: [now.rows, now.columns] } : {};
    },
    [Symbol.dispose]() {
      leave();
      // A read that waits for a person would keep this process, and nothing can take it back. When the status is told
      // and everything else is done, the process ends all the same.
      if (input?.reading) setTimeout(() => Deno.exit(), 0);
    },
  };
}

/** stdin as a stream that reads when it is asked, and knows whether it is reading. */
class Input {
  reading = false;
  readonly stream: ReadableStream<Uint8Array>;

  constructor(watch: DetachWatch | undefined) {
    this.stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const buffer = new Uint8Array(BUFFER);
        this.reading = true;
        const count = await Deno.stdin.read(buffer);
        this.reading = false;
        if (count === null) return controller.close();
        const { bytes, detached } = watch?.pass(buffer.subarray(0, count)) ??
          { bytes: buffer.subarray(0, count), detached: false };
        if (detached) return controller.error(new Detached());
        // An empty piece asks for the next.
        controller.enqueue(bytes);
      },
    }, { highWaterMark: 0 });
  }
}
