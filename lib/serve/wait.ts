/** Answers that take as long as an execution does. */
import { within } from "./events.ts";
import { jsonParts, jsonResponse, pullFrom } from "./printed.ts";

/** Dockyter's client gives up when nothing comes for 10 s. White space before JSON means nothing. */
const KEEP_ALIVE_MS = 3000;

/** JSON when it has ended; before, a space now and then. */
export async function whenItEnds(
  ended: Promise<void>,
  tell: () => object,
  { gone, headers = {} }: { gone: () => void; headers?: Record<string, string> },
): Promise<Response> {
  if (await within(KEEP_ALIVE_MS, ended)) return jsonResponse(tell(), headers);
  const encoder = new TextEncoder();
  let parts: Iterator<string> | undefined;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(" ")),
    // Asked only when the last piece has been taken, so that nothing piles up for a client that does not read.
    async pull(controller) {
      if (!parts && !await within(KEEP_ALIVE_MS, ended)) return controller.enqueue(encoder.encode(" "));
      pullFrom(parts ??= jsonParts(tell()), controller);
    },
    cancel: gone,
  }, { highWaterMark: 1 });
  return new Response(stream, { headers: { ...headers, "content-type": "application/json" } });
}
