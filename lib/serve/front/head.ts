/**
 * The head of a request (RFC 9112), read strictly: what two readers could take differently is refused, so that a proxy
 * in front and cordon never disagree where a request ends. Pure.
 */
import { refusedTarget, tooLong } from "./target.ts";

/** Bytes of a request line and its header lines. */
export const MOST_HEAD_BYTES = 32 * 1024;
const MOST_HEADER_LINES = 100;

export interface Head {
  method: string;
  /** Path and query. */
  target: string;
  version: "1.0" | "1.1";
  /** In order; names in lower case. */
  headers: [string, string][];
  /** Of the Host line; undefined for HTTP/1.0 without one. */
  host: string | undefined;
  origin: string | undefined;
  /** How the body ends: after this many bytes, or in chunks. */
  body: number | "chunked";
  keepAlive: boolean;
  expectsContinue: boolean;
  /** Asks for a WebSocket (RFC 6455 4.1). */
  webSocket: boolean;
}

/** A request that gets no further, with the status and what to say. */
export interface Refusal {
  status: number;
  detail: string;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// Header values hold no control characters but the tab.
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
const AUTHORITY = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/;
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]);
/** Lines that must not come twice: readers differ in which one they take. */
const SINGLE = new Set([
  "authorization",
  "content-length",
  "content-type",
  "expect",
  "host",
  "idempotency-key",
  "last-event-id",
  "origin",
  "transfer-encoding",
  "upgrade",
]);

const CR = 13, LF = 10;

/**
 * Looks for the empty line that ends a head.
 *
 * @param from where an earlier look stopped
 * @returns the bytes of the head with that line, where to look on when there is more to come, or a refusal
 */
export function findHead(bytes: Uint8Array, from: number): { end: number } | { from: number } | Refusal {
  let lf = bytes.indexOf(LF, from);
  for (; lf >= 0; lf = bytes.indexOf(LF, lf + 1)) {
    if (bytes[lf - 1] !== CR) return bad("a line ends without a carriage return");
    if (lf >= 3 && bytes[lf - 2] === LF) {
      return lf + 1 > MOST_HEAD_BYTES ? tooLarge() : { end: lf + 1 };
    }
  }
  if (bytes.length >= MOST_HEAD_BYTES) return tooLarge();
  return { from: bytes.length };
}

function tooLarge(): Refusal {
  return { status: 431, detail: `the request line and headers are longer than ${MOST_HEAD_BYTES} bytes` };
}

function bad(detail: string): Refusal {
  return { status: 400, detail };
}

/** The head in these lines (Latin-1), with or without the empty line at its end. */
export function parseHead(text: string): Head | Refusal {
  const lines = text.replace(/(?:\r\n){1,2}$/, "").split("\r\n");
  const request = parseRequestLine(lines.shift()!);
  if ("status" in request) return request;
  if (lines.length > MOST_HEADER_LINES) {
    return { status: 431, detail: `there are more than ${MOST_HEADER_LINES} header lines` };
  }
  const headers: [string, string][] = [];
  const values = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
    // A folded line, a space before the colon and a line without one all fail here.
    if (!TOKEN.test(name)) return bad("a header line does not begin with a name and a colon");
    if (CONTROL.test(value)) return bad(`the value of ${name} has a control character`);
    const earlier = values.get(name);
    if (earlier !== undefined && SINGLE.has(name)) return bad(`there are several lines of ${name}`);
    values.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
    headers.push([name, value]);
  }
  const host = values.get("host");
  if (host === undefined && request.version === "1.1") return bad("there is no host line");
  // The second finds numbers that are no address and no port.
  if (host !== undefined && !(AUTHORITY.test(host) && URL.canParse(`http://${host}`))) {
    return bad("the host line is not HOST or HOST:PORT");
  }
  const body = framing(values, request.version);
  if (typeof body === "object") return body;
  const expect = values.get("expect");
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") {
    return { status: 417, detail: "the only expectation that can be met is 100-continue" };
  }
  const connection = (values.get("connection") ?? "").toLowerCase().split(",").map((word) => word.trim());
  const webSocket = request.method === "GET" && request.version === "1.1" && connection.includes("upgrade") &&
    values.get("upgrade")?.toLowerCase() === "websocket";
  return {
    ...request,
    headers,
    host,
    origin: values.get("origin"),
    body,
    // Behind a request that was not answered with a WebSocket may come frames of one.
    keepAlive: request.version === "1.1" && !connection.includes("close") && !webSocket,
    expectsContinue: expect !== undefined && request.version === "1.1",
    webSocket,
  };
}

function parseRequestLine(line: string): Pick<Head, "method" | "target" | "version"> | Refusal {
  const [method, target, protocol, ...rest] = line.split(" ");
  if (!method || !target || protocol === undefined || rest.length > 0 || !TOKEN.test(method)) {
    return bad("the request line is not METHOD PATH HTTP/1.1");
  }
  const version = /^HTTP\/(\d\.\d)$/.exec(protocol)?.[1];
  if (version === undefined) return bad("the request line is not METHOD PATH HTTP/1.1");
  if (version !== "1.0" && version !== "1.1") {
    return { status: 505, detail: "the version of HTTP is neither 1.0 nor 1.1" };
  }
  if (method === "CONNECT" || method === "TRACE") return { status: 405, detail: `${method} is not served` };
  if (!METHODS.has(method)) return { status: 501, detail: "the method is unknown" };
  if (tooLong(target)) return { status: 414, detail: "the path is too long" };
  const refused = refusedTarget(target);
  if (refused !== undefined) return bad(refused);
  return { method, target, version };
}

/** RFC 9112 6.3, without the cases in which it leaves a choice. */
function framing(values: ReadonlyMap<string, string>, version: Head["version"]): Head["body"] | Refusal {
  const length = values.get("content-length");
  const coding = values.get("transfer-encoding");
  if (coding !== undefined) {
    if (length !== undefined) return bad("there is a content-length besides a transfer-encoding");
    if (version === "1.0") return bad("there is a transfer-encoding in HTTP/1.0");
    if (coding.toLowerCase() !== "chunked") {
      return { status: 501, detail: "the only transfer-encoding is chunked" };
    }
    return "chunked";
  }
  if (length === undefined) return 0;
  if (!/^\d{1,15}$/.test(length)) return bad("the content-length is not a number");
  return Number(length);
}
