/** Server-sent events from bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6. */
import { CordonError } from "../errors.ts";

export interface ServerEvent {
  /** The last one given; empty before the first. */
  id: string;
  event: string;
  data: string;
}

/** Of one event; more is no output of a command in pieces. */
const MOST_CHARACTERS = 16 * 2 ** 20;

/** @throws CordonError for an event that does not end */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = "", id = "", event = "", data: string[] = [], size = 0;
  for await (const bytes of chunks) {
    rest += decoder.decode(bytes, { stream: true });
    // A CR at the end may be the first half of a CR LF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    if ((size += bytes.length) > MOST_CHARACTERS) {
      throw new CordonError("Cannot read the events of the API", { why: "One of them has no end" });
    }
    for (const line of lines) {
      if (line === "") {
        size = 0;
        if (data.length > 0) yield { id, event: event || "message", data: data.join("\n") };
        event = "";
        data = [];
        continue;
      }
      const [, name = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
      if (name === "id" && !value.includes("\0")) id = value;
      else if (name === "event") event = value;
      else if (name === "data") data.push(value);
    }
  }
}
