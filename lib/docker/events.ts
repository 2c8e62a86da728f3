/** What happens in the engine, as it happens (Engine API, "Monitor events"). */

import type { Call } from "./containers.ts";
import { jsonLines } from "./jsonlines.ts";
import { request } from "./request.ts";
import type { Engine } from "./system.ts";

export interface EngineEvent {
  /** `container`, `image`, … */
  Type: string;
  /** `create start die oom kill destroy …`; `exec_start: CMD` has its argument in the word. */
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> | null };
  time?: number;
  timeNano?: number;
}

export interface EventOptions extends Call {
  /** By key, as the API has them: `{ type: ["container"], label: ["a=b"], event: ["die"] }`. */
  filters?: Record<string, string[]>;
  /** Seconds since 1970. With `since`, past events come first; with `until`, the stream ends there. */
  since?: number;
  until?: number;
}

/** Subscribes; returns once the engine has answered, so that nothing that happens after is missed. */
export async function watchEvents(
  engine: Engine,
  options: EventOptions = {},
): Promise<AsyncGenerator<EngineEvent>> {
  const { filters, since, until, signal } = options;
  const reply = await request(engine, {
    method: "GET",
    path: "/events",
    query: { filters, since, until },
    what: "watch the engine's events",
    signal,
  });
  return jsonLines<EngineEvent>(reply.chunks());
}
