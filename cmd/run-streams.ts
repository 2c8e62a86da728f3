/** stdin, stdout, stderr and the terminal of `cordon run`. */
import { DEFAULT_DETACH_KEYS, DetachWatch, parseDetachKeys } from "../lib/docker/detach.ts";
import { resizeContainer } from "../lib/docker/containers.ts";
import { EngineError } from "../lib/docker/errors.ts";
import type { Streams } from "../lib/docker/pump.ts";
import { compareVersions } from "../lib/docker/request.ts";
import type { Engine } from "../lib/docker/system.ts";
import type { ClientOptions } from "../lib/dockerargs/run.ts";
import { CordonError } from "../lib/errors.ts";

const BUFFER = 64 * 1024;

/** The keys that leave a container running were typed. */
export class Detached extends Error {}

export interface RunStreams extends Disposable {
  readonly streams: Streams;
  /** The terminal, from here on the container's. */
  enter(): void;
  /** Tells the container's terminal the size of ours, now and whenever it changes. */
  watchSize(engine: Engine, id: string): Promise<void>;
  /** The size of ours for the request, where the engine takes it. */
  consoleSize(apiVersion: string): { ConsoleSize?: [rows: number, columns: number] };
}

/** @throws CordonError when a terminal is asked for and stdin is none */
export function openStreams(client: ClientOptions, { script }: { script: boolean }): RunStreams {
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
  const input = carriesInput ? new Input(terminal ? new DetachWatch(keys) : undefined) : undefined;
  const sized = tty && Deno.stdout.isTerminal();
  let raw = false;
  let onResize: (() => void) | undefined;
  return {
    streams: {
      stdin: input?.stream,
      stdout: attach.includes("stdout") ? (bytes) => writeAll(Deno.stdout, bytes) : undefined,
      stderr: attach.includes("stderr") ? (bytes) => writeAll(Deno.stderr, bytes) : undefined,
    },
    enter() {
      if (!terminal) return;
      Deno.stdin.setRaw(true);
      raw = true;
    },
    async watchSize(engine, id) {
      if (!sized) return;
      onResize = () => void resize(engine, id);
      Deno.addSignalListener("SIGWINCH", onResize);
      await resize(engine, id);
    },
    consoleSize(apiVersion) {
      if (!sized || compareVersions(apiVersion, "1.42") < 0) return {};
      const { rows, columns } = Deno.consoleSize();
      return { ConsoleSize: [rows, columns] };
    },
    [Symbol.dispose]() {
      if (raw) Deno.stdin.setRaw(false);
      if (onResize) Deno.removeSignalListener("SIGWINCH", onResize);
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

/** @throws Deno.errors.BrokenPipe when nobody reads any more */
export async function writeAll(
  to: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await to.write(rest));
}

async function resize(engine: Engine, id: string): Promise<void> {
  try {
    await resizeContainer(engine, id, Deno.consoleSize());
  } catch (error) {
    // It is ending, or not quite there; a size is not worth a failure.
    if (!(error instanceof EngineError)) throw error;
  }
}
