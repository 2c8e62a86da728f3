/** The HTTP side: from a request to its route, and what all routes have in common. */
import { Hono } from "hono";
import { offeredTokens } from "./attach-messages.ts";
import type { Tenant } from "./config/types.ts";
import { tenantOf } from "./config/tokens.ts";
import { presented } from "./credentials.ts";
import { fileRoutes } from "./routes-files.ts";
import type { Handler, RequestInfo } from "./front/handler.ts";
import { isNear } from "./near.ts";
import { openApi } from "./openapi.ts";
import { Problem } from "./problem.ts";
import { dockyterRoutes } from "./routes-dockyter.ts";
import { pageRoutes } from "./page.ts";
import { meRoutes } from "./routes-me.ts";
import { operatorRoutes } from "./routes-operator.ts";
import { sessionRoutes } from "./routes-sessions.ts";
import { v1Routes } from "./routes-v1.ts";
import type { Call, Route } from "./route.ts";
import type { Service } from "./service.ts";

const REALM = { "www-authenticate": 'Basic realm="cordon", charset="UTF-8"' };
/** What a proxy in front may name a request by. */
const REQUEST_ID = /^[\w.-]{1,64}$/;

export function createApp(service: Service, version: string): Handler {
  const routes: Route[] = [
    ...dockyterRoutes,
    ...v1Routes,
    ...fileRoutes,
    ...meRoutes,
    ...sessionRoutes,
    ...operatorRoutes,
  ];
  const document = JSON.stringify(openApi(routes, version));
  routes.push({
    open: true,
    method: "GET",
    path: "/openapi.json",
    id: "openapi",
    summary: "This document",
    answers: { 200: { description: "OpenAPI 3.1" } },
    problems: [],
    answer: () => new Response(document, { headers: { "content-type": "application/json" } }),
  });
  routes.push(...pageRoutes);
  const app = new Hono<{ Bindings: Incoming }>({ getPath: (_request, options) => options!.env!.path });
  for (const route of routes) {
    app.on(route.method, route.path.replaceAll(/\{(\w+)\}/g, ":$1"), (context) => {
      const { env, req } = context;
      env.route = route.id;
      return answer(route, { ...env, params: req.param(), service });
    });
  }
  app.notFound(({ env }) => nowhere(env, routes).response());
  // Hono's own handling would hide what went wrong.
  app.onError((error) => {
    throw error;
  });
  return (request, { peer }) => handle(app, request, { service, peer });
}

/** What the outer half hands to the routes, and learns from them. */
interface Incoming extends Omit<Call, "params" | "service"> {
  peer: RequestInfo["peer"];
  path: string;
  tokens: string[];
  route: string;
}

async function handle(
  app: Hono<{ Bindings: Incoming }>,
  request: Request,
  { service, peer }: { service: Service; peer: RequestInfo["peer"] },
): Promise<Response> {
  const { metrics, log } = service;
  const url = new URL(request.url);
  const given = request.headers.get("x-request-id") ?? "";
  const incoming: Incoming = {
    request,
    peer,
    requestId: REQUEST_ID.test(given) ? given : crypto.randomUUID(),
    query: url.searchParams,
    route: "none",
    ...presented(url.pathname, request.headers.get("authorization")),
  };
  incoming.tokens.push(...offeredTokens(request));
  const named = { request_id: incoming.requestId, peer: peer.address };
  let response: Response;
  try {
    response = await app.fetch(request, incoming);
  } catch (error) {
    if (error instanceof Problem) response = error.response();
    else if (request.signal.aborted) response = new Response(null, { status: 499 });
    else {
      log("error", "failed", { ...named, route: incoming.route, error: String(error) });
      response = new Problem("internal").response();
    }
  }
  metrics.answered(incoming.route, response.status);
  if (response.status >= 400) {
    log("info", "answered", { ...named, route: incoming.route, status: response.status });
  }
  // A WebSocket from here on: the front writes its head.
  if (response.status === 101) return response;
  for (const [name, value] of Object.entries(COMMON_HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  response.headers.set("x-request-id", incoming.requestId);
  return response;
}

const COMMON_HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
};

async function answer(route: Route, call: Call & Incoming): Promise<Response> {
  if (route.open) {
    if (route.open === "near" && !isNear(call.request, call.peer)) authenticate(call);
    return await route.answer(call);
  }
  return await route.answer(call, authenticate(call));
}

/** @throws Problem */
function authenticate({ service, tokens }: Call & Incoming): Tenant {
  const { tenants, everybody } = service.situation;
  const tenant = everybody ?? tenantOf(tenants, tokens);
  if (!tenant) throw new Problem("unauthorized", { headers: REALM });
  return tenant;
}

/** Which of both it is: a path that means nothing, or a method. */
function nowhere({ path }: Incoming, routes: readonly Route[]): Problem {
  const methods = routes.filter((route) => pattern(route.path).test(path)).map(({ method }) => method);
  if (methods.length === 0) {
    return new Problem("not-found", { detail: "See /openapi.json for what there is" });
  }
  if (methods.includes("GET")) methods.push("HEAD" as "GET");
  return new Problem("method-not-allowed", { headers: { allow: methods.join(", ") } });
}

function pattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`);
}
