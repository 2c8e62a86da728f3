/** Problem details, RFC 9457. The types are stable: clients may tell errors apart by them. */

/** Each with its status and title. docs/serve.md describes them. */
export const PROBLEMS = {
  "bad-request": { status: 400, title: "The request cannot be understood" },
  "unauthorized": { status: 401, title: "A token is missing or wrong" },
  "refused": { status: 403, title: "The policy refuses this" },
  "not-found": { status: 404, title: "There is no such thing" },
  "method-not-allowed": { status: 405, title: "The method means nothing here" },
  "conflict": { status: 409, title: "Its state does not allow this" },
  "too-large": { status: 413, title: "The body is too large" },
  "unsupported-media-type": { status: 415, title: "The body has a type that is not taken" },
  "invalid": { status: 422, title: "The body or the query is wrong" },
  "rate": { status: 429, title: "Too many requests in this time" },
  "tenant-busy": { status: 429, title: "Too many executions of this tenant" },
  "internal": { status: 500, title: "The server failed" },
  "capacity": { status: 503, title: "All places are taken" },
  "draining": { status: 503, title: "The server is ending" },
  "foreign-origin": { status: 403, title: "Pages of that origin may not call this server" },
  "timeout": { status: 408, title: "The request did not come in time" },
  "path-too-long": { status: 414, title: "The path is too long" },
  "expectation": { status: 417, title: "The expectation cannot be met" },
  "foreign-host": { status: 421, title: "This server does not answer to that name" },
  "upgrade-required": { status: 426, title: "This is served by WebSocket alone" },
  "head-too-large": { status: 431, title: "The headers are too large" },
  "not-implemented": { status: 501, title: "This part of HTTP is not served" },
  "connections": { status: 503, title: "There are too many connections" },
  "http-version": { status: 505, title: "This version of HTTP is not served" },
  "record": { status: 503, title: "Nothing can be recorded now" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemName = keyof typeof PROBLEMS;

/** What the front answers by itself, before any route. Each has a status of its own. */
export const FRONT_PROBLEMS = [
  "bad-request",
  "foreign-origin",
  "method-not-allowed",
  "timeout",
  "path-too-long",
  "expectation",
  "foreign-host",
  "head-too-large",
  "internal",
  "not-implemented",
  "connections",
  "http-version",
] as const satisfies readonly ProblemName[];

export interface ProblemDetails {
  /** What went wrong this time. */
  detail?: string;
  /** What in the body is wrong, each with a JSON pointer (RFC 6901). */
  errors?: { pointer: string; detail: string }[];
  headers?: Record<string, string>;
}

/** Thrown by what answers a request; becomes the answer. */
export class Problem extends Error {
  constructor(readonly problem: ProblemName, readonly details: ProblemDetails = {}) {
    super(details.detail ?? PROBLEMS[problem].title);
  }

  get status(): number {
    return PROBLEMS[this.problem].status;
  }

  response(): Response {
    const { status, title } = PROBLEMS[this.problem];
    const { detail, errors, headers } = this.details;
    const body = {
      type: `urn:cordon:problem:${this.problem}`,
      title,
      status,
      ...(detail !== undefined && { detail }),
      ...(errors && { errors }),
    };
    return new Response(JSON.stringify(body), {
      status,
      headers: { "content-type": "application/problem+json", ...headers },
    });
  }
}
