/** Answers that take as long as an execution does. */
import { within } from "./until.ts";
import type { Held, Outgoing } from "./outgoing.ts";

/** Dockyter's client gives up when nothing comes for 10 s. White space before JSON means nothing. */
const KEEP_ALIVE_MS = 3000;

export interface WaitOptions {
  /** The client went away. */
  gone: () => void;
  headers?: Record<string, string>;
  outgoing: Outgoing;
  tenant: string;
  request: Request;
}

/** JSON when it has ended; before, a space now and then. */
export async function whenItEnds(
  ended: Promise<void>,
  tell: () => object,
  { gone, headers = {}, outgoing, tenant, request }: WaitOptions,
): Promise<Response> {
  if (await within(KEEP_ALIVE_MS, ended)) return outgoing.json(tell(), { tenant, request, headers });
  const encoder = new TextEncoder();
  let rest: Held | undefined;
  let over = false;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(" ")),
    // Asked only when the last piece has been taken, so that nothing piles up for a client that does not read.
    async pull(controller) {
      const told = rest !== undefined || await within(KEEP_ALIVE_MS, ended);
      // For a client that went away meanwhile nothing may be held: nobody would let go of it.
      if (over) return;
      if (!told) return controller.enqueue(encoder.encode(" "));
      rest ??= outgoing.parts(tell(), tenant);
      rest.next(controller);
    },
    cancel() {
      over = true;
      rest?.release();
      gone();
    },
  }, { highWaterMark: 1 });
  return new Response(stream, { headers: { ...headers, "content-type": "application/json" } });
}
