/** `cordon serve`: the daemon that runs commands for HTTP clients. */
import { writeStderr } from "../lib/cli/streams.ts";
import { namespaces } from "../lib/engine/namespaces/engine.ts";
import { CordonError } from "../lib/errors.ts";
import { probeCgroups } from "../lib/host/cgroups.ts";
import { gatherHost } from "../lib/host/host.ts";
import { defaultLimits } from "../lib/serve/limits.ts";
import { hashToken } from "../lib/serve/request.ts";
import { listen } from "../lib/serve/server.ts";
import type { ServeOptions } from "./serve.options.ts";

const QUEUE = 64;
const LEAST_TOKEN = 16;

export async function run(options: ServeOptions): Promise<number> {
  const host = gatherHost();
  if (host.uid === 0) {
    throw new CordonError("cordon serve is not for root", {
      why: "what it runs would be root's, however confined",
      hint: "run it as an ordinary user",
    });
  }
  const token = options.tokenFile === undefined ? newToken() : readToken(options.tokenFile);
  const { limits, notes } = defaultLimits(probeCgroups());
  const server = await listen({
    ...options.listen,
    engine: namespaces,
    host,
    limits,
    tokenHash: hashToken(token),
    concurrency: navigator.hardwareConcurrency,
    queue: QUEUE,
    log: (event) => writeStderr(JSON.stringify({ time: new Date().toISOString(), ...event }) + "\n"),
  });
  for (const note of notes) writeStderr(`cordon: ${note}\n`);
  if (options.tokenFile === undefined) writeStderr(`cordon: the token is ${token}\n`);
  for (const address of server.addresses) writeStderr(`cordon: listening on ${address}\n`);
  await new Promise<void>((end) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => end());
  });
  await server.drain();
  return 0;
}

function newToken(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

function readToken(path: string): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path).trim();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CordonError(`the token file ${path} cannot be read`, { why, cause });
  }
  if (/^[A-Za-z0-9._~-]+$/.test(text) && text.length >= LEAST_TOKEN) return text;
  throw new CordonError(`the token in ${path} cannot be used`, {
    why: `Wanted at least ${LEAST_TOKEN} letters, digits, dots, dashes, underscores or tildes, on one line`,
  });
}
