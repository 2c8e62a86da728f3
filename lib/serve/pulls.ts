/** Images that are missing: pulled once for all who wait, none of whom waits for ever. */
import { registryAuth } from "../docker/credentials.ts";
import { EngineError, NotFoundError } from "../docker/errors.ts";
import { inspectImage, pullImage } from "../docker/images.ts";
import { parseReference } from "../docker/reference.ts";
import type { Engine } from "../docker/system.ts";
import { CordonError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { until } from "./until.ts";

export interface Wanted {
  tenant: string;
  image: string;
  platform?: string | undefined;
  /** How long whoever asks waits for it, in seconds. */
  seconds: number;
  signal: AbortSignal;
}

/** A pull of which nothing is heard for so long is given up, so that the next who asks begins a new one. */
const SILENT_MS = 5 * 60_000;
/** That one tenant has under way at once: they go on when whoever asked for them has long ended. */
const MOST_OF_TENANT = 4;

interface Pull {
  tenant: string;
  done: Promise<void>;
}

/** Those who want the same image at the same time wait for one pull. */
export class Pulls {
  readonly #engine: Engine;
  readonly #host: Host;
  readonly #silentMs: number;
  readonly #pulls = new Map<string, Pull>();
  readonly #closed = new AbortController();

  constructor(engine: Engine, host: Host, { silentMs = SILENT_MS } = {}) {
    this.#engine = engine;
    this.#host = host;
    this.#silentMs = silentMs;
  }

  /**
   * Resolves when the image is there, or the signal says that nobody wants it any more.
   *
   * @throws CordonError when it is not there in time; EngineError when it cannot be had
   */
  async need(wanted: Wanted): Promise<void> {
    const { image, seconds, signal } = wanted;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), seconds * 1000);
    const either = AbortSignal.any([signal, limit.signal]);
    try {
      if (await this.#isThere(image, either)) return;
      await this.#pulled(wanted, either);
    } catch (error) {
      if (!either.aborted) throw error;
    } finally {
      clearTimeout(timer);
    }
    if (!limit.signal.aborted || signal.aborted) return;
    throw new CordonError(`The image ${image} was not there within the time limit of ${seconds} s`, {
      why: "Nothing was executed. The pull goes on, so it may be there the next time",
    });
  }

  /** Gives up what is under way. */
  async close(): Promise<void> {
    this.#closed.abort(new EngineError("The server ends"));
    await Promise.allSettled([...this.#pulls.values()].map(({ done }) => done));
  }

  async #isThere(image: string, signal: AbortSignal): Promise<boolean> {
    try {
      await inspectImage(this.#engine, image, { signal });
      return true;
    } catch (error) {
      if (error instanceof NotFoundError) return false;
      throw error;
    }
  }

  async #pulled({ tenant, image, platform }: Wanted, signal: AbortSignal): Promise<void> {
    const key = `${image} ${platform ?? ""}`;
    while (!signal.aborted) {
      const under = this.#pulls.get(key);
      if (under) return await until(under.done, signal);
      const own = [...this.#pulls.values()].filter((pull) => pull.tenant === tenant).map(({ done }) => done);
      if (own.length < MOST_OF_TENANT) {
        const done = this.#pull(image, platform).finally(() => this.#pulls.delete(key));
        this.#pulls.set(key, { tenant, done });
      } else await until(Promise.race(own.map((done) => done.catch(() => {}))), signal);
    }
  }

  /** It goes on when the one who asked first has gone: the next one will want it. */
  async #pull(image: string, platform: string | undefined): Promise<void> {
    const silence = new AbortController();
    const silent = () =>
      silence.abort(
        new EngineError(`Cannot pull image ${image}`, {
          why: `Nothing came from its registry for ${this.#silentMs / 1000} s`,
        }),
      );
    let timer = setTimeout(silent, this.#silentMs);
    try {
      const signal = AbortSignal.any([silence.signal, this.#closed.signal]);
      const auth = await registryAuth(parseReference(image).domain, { facts: this.#host, signal });
      for await (const _ of pullImage(this.#engine, image, { auth, platform, signal })) {
        clearTimeout(timer);
        timer = setTimeout(silent, this.#silentMs);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
