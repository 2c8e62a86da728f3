/** What every engine is to the commands: it says what it cannot do, and does the rest. */
import type { Host } from "../host/host.ts";
import type { Spec } from "../spec/spec.ts";

export interface Engine {
  readonly name: string;
  /** Fields of the Spec this engine cannot honour, each in words with its value; empty when it can do all. */
  unsupported(spec: Spec): string[];
  /** This process becomes the sandbox. Throws {@link CordonError} when it cannot be set up. */
  exec(spec: Spec, host: Host): never;
  /**
   * Runs it beside this process, for a daemon. When this process ends, so does the sandbox. Resolves when nothing is
   * left inside and all output was delivered.
   * @throws CordonError when it cannot be started
   */
  run(spec: Spec, host: Host, streams: Streams): Promise<Result>;
}

export interface Streams {
  /** All that stdin gives, at once or over time; empty when absent. A stream is cancelled when nobody reads it any more. */
  stdin?: Uint8Array | ReadableStream<Uint8Array>;
  /** The target gets a terminal of this size on descriptors 0–2. All that appears there comes as stdout. */
  terminal?: TerminalSize;
  /** Called once it runs, with what can be done to it from then on. */
  begun?(controls: Controls): void;
  /**
   * Called with each piece of output, whose bytes are good until it has resolved. Then the next piece is read; the target
   * waits meanwhile.
   */
  stdout(chunk: Uint8Array): void | Promise<void>;
  stderr(chunk: Uint8Array): void | Promise<void>;
  /** Called when it was started, with its process: that, or one below it, becomes what is inside. */
  started?(pid: number): void;
  /** Ends all that is inside, at once. */
  signal?: AbortSignal;
}

export interface TerminalSize {
  rows: number;
  columns: number;
}

/** To be used until the run has ended; after that nothing happens. */
export interface Controls {
  /** Delivers a signal: to the target's process group, or in a container to its first process. */
  signal(name: Deno.Signal): void | Promise<void>;
  /** Nothing happens without a terminal. */
  resize(size: TerminalSize): void | Promise<void>;
}

/** How a run ended. Times in milliseconds. */
export interface Result {
  /** `aborted`: by {@link Streams.signal}. `cordon`: the sandbox could not be made; stderr has the reason. */
  reason: "exited" | "signaled" | "timeout" | "memory" | "output" | "cordon" | "aborted";
  /** Null unless it exited. */
  exitCode: number | null;
  /** Number of the signal that ended it; null unless one did. */
  signal: number | null;
  wallMs: number;
  /** Processor time of everything inside; null where nobody is left to tell, as when it was aborted. */
  userMs: number | null;
  systemMs: number | null;
  /** Of the process with the most; of a container all that it held at once. Null as above. */
  maxRssBytes: number | null;
}
