/** Dockyter's contract, from the client's side: `GET /health`, and `POST /execute {cmd, args} → {stdout, stderr}`. */
import type { Api } from "./request.ts";

/** What came back. */
export interface Executed {
  stdout: string;
  stderr: string;
  /** Absent from a server that does not tell; null when nothing ran. */
  exitCode?: number | null;
  /** The server kept no more of the output. */
  truncated: boolean;
}

/** The contract's answer is one JSON document, held in memory. */
const MOST_BYTES = 256 * 2 ** 20;

/** @throws ApiError when it does not answer with a success */
export async function health(api: Api, signal?: AbortSignal): Promise<void> {
  const response = await api.call({ method: "GET", path: "/health", signal });
  await response.body?.cancel();
}

/** @throws ApiError */
export async function execute(
  api: Api,
  request: { cmd: string; args: string },
  signal?: AbortSignal,
): Promise<Executed> {
  const response = await api.call({ method: "POST", path: "/execute", json: request, signal });
  const text = await api.text(response, { most: MOST_BYTES, signal });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw api.broken(`It is not JSON: ${excerpt(text)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw api.broken(`It is not a JSON object: ${excerpt(text)}`);
  }
  const { stdout = "", stderr = "", exit_code, truncated, success, ...rest } = value as Record<
    string,
    unknown
  >;
  if (success === false) {
    const why = [rest["error"], rest["detail"], rest["message"], stderr].find((said) =>
      typeof said === "string" && said !== ""
    );
    throw api.failed(typeof why === "string" ? why : "It says success: false, and no more");
  }
  if (!("stdout" in value || "stderr" in value)) {
    throw api.broken(`It has neither stdout nor stderr: ${excerpt(text)}`);
  }
  if (typeof stdout !== "string" || typeof stderr !== "string") {
    throw api.broken(`Its stdout and stderr are not both texts: ${excerpt(text)}`);
  }
  const known = exit_code === null || typeof exit_code === "number" && Number.isInteger(exit_code);
  return { stdout, stderr, ...(known && { exitCode: exit_code }), truncated: truncated === true };
}

function excerpt(text: string): string {
  const trimmed = text.trim();
  return trimmed === "" ? "it is empty" : JSON.stringify(trimmed.slice(0, 80));
}
