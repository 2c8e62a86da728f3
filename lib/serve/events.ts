/** An execution as a stream of server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { Event } from "./output.ts";
import type { Known } from "./past.ts";
import { type Encoding, Printed } from "./printed.ts";
import { within } from "./until.ts";

/** Proxies end connections on which nothing comes, most after 60 s. */
const KEEP_ALIVE_MS = 15_000;
/** Taken from the output at once; so much is held for a client that does not read. */
const MOST_AT_ONCE = 16 * 1024;
/** What becomes longer than this in JSON, where a control character takes six, is told in smaller pieces. */
const MOST_TOLD = 2 * MOST_AT_ONCE, LITTLE = MOST_AT_ONCE / 8;

export interface EventsOptions {
  /** The position that the client has. */
  after: number;
  encoding: Encoding;
  /** The client went away. */
  gone?: () => void;
  /** Disposed of with the stream. */
  held?: Disposable | undefined;
}

export function eventStream(known: Known, { after, encoding, gone, held }: EventsOptions): Response {
  const encoder = new TextEncoder();
  let at = after;
  let over = false;
  const done = () => {
    over = true;
    held?.[Symbol.dispose]();
  };
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode("retry: 1000\n\n")),
    // Asked only when the last piece has been taken.
    async pull(controller) {
      while (!over) {
        // In this order: what comes between the two is not missed.
        const more = known.more();
        let events = known.read(at, MOST_AT_ONCE);
        if (events.length > 0) {
          let text = formatted(events, encoding);
          if (text.length > MOST_TOLD) {
            events = known.read(at, LITTLE);
            text = formatted(events, encoding);
          }
          at = events.at(-1)!.id;
          return controller.enqueue(encoder.encode(text));
        }
        if (!more) break;
        if (!await within(KEEP_ALIVE_MS, more)) return controller.enqueue(encoder.encode(":\n\n"));
      }
      if (!over) controller.close();
      done();
    },
    cancel() {
      done();
      gone?.();
    },
  }, { highWaterMark: 0 });
  return new Response(stream, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
}

/** Whether everything was told to somebody who has this position. */
export function allTold(known: Known, after: number): boolean {
  return known.more() === undefined && known.read(after, 64).length === 0;
}

function formatted(events: readonly Event[], encoding: Encoding): string {
  return events.map((event) => format(event, encoding)).join("");
}

/** Data is one line of JSON. */
function format(event: Event, encoding: Encoding): string {
  const data = event.type === "state" ? event.state : { data: new Printed([event.bytes], { encoding }) };
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(data)}\n\n`;
}
