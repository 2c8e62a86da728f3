/** Stored files: brought, looked at, fetched, removed. */
import * as z from "zod";
import { CordonError } from "../errors.ts";
import { SECRET_ID } from "./ids.ts";
import { check } from "./body.ts";
import type { Tenant } from "./config/types.ts";
import { type StoredFile as Row, TooMuch } from "./files/store.ts";
import { Problem } from "./problem.ts";
import type { Call, Route } from "./route.ts";
import { FileList, StoredFile, UploadQuery } from "./schemas-files.ts";

const ID_PARAM = { id: z.string().regex(SECRET_ID) };
/** When the disk takes nothing. */
const RETRY_S = 5;
const BYTES = "application/octet-stream";

export const fileRoutes: Route[] = [
  {
    method: "POST",
    path: "/v1/files",
    id: "uploadFile",
    summary: "Store a file for executions to come",
    query: UploadQuery,
    body: { schema: z.string(), most: Infinity, type: BYTES },
    answers: {
      201: {
        description: "It is stored, until it expires",
        schema: StoredFile,
        links: ["getFile", "deleteFile"],
      },
    },
    problems: ["record"],
    answer: upload,
  },
  {
    method: "GET",
    path: "/v1/files",
    id: "listFiles",
    summary: "The tenant's stored files, newest first",
    answers: { 200: { description: "All of them", schema: FileList } },
    problems: ["tenant-busy", "capacity"],
    answer({ service: { files, outgoing }, request }, { name: tenant }) {
      outgoing.check(tenant);
      return outgoing.json({ files: files.list(tenant).map(told) }, { tenant, request });
    },
  },
  {
    method: "GET",
    path: "/v1/files/{id}",
    id: "getFile",
    summary: "What is in a stored file",
    params: ID_PARAM,
    answers: { 200: { description: "Its bytes", type: BYTES } },
    problems: ["not-found"],
    answer: fetchFile,
  },
  {
    method: "DELETE",
    path: "/v1/files/{id}",
    id: "deleteFile",
    summary: "Remove a stored file",
    params: ID_PARAM,
    answers: { 204: { description: "It is gone" } },
    problems: ["not-found"],
    answer: remove,
  },
];

async function upload({ request, requestId, query, service }: Call, tenant: Tenant): Promise<Response> {
  const { name } = check(UploadQuery, Object.fromEntries(query));
  const type = (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (type !== BYTES) throw new Problem("unsupported-media-type", { detail: `Wanted ${BYTES}` });
  const { files: limits } = tenant.policy;
  const length = Number(request.headers.get("content-length") ?? 0);
  if (length > limits.storeBytes) throw tooLarge(`Stored files have at most ${limits.storeBytes} bytes`);
  try {
    const row = await service.files.add({
      tenant: tenant.name,
      limits,
      name,
      source: request.body ?? nothing(),
    });
    return Response.json(told(row), { status: 201, headers: { location: `/v1/files/${row.id}` } });
  } catch (error) {
    if (error instanceof TooMuch) throw tooLarge(error.message);
    if (!(error instanceof CordonError)) throw error;
    service.log("error", "unrecorded", { request_id: requestId, error: error.why ?? error.message });
    throw new Problem("record", { headers: { "retry-after": String(RETRY_S) } });
  }
}

async function fetchFile({ request, params, service }: Call, { name }: Tenant): Promise<Response> {
  const { id = "" } = params;
  const head = request.method === "HEAD";
  const row = service.files.get(id, name);
  const opened = row && !head ? await service.files.open(id, name) : undefined;
  if (!row || (!head && !opened)) throw missing();
  return new Response(opened?.file.readable ?? null, {
    headers: {
      "content-type": BYTES,
      // On a HEAD the front would take it for the length of a body that does not come.
      ...(opened && { "content-length": String(row.size) }),
      "content-disposition": disposition(row.name),
      "content-security-policy": "sandbox; default-src 'none'",
    },
  });
}

function remove({ params, service }: Call, { name }: Tenant): Response {
  if (!service.files.remove(params["id"] ?? "", name)) throw missing();
  return new Response(null, { status: 204 });
}

/** RFC 6266; names in it are the client's or a command's. */
function disposition(name: string): string {
  const plain = name.replace(/[^\w.-]/g, "_");
  const exact = encodeURIComponent(name.toWellFormed()).replace(
    /['()*!]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}

function told({ id, name, size, created, expires, execution }: Row) {
  const time = (ms: number) => new Date(ms).toISOString();
  return { id, name, size, created: time(created), expires: time(expires), execution };
}

function tooLarge(detail: string): Problem {
  return new Problem("too-large", { detail });
}

function missing(): Problem {
  return new Problem("not-found", { detail: "There is no such file" });
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
