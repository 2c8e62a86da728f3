/**
 * Answers on their way. A client may take its answer as slowly as it likes, and come for it on a thousand connections:
 * what is held for those who read slowly is counted, and with too much of it there is nothing more.
 */
import { jsonParts, Printed, pullFrom } from "./printed.ts";
import { Problem } from "./problem.ts";

/** Bytes, of one tenant and of all. */
const MOST = { tenant: 64 * 2 ** 20, all: 256 * 2 ** 20 };
/** Smaller answers are bounded by the number of connections. */
const SMALL = 64 * 1024;
const RETRY = { "retry-after": "5" };

/** What a stream gives; held until it has given the last of it or is cancelled. */
export interface Held {
  next(controller: ReadableStreamDefaultController<Uint8Array>): void;
  release: Release;
}

/** To be called when it is no longer held; further calls do nothing. */
export type Release = () => void;

export class Outgoing {
  readonly #most: typeof MOST;
  readonly #of = new Map<string, number>();
  #all = 0;

  constructor(most = MOST) {
    this.#most = most;
  }

  /** To be asked before something is made that may be held. @throws Problem */
  check(tenant: string): void {
    if ((this.#of.get(tenant) ?? 0) >= this.#most.tenant) {
      throw new Problem("tenant-busy", {
        detail: "There are too many answers that clients of this tenant have not taken yet",
        headers: RETRY,
      });
    }
    if (this.#all >= this.#most.all) throw new Problem("capacity", { headers: RETRY });
  }

  hold(tenant: string, bytes: number): Release {
    this.#count(tenant, bytes);
    let held = true;
    return () => {
      if (held) this.#count(tenant, -bytes);
      held = false;
    };
  }

  /** JSON, held until it is taken. The request: of a HEAD nothing is. */
  json(
    value: object,
    { tenant, request, ...init }: {
      tenant: string;
      request: Request;
      status?: number;
      headers?: HeadersInit;
    },
  ): Response {
    if (request.method === "HEAD" || sizeOf(value) <= SMALL) return Response.json(value, init);
    const headers = new Headers(init.headers);
    headers.set("content-type", "application/json");
    const parts = this.parts(value, tenant);
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => parts.next(controller),
      cancel: () => parts.release(),
    }, { highWaterMark: 0 });
    return new Response(stream, { ...init, headers });
  }

  /** JSON for a stream, a part at a time. */
  parts(value: object, tenant: string): Held {
    const parts = jsonParts(value);
    const release = this.hold(tenant, sizeOf(value));
    const next: Held["next"] = (controller) => {
      if (!pullFrom(parts, controller)) release();
    };
    return { next, release };
  }

  #count(tenant: string, bytes: number): void {
    const before = this.#of.get(tenant) ?? 0;
    const now = before + bytes;
    // What many wait for at once is counted for each of them. No tenant is to use up what there is for all by that.
    const { tenant: most } = this.#most;
    this.#all += Math.min(now, most) - Math.min(before, most);
    if (now > 0) this.#of.set(tenant, now);
    else this.#of.delete(tenant);
  }
}

/** In memory, as long as it is not told: output as it came, the rest as JSON. */
function sizeOf(value: object): number {
  return Object.values(value).reduce<number>(
    (sum, each) => sum + (each instanceof Printed ? each.length : JSON.stringify(each)?.length ?? 0),
    0,
  );
}
