/** Pulling an image with progress on stderr, for `cordon run`. */
import { writeStderr } from "../lib/cli/streams.ts";
import { registryAuth } from "../lib/docker/credentials.ts";
import type { EndpointFacts } from "../lib/docker/endpoint.ts";
import { pullImage, type PullProgress } from "../lib/docker/images.ts";
import { parseReference } from "../lib/docker/reference.ts";
import type { Engine } from "../lib/docker/system.ts";

export interface PullOptions {
  facts: EndpointFacts;
  platform: string | undefined;
  quiet: boolean;
  signal: AbortSignal | undefined;
}

/** Pulls with the credentials of docker's configuration. @throws EngineError with the engine's or registry's words */
export async function pull(engine: Engine, image: string, options: PullOptions): Promise<void> {
  const { facts, platform, quiet, signal } = options;
  const auth = await registryAuth(parseReference(image).domain, { facts, signal });
  const show = quiet ? undefined : Deno.stderr.isTerminal() ? new LiveProgress() : new PlainProgress();
  try {
    for await (const step of pullImage(engine, image, { auth, platform, signal })) show?.step(step);
  } finally {
    show?.end();
  }
}

/** One line for each event, and none for bytes. */
class PlainProgress {
  step({ status, id, progressDetail }: PullProgress): void {
    if (
      status === undefined || progressDetail?.total !== undefined || progressDetail?.current !== undefined
    ) {
      return;
    }
    writeStderr(id === undefined ? `${status}\n` : `${id}: ${status}\n`);
  }

  end(): void {}
}

/** One line that changes, and the events that belong to no layer. */
class LiveProgress {
  readonly #layers = new Map<string, { current: number; total: number; done: boolean }>();
  #shown = "";

  step({ status, id, progressDetail }: PullProgress): void {
    if (id === undefined || status === undefined) {
      if (status !== undefined) this.#line(status);
      return;
    }
    if (/^Pulling from/.test(status)) return this.#line(`${id}: ${status}`);
    const layer = this.#layers.get(id) ?? { current: 0, total: 0, done: false };
    if (status === "Downloading") {
      layer.current = progressDetail?.current ?? layer.current;
      layer.total = progressDetail?.total ?? layer.total;
    }
    if (/^(Download complete|Pull complete|Already exists)$/.test(status)) {
      layer.current = layer.total;
      layer.done = status !== "Download complete";
    }
    this.#layers.set(id, layer);
    this.#show();
  }

  end(): void {
    if (this.#shown !== "") writeStderr("\r\x1b[K");
    this.#shown = "";
  }

  #line(text: string): void {
    this.end();
    writeStderr(`${text}\n`);
  }

  #show(): void {
    const layers = [...this.#layers.values()];
    const sum = (key: "current" | "total") => layers.reduce((total, layer) => total + layer[key], 0);
    const done = layers.filter((layer) => layer.done).length;
    const text = `${done} of ${layers.length} layers, ${megabytes(sum("current"))} of ${
      megabytes(sum("total"))
    } MB`;
    if (text === this.#shown) return;
    this.#shown = text;
    writeStderr(`\r\x1b[K${text}`);
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
