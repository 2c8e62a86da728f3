/** The OpenAPI 3.1 document, from the table of routes and the schemas that check requests. */
import * as z from "zod";
import { FRONT_PROBLEMS, type ProblemName, PROBLEMS } from "./problem.ts";
import type { Described, Route } from "./route.ts";
import { ProblemBody } from "./schemas.ts";

type Json = Record<string, unknown>;

export function openApi(routes: readonly Route[], version: string): Json {
  const schemas = new Schemas();
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = paths[route.path] ??= {};
    path[route.method.toLowerCase()] = operation(route, schemas);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "cordon serve",
      version,
      description: "Runs commands, each in a sandbox or container of its own",
    },
    paths,
    components: {
      schemas: schemas.all(),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        basic: { type: "http", scheme: "basic", description: "The password is the token; any name" },
      },
    },
  };
}

function operation(route: Route, schemas: Schemas): Json {
  const { id, summary, body, answers, problems, open } = route;
  const responses: Record<string, Json> = {};
  for (const [status, described] of Object.entries(answers)) responses[status] = response(described, schemas);
  for (const [status, names] of byStatus(problemsOf(route, problems))) {
    responses[status] = {
      description: names.map((name) => `${PROBLEMS[name].title} (urn:cordon:problem:${name})`).join("; "),
      content: { "application/problem+json": { schema: schemas.of(ProblemBody) } },
      ...((status === "429" || status === "503") && {
        headers: { "Retry-After": { description: "Seconds", schema: { type: "integer" } } },
      }),
    };
  }
  return {
    operationId: id,
    summary,
    security: open === true ? [] : [...(open ? [{}] : []), { bearer: [] }, { basic: [] }],
    ...(parameters(route, schemas)),
    ...(body && {
      requestBody: {
        required: true,
        content: { [body.type ?? "application/json"]: { schema: schemas.of(body.schema, "input") } },
      },
    }),
    responses,
  };
}

/** What a route can always answer, besides what it names. */
function problemsOf({ open, body, query }: Route, named: readonly ProblemName[]): ProblemName[] {
  return [
    ...(open === true ? [] : ["unauthorized" as const]),
    ...(body ? ["bad-request", "too-large", "unsupported-media-type", "invalid", "capacity"] as const : []),
    ...(query ? ["invalid" as const] : []),
    ...named,
    ...FRONT_PROBLEMS,
  ];
}

function byStatus(names: readonly ProblemName[]): Map<string, ProblemName[]> {
  const found = new Map<string, ProblemName[]>();
  for (const name of new Set(names)) {
    const status = String(PROBLEMS[name].status);
    found.set(status, [...found.get(status) ?? [], name]);
  }
  return found;
}

function parameters({ path, params, query, headers = {} }: Route, schemas: Schemas): Json {
  const list: Json[] = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: params?.[name!] ? schemas.of(params[name!]!) : { type: "string" },
  }));
  for (const [name, schema] of Object.entries(query?.shape ?? {})) {
    const { description, ...rest } = schemas.of(schema as z.ZodType, "input");
    list.push({
      name,
      in: "query",
      required: false,
      ...(description !== undefined && { description }),
      schema: rest,
    });
  }
  for (const [name, { description, schema }] of Object.entries(headers)) {
    list.push({ name, in: "header", required: false, description, schema: schemas.of(schema, "input") });
  }
  return list.length > 0 ? { parameters: list } : {};
}

function response({ description, schema, type, links = [] }: Described, schemas: Schemas): Json {
  if (!schema && type === undefined) return { description };
  const parameters = { id: "$response.body#/id" };
  return {
    description,
    ...(links.length > 0 && {
      links: Object.fromEntries(links.map((operationId) => [operationId, { operationId, parameters }])),
    }),
    content: {
      [type ?? "application/json"]: schema ? { schema: schemas.of(schema) } : { schema: { type: "string" } },
    },
  };
}

/** Schemas with an `id` become components and are referred to. */
class Schemas {
  readonly #components: Record<string, Json> = {};

  all(): Record<string, Json> {
    return this.#components;
  }

  of(schema: z.ZodType, io: "input" | "output" = "output"): Json {
    const { $defs = {}, $schema: _, ...own } = z.toJSONSchema(schema, { io }) as Json & { $defs?: Json };
    for (const [name, definition] of Object.entries($defs)) {
      this.#components[name] = relocated(definition) as Json;
    }
    const { id, ...rest } = relocated(own) as Json;
    if (id === undefined) return rest;
    this.#components[String(id)] = rest;
    return { $ref: `#/components/schemas/${id}` };
  }
}

/** References from where zod puts definitions to where OpenAPI has them. */
function relocated(value: unknown): unknown {
  const text = JSON.stringify(value).replaceAll('"#/$defs/', '"#/components/schemas/');
  return JSON.parse(text);
}
