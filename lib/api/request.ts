/** One request to an API. What goes wrong comes out in words, and never with a token in them. */
import { CordonError } from "../errors.ts";
import type { ApiAddress } from "./address.ts";
import { authorities } from "./authorities.ts";

/** The API could not be reached, or answered with a status that is no success. */
export class ApiError extends CordonError {
  override readonly name = "ApiError";
  /** 0 when there was no answer, or not the whole of it. */
  readonly status: number;

  constructor(what: string, { status, why, hint }: { status: number; why?: string; hint?: string }) {
    super(what, { why, hint });
    this.status = status;
  }
}

export interface Call {
  method: "GET" | "POST" | "DELETE";
  /** Below the address, beginning with a slash. */
  path: string;
  /** Body as JSON. */
  json?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** Error bodies are read no further than this. */
const MOST_ERROR_BYTES = 64 * 1024;

/** An API, with the connections to it. */
export class Api implements Disposable {
  readonly address: ApiAddress;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly #client: Deno.HttpClient;

  constructor(address: ApiAddress, env: Readonly<Record<string, string | undefined>>) {
    this.address = address;
    this.env = env;
    const { socket, base } = address;
    this.#client = Deno.createHttpClient({
      ...(socket !== undefined && { proxy: { transport: "unix", path: socket } }),
      ...(base.startsWith("https:") && { caCerts: authorities(env) }),
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  /**
   * @returns the answer of a success, its body unread
   * @throws ApiError; the signal's reason when it is aborted
   */
  async call(call: Call): Promise<Response> {
    const response = await this.#send(call);
    if (response.ok) return response;
    throw await refusal(response, this.address.shown);
  }

  /**
   * Whether it answers with a success, and the JSON it answers with, if it is some and short.
   *
   * @throws ApiError when there is no answer
   */
  async probe(call: Call): Promise<{ ok: boolean; status: number; value: unknown }> {
    const response = await this.#send(call);
    const { ok, status } = response;
    const text = await shortText(response);
    try {
      return { ok, status, value: text === undefined ? undefined : JSON.parse(text) };
    } catch {
      return { ok, status, value: undefined };
    }
  }

  async #send({ method, path, json, headers = {}, signal }: Call): Promise<Response> {
    const { base, authorization } = this.address;
    try {
      return await fetch(base + path, {
        method,
        client: this.#client,
        // A token is for this address alone.
        redirect: "manual",
        headers: {
          ...headers,
          ...(authorization !== undefined && { authorization }),
          ...(json !== undefined && { "content-type": "application/json" }),
        },
        ...(json !== undefined && { body: JSON.stringify(json) }),
        ...(signal && { signal }),
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw this.unreachable(error);
    }
  }

  /**
   * The body of an answer as it comes.
   *
   * @throws ApiError when it breaks off; the signal's reason when it is aborted
   */
  async *bytes(response: Response, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      yield* response.body ?? [];
    } catch (error) {
      signal?.throwIfAborted();
      throw this.broken(failure(error, this.address.base), 0);
    }
  }

  /**
   * The whole body of an answer.
   *
   * @throws ApiError when it breaks off or is longer than `most` bytes
   */
  async text(
    response: Response,
    { most, signal }: { most: number; signal?: AbortSignal | undefined },
  ): Promise<string> {
    const decoder = new TextDecoder();
    let text = "", size = 0;
    for await (const bytes of this.bytes(response, signal)) {
      size += bytes.length;
      if (size > most) break;
      text += decoder.decode(bytes, { stream: true });
    }
    if (size > most) throw this.broken(`It is longer than ${most} bytes`);
    return text + decoder.decode();
  }

  /** There was no answer. */
  unreachable(error: unknown): ApiError {
    const { base, shown } = this.address;
    return new ApiError(`Cannot talk to the API at ${shown}`, { status: 0, why: failure(error, base) });
  }

  /** The command did not run, says the API. */
  failed(why: string): ApiError {
    return new ApiError(`The API at ${this.address.shown} could not run it`, {
      status: 200,
      why: printable(why),
    });
  }

  /** An answer that is none; with status 0, one that broke off. */
  broken(why: string, status = 200): ApiError {
    return new ApiError(`The API at ${this.address.shown} gave no usable answer`, { status, why });
  }
}

/** The runtime's words, the last of which are the system's, without the address, in which a token may stand. */
function failure(error: unknown, base: string): string {
  const message = error instanceof Error ? error.message : String(error);
  const words = message.replace(/^.*?client error \(\w+\): /s, "").replace(/ \(os error \d+\)/g, "");
  // It says the last part twice.
  return [...new Set(words.replaceAll(base, "the address").split(": "))].join(": ");
}

/** What an answer that is no success comes to. */
export async function refusal(response: Response, shown: string): Promise<ApiError> {
  const { status } = response;
  const reason = response.statusText || "no reason given";
  const said = await detail(response);
  if (status >= 300 && status < 400) {
    return new ApiError(`The API at ${shown} answers ${status} ${reason}`, {
      status,
      why: "It sends elsewhere. A token is not carried there: give the address it means",
    });
  }
  if (status === 401) {
    return new ApiError(`The API at ${shown} does not let you in: ${status} ${reason}`, {
      status,
      why: said ?? "A token is missing or wrong",
    });
  }
  const retry = response.headers.get("retry-after");
  const later = retry !== null && /^\d{1,6}$/.test(retry) ? `It may work in ${retry} s` : undefined;
  const why = [said, later].filter((text) => text !== undefined).join("\n");
  return new ApiError(`The API at ${shown} answers ${status} ${reason}`, {
    status,
    ...(why !== "" && { why }),
  });
}

/** What an error's body says: problem details (RFC 9457), FastAPI's `detail`, or a short text. */
async function detail(response: Response): Promise<string | undefined> {
  const text = await shortText(response);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const line = printable(text.trim());
    return line.length > 0 && line.length < 200 && !line.startsWith("<") ? line : undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { detail, title } = value as Record<string, unknown>;
  if (typeof detail === "string") return printable(detail);
  // FastAPI's list of what is wrong with the body.
  if (detail !== undefined) return printable(JSON.stringify(detail).slice(0, 500));
  return typeof title === "string" ? printable(title) : undefined;
}

/** A body that is not longer than an error's; undefined for others, and for one that breaks off. */
async function shortText(response: Response): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes, { stream: true });
      if (text.length > MOST_ERROR_BYTES) return undefined;
    }
  } catch {
    return undefined; // the status is all there is
  }
  return text + decoder.decode();
}

/** A server's words on a terminal: no control characters. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, "�");
}
