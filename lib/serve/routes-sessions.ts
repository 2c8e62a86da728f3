/** Sessions: begun, looked at, ended. */
import * as z from "zod";
import { SECRET_ID } from "./ids.ts";
import { argsOf } from "./ask.ts";
import { readJson } from "./body.ts";
import type { Tenant } from "./config/types.ts";
import { Problem } from "./problem.ts";
import type { Call, Route } from "./route.ts";
import { judged } from "./routes-v1.ts";
import { CreateSession, Session, SessionList } from "./schemas-sessions.ts";
import { MOST_CREATE_BYTES } from "./schemas-v1.ts";
import { type Session as Running, TooManySessions } from "./sessions/sessions.ts";

const ID_PARAM = { id: z.string().regex(SECRET_ID) };

export const sessionRoutes: Route[] = [
  {
    method: "POST",
    path: "/v1/sessions",
    id: "createSession",
    summary: "Begin a session: a working directory that stays between commands",
    body: { schema: CreateSession, most: MOST_CREATE_BYTES },
    answers: { 201: { description: "It has begun", schema: Session, links: ["getSession", "endSession"] } },
    problems: ["refused", "draining", "tenant-busy"],
    answer: create,
  },
  {
    method: "GET",
    path: "/v1/sessions",
    id: "listSessions",
    summary: "The tenant's sessions, newest first",
    answers: { 200: { description: "All of them", schema: SessionList } },
    problems: [],
    answer: ({ service }, { name }) => Response.json({ sessions: service.sessions.list(name).map(told) }),
  },
  {
    method: "GET",
    path: "/v1/sessions/{id}",
    id: "getSession",
    summary: "A session",
    params: ID_PARAM,
    answers: { 200: { description: "As it is now", schema: Session } },
    problems: ["not-found"],
    answer: (call, tenant) => Response.json(told(needed(call, tenant))),
  },
  {
    method: "DELETE",
    path: "/v1/sessions/{id}",
    id: "endSession",
    summary: "End a session, its commands and its files",
    params: ID_PARAM,
    answers: { 204: { description: "It is gone" } },
    problems: ["not-found"],
    answer: end,
  },
];

async function create(call: Call, tenant: Tenant): Promise<Response> {
  const { request, service } = call;
  const asked = await readJson(request, CreateSession, {
    tenant: tenant.name,
    most: MOST_CREATE_BYTES,
  });
  const { sessions: limits } = tenant.policy;
  const { idle_seconds: idle = limits.idleSeconds, ...rest } = asked;
  if (idle > limits.idleSeconds) {
    throw new Problem("refused", { detail: `idle_seconds ${idle}: there are at most ${limits.idleSeconds}` });
  }
  if (service.executor.draining) throw new Problem("draining");
  // What each command would be refused for is told now.
  const example = { ...rest, command: "true", results: [] };
  judged(call, tenant, { asked: example, args: argsOf(example) });
  try {
    const session = service.sessions.create(tenant.name, asked, limits);
    return Response.json(told(session), { status: 201, headers: { location: `/v1/sessions/${session.id}` } });
  } catch (error) {
    if (error instanceof TooManySessions) throw new Problem("refused", { detail: error.message });
    throw error;
  }
}

async function end(call: Call, tenant: Tenant): Promise<Response> {
  const session = needed(call, tenant);
  await session.end((execution) => call.service.executor.cancel(execution, "asked"));
  return new Response(null, { status: 204 });
}

/** @throws Problem */
function needed({ service, params }: Call, { name }: Tenant): Running {
  const session = service.sessions.get(params["id"] ?? "", name);
  if (!session) throw new Problem("not-found", { detail: "There is no such session" });
  return session;
}

function told({ id, created, used, idleSeconds, busy }: Running) {
  const time = (ms: number) => new Date(ms).toISOString();
  return { id, created: time(created), used: time(used), idle_seconds: idleSeconds, busy };
}
