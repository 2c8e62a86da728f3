/** One route: how it is described, checked and answered. */
import type * as z from "zod";
import type { Tenant } from "./config/types.ts";
import type { ProblemName } from "./problem.ts";
import type { Service } from "./service.ts";

/** One request that has passed the checks that all have in common. */
export interface Call {
  request: Request;
  /** The part of the path for each `{name}` of the route. */
  params: Record<string, string>;
  query: URLSearchParams;
  requestId: string;
  service: Service;
}

export interface Described {
  description: string;
  schema?: z.ZodType;
  /** Where it is not JSON. */
  type?: string;
  /** Ids of the routes that take its `id`. */
  links?: readonly string[];
}

interface RouteDescription {
  method: "GET" | "POST" | "DELETE";
  /** With `{name}` for what varies. */
  path: string;
  /** For clients that are generated, logs and metrics. */
  id: string;
  summary: string;
  /** JSON unless it has another type. */
  body?: { schema: z.ZodType; most: number; type?: string };
  params?: Record<string, z.ZodType>;
  query?: z.ZodObject;
  headers?: Record<string, { description: string; schema: z.ZodType }>;
  answers: Record<number, Described>;
  problems: readonly ProblemName[];
}

/** Everybody may ask; or, without a token, only who asks on this machine and not through a proxy (`near.ts`). */
export interface OpenRoute extends RouteDescription {
  open: true | "near";
  answer(call: Call): Response | Promise<Response>;
}

/** A token is needed. */
export interface TenantRoute extends RouteDescription {
  open?: false;
  answer(call: Call, tenant: Tenant): Response | Promise<Response>;
}

export type Route = OpenRoute | TenantRoute;
