/** Executions as things: create, look at, list, cancel, follow. */
import { createHash } from "node:crypto";
import * as z from "zod";
import { admit } from "./admit.ts";
import { attachRoute } from "./attach.ts";
import { argsOf, complete, recordedOf, scriptOf } from "./ask.ts";
import { check, readJson } from "./body.ts";
import type { Tenant } from "./config/types.ts";
import { allTold, eventStream } from "./events.ts";
import { within } from "./until.ts";
import type { Execution as Running, Job } from "./execution.ts";
import { ID } from "./ids.ts";
import { withWork } from "./files/asked.ts";
import { checkPosition, find, held, type Known, knownLive } from "./past.ts";
import { type Encoding, Printed } from "./printed.ts";
import { Problem } from "./problem.ts";
import type { Call, Described, Route } from "./route.ts";
import {
  CreateExecution,
  CreateQuery,
  EventsQuery,
  Execution,
  ExecutionEvent,
  ExecutionPage,
  ExecutionWithOutput,
  GetQuery,
  IdempotencyKey,
  LastEventId,
  ListQuery,
  MOST_CREATE_BYTES,
} from "./schemas-v1.ts";
import { inSession, sessionOf } from "./sessions/asked.ts";
import type { Session } from "./sessions/sessions.ts";
import { told } from "./tell.ts";
import { whenItEnds } from "./wait.ts";

const EVENTS: Described = {
  description: "Events; the last one tells its end",
  type: "text/event-stream",
  schema: ExecutionEvent,
};
/** What was asked for, of all executions of a page together: with much of it a page has fewer. */
const MOST_PAGE_BYTES = 2 * 2 ** 20;
const OF_ONE = ["getExecution", "cancelExecution", "followExecution", "attachExecution"];
const ID_PARAM = { id: z.string().regex(ID) };

export const v1Routes: Route[] = [
  {
    method: "POST",
    path: "/v1/executions",
    id: "createExecution",
    summary: "Run a command",
    query: CreateQuery,
    body: { schema: CreateExecution, most: MOST_CREATE_BYTES },
    headers: {
      "Idempotency-Key": {
        description: "What was asked under a key once is not begun a second time",
        schema: IdempotencyKey,
      },
    },
    answers: {
      200: {
        description: "It was asked for before under this key, or wait was set",
        schema: ExecutionWithOutput,
        links: OF_ONE,
      },
      202: { description: "It was admitted", schema: Execution, links: OF_ONE },
    },
    problems: ["refused", "conflict", "rate", "tenant-busy", "capacity", "draining", "record"],
    answer: create,
  },
  {
    method: "GET",
    path: "/v1/executions",
    id: "listExecutions",
    summary: "The tenant's executions, newest first",
    query: ListQuery,
    answers: { 200: { description: "A page of them", schema: ExecutionPage } },
    problems: ["tenant-busy", "capacity"],
    answer: list,
  },
  {
    method: "GET",
    path: "/v1/executions/{id}",
    id: "getExecution",
    summary: "An execution and its output",
    params: ID_PARAM,
    query: GetQuery,
    answers: { 200: { description: "As it is now", schema: ExecutionWithOutput } },
    problems: ["not-found", "tenant-busy", "capacity"],
    answer: get,
  },
  {
    method: "POST",
    path: "/v1/executions/{id}/cancel",
    id: "cancelExecution",
    summary: "End an execution",
    params: ID_PARAM,
    answers: { 200: { description: "As it is after its end", schema: Execution } },
    problems: ["not-found"],
    answer: cancel,
  },
  {
    method: "GET",
    path: "/v1/executions/{id}/events",
    id: "followExecution",
    summary: "An execution's output and states as they come",
    params: ID_PARAM,
    query: EventsQuery,
    headers: {
      "Last-Event-ID": { description: "Goes on after this event", schema: LastEventId },
    },
    answers: {
      200: EVENTS,
      204: { description: "It has ended, and all of it was told before Last-Event-ID" },
    },
    problems: ["not-found", "tenant-busy", "capacity"],
    answer: events,
  },
  attachRoute,
];

async function create(call: Call, tenant: Tenant): Promise<Response> {
  const { service, request, requestId } = call;
  const header = request.headers.get("idempotency-key");
  const name = header === null ? undefined : check(IdempotencyKey, header, "Idempotency-Key");
  const { encoding } = check(CreateQuery, Object.fromEntries(call.query));
  const asked = await readJson(request, CreateExecution, {
    tenant: tenant.name,
    most: MOST_CREATE_BYTES,
  });
  const hash = createHash("sha256").update(JSON.stringify({ ...asked, wait: undefined })).digest("hex");
  const known = name === undefined ? undefined : before(call, tenant, { name, hash });
  if (known) {
    if (known.live) await service.executor.recorded(known.live);
    return await answer(known, call, { wait: asked.wait === true, encoding });
  }
  const session = sessionOf(asked, service.sessions, tenant.name);
  const whole = inSession(asked, session);
  const args = argsOf(whole);
  const job = judged(call, tenant, { asked: whole, args, session });
  const live = admit(service, tenant, {
    requestId,
    via: "v1",
    job,
    args,
    command: recordedOf(asked),
    script: scriptOf(asked),
    ...(name !== undefined && { key: { name, asked: hash } }),
  });
  session?.attach(live);
  await service.executor.recorded(live);
  // Who has a key comes back for it.
  const tied = name === undefined;
  return await answer(knownLive(live), call, {
    wait: asked.wait === true,
    encoding,
    ...(tied && { tied: live }),
    fresh: true,
  });
}

/** What was asked for under this key before. @throws Problem when that was something else */
function before(
  { service }: Call,
  tenant: Tenant,
  { name, hash }: { name: string; hash: string },
): Known | undefined {
  const live = service.executor.byKey(name, tenant.name);
  const row = live?.record() ?? service.store.byKey(name, tenant.name);
  if (!row) return undefined;
  if (row.asked !== hash) {
    throw new Problem("conflict", {
      detail: "Something else was asked for under this Idempotency-Key before",
    });
  }
  return live ? knownLive(live) : find(service, row.id, tenant.name);
}

/** @throws Problem */
export function judged(
  { service, requestId }: Call,
  tenant: Tenant,
  { asked, args, session }: { asked: CreateExecution; args: string; session?: Session | undefined },
): Job {
  const verdict = service.judge({ tenant, args, cmd: scriptOf(asked) });
  const job = "refused" in verdict ? verdict : complete(verdict, asked, tenant);
  if (!("refused" in job)) return withWork(job, asked, { tenant, store: service.files, session });
  service.metrics.refused(job.rule);
  service.log("info", "refused", { request_id: requestId, tenant: tenant.name, rule: job.rule });
  throw new Problem("refused", { detail: job.refused });
}

interface AnswerOptions {
  wait: boolean;
  encoding: Encoding;
  /** It is ended when the client goes away while it waits. */
  tied?: Running;
  /** It was admitted just now. */
  fresh?: boolean;
}

async function answer(
  known: Known,
  call: Call,
  { wait, encoding, tied, fresh = false }: AnswerOptions,
): Promise<Response> {
  const { request, service } = call;
  const { outgoing } = service;
  const { tenant } = known.row;
  const gone = () => tied && service.executor.cancel(tied, "client");
  const headers = { location: `/v1/executions/${known.row.id}` };
  if (/^text\/event-stream\b/.test(request.headers.get("accept") ?? "")) {
    const response = eventStream(known, { after: 0, encoding, gone, held: heldFor(call, known) });
    response.headers.set("location", headers.location);
    return response;
  }
  if (wait && known.live) {
    request.signal.addEventListener("abort", gone, { once: true });
    if (request.signal.aborted) gone();
    return await whenItEnds(known.live.ended, () => full(known, encoding, service), {
      gone,
      headers,
      outgoing,
      tenant,
      request,
    });
  }
  if (fresh) return outgoing.json(told(known.row), { status: 202, headers, tenant, request });
  outgoing.check(tenant);
  return outgoing.json(full(known, encoding, service), { headers, tenant, request });
}

async function get(call: Call, tenant: Tenant): Promise<Response> {
  const { encoding, wait } = check(GetQuery, Object.fromEntries(call.query));
  const { service, request } = call;
  service.outgoing.check(tenant.name);
  const known = needed(call, tenant);
  if (known.live && wait > 0) {
    await within(wait * 1000, Promise.race([known.live.ended, aborted(call.request)]));
  }
  // Nobody is told of an end that is not in the record yet.
  if (known.live?.over) await known.live.ended;
  return service.outgoing.json(full(known, encoding, service), { tenant: tenant.name, request });
}

function list({ service, query, request }: Call, tenant: Tenant): Response {
  const { limit, before, state } = check(ListQuery, Object.fromEntries(query));
  service.outgoing.check(tenant.name);
  const { rows, more } = service.store.list(tenant.name, {
    before,
    state,
    most: limit,
    bytes: MOST_PAGE_BYTES,
  });
  const page = rows.map((row) => service.executor.get(row.id, tenant.name)?.record() ?? row);
  const next = more ? page.at(-1)!.id : null;
  return service.outgoing.json({ executions: page.map(told), next }, { tenant: tenant.name, request });
}

async function cancel(call: Call, tenant: Tenant): Promise<Response> {
  const known = needed(call, tenant);
  if (known.live) {
    call.service.executor.cancel(known.live, "asked");
    await known.live.ended;
  }
  return call.service.outgoing.json(told(known.row), { tenant: tenant.name, request: call.request });
}

function events(call: Call, tenant: Tenant): Response {
  const { encoding, after } = check(EventsQuery, Object.fromEntries(call.query));
  const header = call.request.headers.get("last-event-id");
  const last = header === null ? after ?? 0 : Number(check(LastEventId, header, "Last-Event-ID"));
  call.service.outgoing.check(tenant.name);
  const known = needed(call, tenant);
  checkPosition(last, known);
  // 204 tells an EventSource not to come back.
  if (last > 0 && allTold(known, last)) return new Response(null, { status: 204 });
  return eventStream(known, { after: last, encoding, held: heldFor(call, known) });
}

/** @throws Problem */
function needed({ service, params }: Call, tenant: Tenant): Known {
  const { id = "" } = params;
  const known = ID.test(id) ? find(service, id, tenant.name) : undefined;
  if (!known) throw new Problem("not-found", { detail: "There is no such execution" });
  return known;
}

/** Of a HEAD there is no stream. */
function heldFor({ service: { outgoing }, request }: Call, known: Known): Disposable | undefined {
  return request.method === "HEAD" ? undefined : held(known, outgoing);
}

function full(known: Known, encoding: Encoding, { files }: Call["service"]) {
  const { row } = known;
  return {
    ...told(row),
    stdout: new Printed(known.pieces("stdout"), { encoding }),
    stderr: new Printed(known.pieces("stderr"), { encoding }),
    results: files.results(row.id),
  };
}

function aborted({ signal }: Request): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
