/** The HTTP side: who may ask, what is answered when, and what a client that goes away means. */
import { CordonError } from "../errors.ts";
import { type Answer, execute, refusal, type Surroundings } from "./execute.ts";
import { type Front, openFront } from "./front/front.ts";
import { type ExecuteRequest, fits, MOST_BODY_BYTES, presented, readBody } from "./request.ts";
import { Queue } from "./queue.ts";

/** Dockyter's client gives up when nothing comes for 10 s. White space before JSON means nothing. */
const KEEP_ALIVE_MS = 3000;
const RETRY_AFTER_S = "2";

export interface ServerOptions extends Surroundings {
  hostname: string;
  port: number;
  /** SHA-256 of the token. */
  tokenHash: Uint8Array;
  /** Executions at once, and how many may wait. */
  concurrency: number;
  queue: number;
  log(event: Record<string, unknown>): void;
}

export function listen(options: ServerOptions): Promise<Front> {
  const queue = new Queue(options.concurrency, options.queue);
  const { hostname, port, log } = options;
  return openFront(
    { listen: [{ hostname, port }], hosts: [], origins: [], log },
    (request) => answer(request, options, queue),
  );
}

async function answer(request: Request, options: ServerOptions, queue: Queue): Promise<Response> {
  const { path, tokens } = presented(new URL(request.url).pathname, request.headers.get("authorization"));
  if (path === "/health") return get(request) ?? Response.json({ status: "ok" });
  if (!fits(tokens, options.tokenHash)) {
    return problem(401, "a token is missing or wrong", { "www-authenticate": 'Basic realm="cordon"' });
  }
  if (path !== "/execute") return problem(404, "there is /health and /execute");
  if (request.method !== "POST") return problem(405, "wanted POST", { allow: "POST" });
  const bytes = await readAtMost(request, MOST_BODY_BYTES);
  if (!bytes) return problem(413, `the body is longer than ${MOST_BODY_BYTES} bytes`);
  const body = readBody(bytes);
  if ("status" in body) return problem(body.status, body.detail);
  const id = crypto.randomUUID();
  const refused = refusal(body.args);
  if (refused !== undefined) {
    options.log({ event: "refused", id, reason: refused });
    return Response.json(
      {
        stdout: "",
        stderr: refused + "\n",
        exit_code: null,
        duration_ms: 0,
        truncated: false,
        id,
      } satisfies Answer,
    );
  }
  if (queue.full) return problem(503, "all places are taken", { "retry-after": RETRY_AFTER_S });
  return streamed(body, { options, queue, id });
}

function get(request: Request): Response | undefined {
  if (request.method === "GET" || request.method === "HEAD") return undefined;
  return problem(405, "wanted GET", { allow: "GET, HEAD" });
}

/** 200 at once, a space now and then, and the JSON at the end. A client that goes away ends the execution. */
function streamed(
  body: ExecuteRequest,
  { options, queue, id }: { options: ServerOptions; queue: Queue; id: string },
): Response {
  const gone = new AbortController();
  const encoder = new TextEncoder();
  let timer: number | undefined;
  const stream = new ReadableStream<Uint8Array>({
    async start(controller) {
      timer = setInterval(() => controller.enqueue(encoder.encode(" ")), KEEP_ALIVE_MS);
      const text = JSON.stringify(await work(body, { options, queue, id, signal: gone.signal }));
      clearInterval(timer);
      if (gone.signal.aborted) return;
      controller.enqueue(encoder.encode(text));
      controller.close();
    },
    cancel() {
      clearInterval(timer);
      gone.abort();
    },
  });
  return new Response(stream, { headers: { "content-type": "application/json", "x-request-id": id } });
}

async function work(
  body: ExecuteRequest,
  { options, queue, id, signal }: { options: ServerOptions; queue: Queue; id: string; signal: AbortSignal },
): Promise<Answer> {
  const log = (event: Record<string, unknown>) => options.log({ id, ...event });
  try {
    const done = await queue.run(() => execute(body, options, { id, signal }));
    log({
      event: "executed",
      exit_code: done.exit_code,
      duration_ms: done.duration_ms,
      gone: signal.aborted,
    });
    return done;
  } catch (error) {
    // The headers are sent: the contract leaves stderr to tell it in.
    log({ event: "failed", error: String(error) });
    const why = error instanceof CordonError ? error.message : "the server failed";
    return { stdout: "", stderr: `cordon: ${why}\n`, exit_code: 125, duration_ms: 0, truncated: false, id };
  }
}

/** The body, unless it is longer: then the rest is not read. */
async function readAtMost(request: Request, most: number): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.length;
    if (size > most) return undefined;
    parts.push(part);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** RFC 9457. */
function problem(status: number, detail: string, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify({ type: "about:blank", status, detail }), {
    status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
}
