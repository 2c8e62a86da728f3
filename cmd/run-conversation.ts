/** An execution that takes input, from the first connection to its end, over as many connections as it takes. */
import { attach, type Attachment, type Said } from "../lib/api/attach.ts";
import { hasEnded, type State } from "../lib/api/executions.ts";
import { type Api, ApiError } from "../lib/api/request.ts";
import { CordonError, reasonOf } from "../lib/errors.ts";
import { ATTEMPTS, CUT, PAUSE } from "./run-execution.ts";
import { Shown } from "./run-shown.ts";
import { Interrupted, type Signals } from "./run-signals.ts";
import { Detached, type RunStreams } from "./run-streams.ts";
import { Typed } from "./run-typed.ts";

/** Between two sizes that are told: a window that is dragged has many. */
const SIZE_MS = 50;
/** The code with which the server closes for whoever takes over: docs/serve-http.md. */
const TAKEN_OVER = 4001;

export interface Ends {
  signals: Signals;
  /** Signals go to the command, unless a terminal is in between: there the keys do. */
  passSignals: boolean;
  /** The streams of one that has a terminal, or has none; asked for once, when there is input to be given. */
  open: (terminal: boolean) => RunStreams;
}

export class Conversation {
  readonly #api: Api;
  readonly #id: string;
  readonly #ends: Ends;
  readonly #shown = new Shown();
  readonly #typed = new Typed();
  /** For what goes wrong beside the connection. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #streams: RunStreams | undefined;
  #now: Attachment | undefined;
  #last = 0;
  #state: State | undefined;
  #cut = false;
  #sizing = false;
  #resized = false;

  constructor(api: Api, id: string, ends: Ends) {
    this.#api = api;
    this.#id = id;
    this.#ends = ends;
    this.#signal = AbortSignal.any([ends.signals.signal, this.#stop.signal]);
    this.#shown.failed.catch((error) => this.#stop.abort(error));
  }

  /**
   * Resolves with the state it ended in, when all output is out.
   *
   * @throws ApiError, Interrupted, Detached, Deno.errors.BrokenPipe, or why stdin cannot be read
   */
  async held(): Promise<State> {
    for (let attempt = 1;; attempt++) {
      const before = this.#last;
      const failure = await this.#connection();
      if (this.#state && hasEnded(this.#state)) {
        // There is nobody any more to pass them to, and a reader that pauses is waited for.
        this.#ends.signals.passTo(undefined);
        await Promise.race([this.#shown.out(), aborted(this.#signal)]);
        return this.#state;
      }
      if (this.#last > before) attempt = 0;
      else if (attempt >= ATTEMPTS) throw failure;
      await this.#pause();
    }
  }

  /** One connection to its end; why it ended, unless it was for good. */
  async #connection(): Promise<ApiError> {
    const again = this.#last > 0;
    const where = { id: this.#id, after: this.#last, takeOver: again };
    let attachment: Attachment;
    try {
      // That the one before is gone the server may not know yet.
      attachment = await attach(this.#api, where, this.#signal);
    } catch (error) {
      if (!(error instanceof ApiError && (error.status === 0 || error.status >= 500) && again)) throw error;
      return error;
    }
    // Not at once: what was typed before is still on its way.
    const leave = () => void attachment.close();
    this.#signal.addEventListener("abort", leave);
    this.#now = attachment;
    try {
      await this.#listen(attachment);
    } finally {
      await attachment.close();
      this.#signal.removeEventListener("abort", leave);
    }
    this.#signal.throwIfAborted();
    const { code, reason = "" } = attachment.closed ?? {};
    if (code === TAKEN_OVER) {
      throw new CordonError(`Cannot go on with execution ${this.#id}`, {
        why: "Somebody else writes to it now",
      });
    }
    return this.#api.broken(
      code === undefined || code === 1000 ? CUT : `It closes with ${code}: ${reason}`,
      0,
    );
  }

  async #listen(attachment: Attachment): Promise<void> {
    this.#signal.throwIfAborted();
    for (let said = await attachment.receive(); said; said = await attachment.receive()) {
      await this.#take(said, attachment);
      if (this.#state && hasEnded(this.#state)) return;
    }
  }

  async #take(said: Said, attachment: Attachment): Promise<void> {
    switch (said.type) {
      case "input":
        this.#begin(said.terminal);
        this.#feed(attachment, said);
        return this.#resize();
      case "taken":
        return this.#typed.taken(said.bytes);
      case "truncated":
        return await this.#tellCut();
      case "state":
        this.#state = said.state;
        if (said.state.state === "running") this.#passSignals();
        break;
      default:
        await this.#shown.show(said.type, said.bytes);
    }
    this.#last = said.id;
  }

  /** The first time that input can be given. */
  #begin(terminal: boolean): void {
    if (this.#streams) return;
    const streams = this.#streams = this.#ends.open(terminal);
    streams.enter();
    streams.watchSize(() => this.#resize());
    const { stdin } = streams.streams;
    if (!stdin) return;
    const { terminal: endless } = streams;
    this.#typed.read(stdin, { endless }).then(
      () => endless && this.#stop.abort(new Interrupted("SIGHUP")),
      (error) => this.#stop.abort(this.#unread(error)),
    );
  }

  #unread(error: unknown): unknown {
    if (error instanceof Detached) return error;
    // So it is told to those who have lost their terminal.
    if (this.#streams?.terminal) return new Interrupted("SIGHUP");
    return new CordonError("Cannot read stdin", { why: reasonOf(error), cause: error });
  }

  #feed(to: Attachment, had: { bytes: number; ended: boolean }): void {
    if (!this.#streams?.streams.stdin) return;
    this.#typed.feed(to, had).catch((error) => this.#stop.abort(error));
  }

  /** Once; behind what was shown before. */
  async #tellCut(): Promise<void> {
    if (this.#cut) return;
    this.#cut = true;
    const end = this.#streams?.terminal ? "\r\n" : "\n";
    const text = "cordon: the server keeps no more output: what comes now is not shown";
    await this.#shown.show("stderr", new TextEncoder().encode(`${text}${end}`));
  }

  #passSignals(): void {
    if (!this.#ends.passSignals || this.#streams?.terminal) return;
    // What comes while there is no connection is not for later.
    this.#ends.signals.passTo((name) => void this.#now?.signal(name));
  }

  /** Tells the newest size, but not each on the way to it. */
  #resize(): void {
    this.#resized = true;
    if (!this.#sizing) void this.#tellSizes();
  }

  async #tellSizes(): Promise<void> {
    this.#sizing = true;
    while (this.#resized) {
      this.#resized = false;
      const size = this.#streams?.size();
      if (size) await this.#now?.resize(size);
      await new Promise((resolve) => Deno.unrefTimer(setTimeout(resolve, SIZE_MS)));
    }
    this.#sizing = false;
  }

  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, PAUSE);
    try {
      await Promise.race([promise, aborted(this.#signal)]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Rejects with the signal's reason; never settles otherwise. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
