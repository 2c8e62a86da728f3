/** Executions of a `cordon serve` as things of their own (/v1): begun, followed while they run, cancelled. */
import type { TerminalSize } from "../engine/engine.ts";
import type { Api, Call } from "./request.ts";
import { readEvents } from "./sse.ts";
import { isObject } from "../host/json.ts";

export interface Asked {
  /** A script for a shell, or a program and its arguments. */
  command: string | string[];
  /** Docker's options and the image, as a line. */
  args: string;
  /** Its input comes later, by a WebSocket (`attach.ts`). */
  interactive?: {
    /** It gets a terminal; `true`: of the usual size. */
    tty?: TerminalSize | true;
    /** It is cancelled when whoever writes to it goes away; else it goes on. */
    tied: boolean;
  };
}

const STATES = ["queued", "running", "finished", "cancelled", "lost"] as const;

/** What has become of an execution. */
export interface State {
  state: typeof STATES[number];
  reason: string | null;
  exitCode: number | null;
  signal: number | null;
  truncated: boolean;
}

export type Event =
  | { id: number; type: "stdout" | "stderr"; bytes: Uint8Array }
  | { id: number; type: "state"; state: State };

const MOST_ANSWER_BYTES = 16 * 2 ** 20;

const LIST: Call = { method: "GET", path: "/v1/executions?limit=1" };

/**
 * Whether it is a server that has them. Nothing is run to find out.
 *
 * @param needed nothing else will be asked that would tell who is not let in
 */
export async function hasExecutions(api: Api, { needed }: { needed: boolean }): Promise<boolean> {
  const { ok, status, value } = await api.probe(LIST);
  if (needed && status === 401) await api.call(LIST);
  return ok && isObject(value) && Array.isArray(value["executions"]);
}

/** Begins one that goes on without us. @returns its id */
export async function begin(api: Api, asked: Asked, signal?: AbortSignal): Promise<string> {
  const response = await api.call({ method: "POST", path: "/v1/executions", json: body(asked), signal });
  const { id } = parse(api, await api.text(response, { most: MOST_ANSWER_BYTES, signal }));
  if (typeof id !== "string") throw api.broken("It tells no id of the execution");
  return id;
}

/** Begins one that ends with this request, and follows it. */
export async function run(api: Api, asked: Asked, signal: AbortSignal): Promise<AsyncGenerator<Event>> {
  const response = await api.call({
    method: "POST",
    path: "/v1/executions?encoding=base64",
    headers: { accept: "text/event-stream" },
    json: body(asked),
    signal,
  });
  return events(api, response, signal);
}

/** Follows one from the event behind `after`; ends at once when all of it was told before. */
export async function follow(
  api: Api,
  { id, after }: { id: string; after: number },
  signal: AbortSignal,
): Promise<AsyncGenerator<Event>> {
  const path = `/v1/executions/${encodeURIComponent(id)}/events?encoding=base64&after=${after}`;
  return events(api, await api.call({ method: "GET", path, signal }), signal);
}

/** Ends one, and waits for its end. */
export async function cancel(api: Api, id: string, signal?: AbortSignal): Promise<void> {
  const path = `/v1/executions/${encodeURIComponent(id)}/cancel`;
  const response = await api.call({ method: "POST", path, signal });
  await response.body?.cancel();
}

/** Whether nothing more comes. */
export function hasEnded({ state }: State): boolean {
  return state === "finished" || state === "cancelled" || state === "lost";
}

function body({ command, args, interactive }: Asked) {
  if (!interactive) return { command, args };
  const { tty, tied } = interactive;
  return {
    command,
    args,
    interactive: true,
    ...(tty !== undefined && { tty }),
    ...(tied && { on_detach: "cancel" }),
  };
}

async function* events(api: Api, response: Response, signal: AbortSignal): AsyncGenerator<Event> {
  for await (const { id, event, data } of readEvents(api.bytes(response, signal))) {
    const position = Number(id);
    if (event === "state") yield { id: position, type: "state", state: readState(api, data) };
    else if (event === "stdout" || event === "stderr") {
      yield { id: position, type: event, bytes: readData(api, data) };
    }
  }
}

/** @throws ApiError */
export function readState(api: Api, text: string): State {
  const { state: name, reason, exit_code, signal, truncated } = parse(api, text);
  const state = STATES.find((state) => state === name);
  if (state === undefined) {
    throw api.broken(`It tells no state of an execution: ${JSON.stringify(text.slice(0, 80))}`);
  }
  const number = (value: unknown) => typeof value === "number" && Number.isInteger(value) ? value : null;
  return {
    state,
    reason: typeof reason === "string" ? reason : null,
    exitCode: number(exit_code),
    signal: number(signal),
    truncated: truncated === true,
  };
}

function readData(api: Api, text: string): Uint8Array {
  const { data } = parse(api, text);
  if (typeof data !== "string") throw api.broken("An event of output has no data");
  try {
    return Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  } catch {
    throw api.broken("An event of output is not base64");
  }
}

/** @throws ApiError */
export function parse(api: Api, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (isObject(value)) return value;
  throw api.broken(`It is not a JSON object: ${JSON.stringify(text.slice(0, 80))}`);
}
