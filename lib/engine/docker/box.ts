/**
 * A container that stays while commands run in it one after the other, each as a further process ("exec"). Its first
 * process waits on its stdin, and so ends with whoever holds the box. After each command everything but that process is
 * killed: the container's user can, for no process has become another's without capabilities or new privileges.
 */
import type { Attached } from "../../docker/attached.ts";
import type { ContainerConfig } from "../../docker/containers.ts";
import { EngineError } from "../../docker/errors.ts";
import { createExec, inspectExec, resizeExec, startExec } from "../../docker/exec.ts";
import { type Input, pumpInput } from "../../docker/pump.ts";
import type { Controls, Result, Streams, TerminalSize } from "../engine.ts";
import { type BoxEntry, entriesOf, listWords, putWords } from "./box-files.ts";
import { signalWords, TELL_NUMBER, withoutNumber } from "./box-leader.ts";
import type { DockerClient } from "./client.ts";
import { abortedResult } from "./follow.ts";
import { complete, end, type Started, startNew } from "./started.ts";
import type { Used } from "./usage.ts";

export interface BoxCommand {
  argv: string[];
  /** Beside the container's own, `NAME=VALUE`. */
  env: string[];
  workdir: string;
  wallSeconds: number;
}

/** How often it is looked whether a command has ended although its output has not. */
const LOOK_MS = 500;
const LONGEST_MS = 2 ** 31 - 1;
/** The server's own commands take moments. */
const HELPER_MS = 60_000;

export class Box {
  readonly #client: DockerClient;
  readonly #started: Started;
  /** Where names of files begin. */
  readonly #directory: string;
  #dead = false;

  private constructor(client: DockerClient, started: Started, directory: string) {
    this.#client = client;
    this.#started = started;
    this.#directory = directory;
    const dead = () => this.#dead = true;
    started.exited.then(dead, dead);
  }

  /** @throws as {@link startNew} does */
  static async start(
    client: DockerClient,
    config: ContainerConfig,
    { directory, signal }: { directory: string; signal?: AbortSignal | undefined },
  ): Promise<Box> {
    const waiting = { ...config, Entrypoint: ["sh", "-c", "read -r _"], Cmd: [] };
    return new Box(
      client,
      await startNew(client, complete(client, waiting, { stdin: true }), signal),
      directory,
    );
  }

  /** It has ended, or could not be brought back to where it was: nothing more can run in it. */
  get dead(): boolean {
    return this.#dead;
  }

  /** Runs a command to its end, and ends what it leaves running. @throws EngineError */
  async run(command: BoxCommand, streams: Streams): Promise<Result> {
    const { signal } = streams;
    if (signal?.aborted) return abortedResult();
    const { usage } = this.#client;
    const { id } = this.#started;
    const before = await usage.of(id);
    const since = performance.now();
    let cut: "timeout" | "aborted" | undefined;
    const kill = (why: "timeout" | "aborted") => {
      cut ??= why;
      this.#clear().catch(() => this.#giveUp());
    };
    const onAbort = () => kill("aborted");
    const over = async (code: number | null) =>
      ended(cut ?? "exited", { since, code: cut ? null : code, used: between(before, await usage.of(id)) });
    const timer = setTimeout(() => kill("timeout"), Math.min(command.wallSeconds * 1000, LONGEST_MS));
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const result = await over(await this.#execute(command, streams));
      // What it left may take every process that the container may have.
      if (!this.#dead) await this.#clear().catch(() => this.#giveUp());
      return result;
    } catch (error) {
      this.#giveUp();
      if (cut !== undefined) return await over(null);
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Writes a file in place of what has its name. @throws EngineError */
  async put(
    path: string,
    { mode, source }: { mode: number; source: AsyncIterable<Uint8Array> },
  ): Promise<void> {
    const argv = putWords(path, mode);
    using _deadline = this.#deadline();
    const { id, attached } = await this.#begin({ argv, stdin: true });
    try {
      for await (const chunk of source) if (!await attached.write(chunk)) break;
      await attached.closeStdin();
      let said = "";
      for await (const { bytes } of attached.output()) said = (said + text(bytes)).slice(0, 500);
      if (await this.#status(id) === 0) return;
      throw new EngineError(`Cannot put ${JSON.stringify(path)} into the container`, { why: said.trim() });
    } finally {
      attached.close();
    }
  }

  /** For each pattern what there is; `*` and `?` stand for parts of one name. @throws EngineError */
  async list(patterns: readonly string[], most: number): Promise<BoxEntry[][]> {
    let all = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.#output(listWords(patterns))) {
      all += decoder.decode(bytes, { stream: true });
      if (all.length > most) throw new EngineError("Cannot look for results", { why: "There are too many" });
    }
    return entriesOf(all, patterns.length);
  }

  /** What is in a file. */
  read(path: string): AsyncGenerator<Uint8Array> {
    return this.#output(["cat", `./${path}`]);
  }

  async end(): Promise<void> {
    this.#dead = true;
    await end(this.#client, this.#started);
  }

  async *#output(argv: string[]): AsyncGenerator<Uint8Array> {
    using _deadline = this.#deadline();
    const { attached } = await this.#begin({ argv, stdin: false });
    try {
      for await (const { stream, bytes } of attached.output()) if (stream === "stdout") yield bytes;
    } finally {
      attached.close();
    }
  }

  async #begin(
    { argv, stdin, tty = false, env = [], workdir = this.#directory }: {
      argv: string[];
      stdin: boolean;
      tty?: boolean;
      env?: string[];
      workdir?: string;
    },
  ): Promise<{ id: string; attached: Attached }> {
    const { engine } = this.#client;
    const id = await createExec(engine, this.#started.id, {
      config: { Cmd: argv, Env: env, WorkingDir: workdir, AttachStdin: stdin, Tty: tty },
      signal: AbortSignal.timeout(HELPER_MS),
    });
    const { signal } = this.#started.session;
    return { id, attached: await startExec(engine, id, { tty, signal }) };
  }

  async #execute({ argv, env, workdir }: BoxCommand, streams: Streams): Promise<number> {
    const { stdin, terminal, begun } = streams;
    const { id, attached } = await this.#begin({
      argv: begun ? [...TELL_NUMBER, ...argv] : argv,
      env,
      workdir,
      stdin: stdin !== undefined,
      tty: terminal !== undefined,
    });
    const over = new AbortController();
    const watching = this.#watch(id, over.signal);
    const feeding = stdin instanceof Uint8Array && (async () => {
      if (await attached.write(stdin)) await attached.closeStdin();
    })();
    // What is wrong with the connection is told by the output.
    if (feeding) feeding.catch(() => {});
    let input: Input | undefined;
    try {
      if (terminal) await this.#resize(id, terminal);
      // Input that came earlier would be echoed by a terminal before the number is told.
      const output = begun
        ? withoutNumber(attached.output(), (leader) => {
          begun(this.#controls(id, leader));
          if (!(stdin instanceof ReadableStream)) return;
          input = pumpInput(attached, stdin);
          input.failed.catch(() => attached.close());
        })
        : attached.output();
      for await (const { stream, bytes } of output) await streams[stream](bytes);
    } finally {
      input?.stop();
      over.abort();
      attached.close();
      await watching;
    }
    return await this.#status(id);
  }

  #controls(id: string, leader: number): Controls {
    return {
      signal: async (name) => {
        if (!(await inspectExec(this.#client.engine, id)).Running) return;
        for await (const _ of this.#output(signalWords(leader, name)));
      },
      resize: (size) => this.#resize(id, size),
    };
  }

  /** Of one that has ended just now an engine complains. */
  async #resize(id: string, size: TerminalSize): Promise<void> {
    const { engine } = this.#client;
    try {
      await resizeExec(engine, id, size);
    } catch (error) {
      if (error instanceof EngineError && !(await inspectExec(engine, id)).Running) return;
      throw error;
    }
  }

  /** Ends what holds the output of a command that has ended. */
  async #watch(id: string, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOOK_MS);
        over.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
      });
      if (over.aborted) return;
      try {
        if (!(await inspectExec(this.#client.engine, id)).Running) await this.#clear();
      } catch {
        return this.#giveUp(); // the output breaks off and says why
      }
    }
  }

  async #status(id: string): Promise<number> {
    for (let ms = 10;; ms = Math.min(ms * 2, LOOK_MS)) {
      const { Running, ExitCode } = await inspectExec(this.#client.engine, id);
      if (!Running && ExitCode !== null) return ExitCode;
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  }

  /** Kills all but the first process. @throws EngineError when nothing can be begun in it, for want of processes say */
  async #clear(): Promise<void> {
    using _deadline = this.#deadline();
    const { id, attached } = await this.#begin({ argv: ["sh", "-c", "kill -9 -1; exit 0"], stdin: false });
    try {
      for await (const _ of attached.output());
    } finally {
      attached.close();
    }
    const status = await this.#status(id);
    if (status !== 0) {
      throw new EngineError("Cannot end what runs in the container", { why: `status ${status}` });
    }
  }

  /** The server's own commands are the image's programs, which a command may have exchanged for some that hang. */
  #deadline(): Disposable {
    const timer = setTimeout(() => this.#giveUp(), HELPER_MS);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }

  /** Removes it with all that is in it. */
  #giveUp(): void {
    this.#dead = true;
    end(this.#client, this.#started).catch(() => {}); // it is removed as soon as the engine answers
  }
}

function ended(
  reason: Result["reason"],
  { since, code, used }: { since: number; code: number | null; used: Used },
): Result {
  return {
    reason,
    exitCode: code,
    signal: null,
    wallMs: Math.round(performance.now() - since),
    userMs: used.userMs,
    systemMs: used.systemMs,
    maxRssBytes: used.peakBytes,
  };
}

/** What one command of several used. Of memory that is known where it took more than all before it. */
function between(before: Used, after: Used): Used {
  const more = (name: "userMs" | "systemMs") =>
    after[name] === null || before[name] === null ? null : Math.max(0, after[name] - before[name]);
  const grown = after.peakBytes !== null && before.peakBytes !== null && after.peakBytes > before.peakBytes;
  return {
    userMs: more("userMs"),
    systemMs: more("systemMs"),
    peakBytes: grown ? after.peakBytes : null,
  };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
