/** Responses as bytes. */
import { FRONT_PROBLEMS, type ProblemName, PROBLEMS } from "../problem.ts";
import type { Head, Refusal } from "./head.ts";
import { concat } from "../../host/pieces.ts";

const REASONS: Record<number, string> = {
  100: "Continue",
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  206: "Partial Content",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  507: "Insufficient Storage",
};

/** The connection decides on these, not the handler. */
const OURS = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "date"]);

const encoder = new TextEncoder();

/** How the body of a response ends. */
export type Framing = "none" | "chunked" | "close" | { length: number };

/** The framing that this request and this response allow. `length`: of the body, when all of it is known. */
export function framingOf(
  { method, version }: Pick<Head, "method" | "version">,
  response: Response,
  length: number | undefined,
): Framing {
  if (method === "HEAD" || response.status === 204 || response.status === 304) return "none";
  const told = response.headers.get("content-length");
  if (told !== null && /^\d{1,15}$/.test(told)) return { length: Number(told) };
  if (length !== undefined) return { length };
  return version === "1.1" ? "chunked" : "close";
}

/** Status line and headers. `statusText` is sent as it is given: Dockyter shows nothing else of an error. */
export function replyHead(
  response: Response,
  { framing, keepAlive }: { framing: Framing; keepAlive: boolean },
): string {
  const reason = response.statusText || REASONS[response.status] || "";
  let text = `HTTP/1.1 ${response.status} ${reason}\r\n`;
  for (const [name, value] of response.headers) {
    if (OURS.has(name) || (name === "content-length" && framing !== "none")) continue;
    text += `${name}: ${value}\r\n`;
  }
  if (typeof framing === "object") text += `content-length: ${framing.length}\r\n`;
  if (framing === "chunked") text += "transfer-encoding: chunked\r\n";
  if (!keepAlive) text += "connection: close\r\n";
  return `${text}date: ${date()}\r\n\r\n`;
}

let shown = "";
let shownAt = -1;

/** RFC 9110 5.6.7, made once a second. */
function date(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== shownAt) {
    shownAt = second;
    shown = new Date(second * 1000).toUTCString();
  }
  return shown;
}

/** Latin-1, as header values are. */
export function latin1(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

const PROBLEM_OF = new Map<number, ProblemName>(FRONT_PROBLEMS.map((name) => [PROBLEMS[name].status, name]));

/** RFC 9457. */
function problemBody({ status, detail }: Refusal): string {
  const name = PROBLEM_OF.get(status) ?? "internal";
  const { title } = PROBLEMS[name];
  return JSON.stringify({ type: `urn:cordon:problem:${name}`, title, status, detail }) + "\n";
}

/** The whole answer to a request that gets no further. The connection is closed after it. */
export function refusalReply(refusal: Refusal): Uint8Array<ArrayBuffer> {
  const { status } = refusal;
  const body = encoder.encode(problemBody(refusal));
  const extra = status === 503 ? "retry-after: 2\r\n" : status === 405 ? "allow: GET, HEAD, POST\r\n" : "";
  return concat([
    latin1(
      `HTTP/1.1 ${status} ${REASONS[status]}\r\ncontent-type: application/problem+json\r\n` +
        `content-length: ${body.length}\r\n${extra}connection: close\r\ndate: ${date()}\r\n\r\n`,
    ),
    body,
  ]);
}

/** When a handler fails. */
export function failure(): Response {
  return new Response(problemBody({ status: 500, detail: "see the log of the server" }), {
    status: 500,
    headers: { "content-type": "application/problem+json" },
  });
}

export const CONTINUE = latin1("HTTP/1.1 100 Continue\r\n\r\n");
export const LAST_CHUNK = latin1("0\r\n\r\n");
export const CRLF = latin1("\r\n");

/** A piece of a chunked body. */
export function chunk(piece: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([chunkSize(piece), piece, CRLF]);
}

export function chunkSize(piece: Uint8Array): Uint8Array<ArrayBuffer> {
  return latin1(piece.length.toString(16) + "\r\n");
}
