/** batchspawner's side of JupyterHub: a job tells the Hub which port it listens on. */
import { CordonError } from "../errors.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The Hub may be busy with a whole class that logs in. */
const PATIENCE_MS = 60_000;

/**
 * Tells the Hub the port: POST {JUPYTERHUB_API_URL}/batchspawner, with the server's token, and with its certificate
 * where the Hub uses internal SSL (JUPYTERHUB_SSL_*).
 * @throws {CordonError} a variable is missing, a certificate cannot be read, the Hub cannot be reached or refuses
 */
export async function reportPort(env: Environment, port: number): Promise<void> {
  const api = env["JUPYTERHUB_API_URL"], token = env["JUPYTERHUB_API_TOKEN"] || env["JPY_API_TOKEN"];
  if (!api || !token) {
    throw new CordonError(`The variable ${api ? "JUPYTERHUB_API_TOKEN" : "JUPYTERHUB_API_URL"} is not set`, {
      why: "--batchspawner is for jobs that JupyterHub's batchspawner submits; it sets these variables",
    });
  }
  const url = `${api.replace(/\/+$/, "")}/batchspawner`;
  const client = clientFor(env);
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { authorization: `token ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ port }),
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(client && { client }),
    });
  } catch (cause) {
    throw new CordonError(`The Hub cannot be told the port: POST ${url} failed`, {
      why: reason(cause),
      cause,
    });
  }
  if (!response.ok) {
    const text = (await response.text()).slice(0, 200).trim();
    throw new CordonError(`The Hub refused the port: POST ${url} gave status ${response.status}`, {
      why: response.status === 404
        ? "the Hub does not know batchspawner: jupyterhub_config.py must import it"
        : text || undefined,
      hint: response.status === 404 ? "import batchspawner" : undefined,
    });
  }
  await response.body?.cancel();
}

function clientFor(env: Environment): Deno.HttpClient | undefined {
  const certFile = env["JUPYTERHUB_SSL_CERTFILE"], keyFile = env["JUPYTERHUB_SSL_KEYFILE"];
  const caFile = env["JUPYTERHUB_SSL_CLIENT_CA"];
  if (!(certFile && keyFile) && !caFile) return undefined;
  return Deno.createHttpClient({
    ...(certFile && keyFile && { cert: pem(certFile), key: pem(keyFile) }),
    ...(caFile && { caCerts: [pem(caFile)] }),
  });
}

function pem(file: string): string {
  try {
    return Deno.readTextFileSync(file);
  } catch (cause) {
    throw new CordonError(`The Hub's certificate file ${file} cannot be read`, {
      why: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

/** The innermost message says what the network said. */
function reason(error: unknown): string {
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return `no answer within ${PATIENCE_MS / 1000} seconds`;
  }
  let deepest = error;
  while (deepest instanceof Error && deepest.cause instanceof Error) deepest = deepest.cause;
  const text = deepest instanceof Error ? deepest.message : String(deepest);
  return text.replace(/^error sending request for url \([^)]*\): /, ""); // the URL has been told
}
