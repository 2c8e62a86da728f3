/** `cordon serve`: the daemon that runs commands for HTTP clients. */
import { writeStderr } from "../lib/cli/streams.ts";
import { gatherHost } from "../lib/host/host.ts";
import { jsonLog } from "../lib/serve/log.ts";
import { enterScope } from "../lib/serve/scope.ts";
import { type Daemon, startServer } from "../lib/serve/server.ts";
import { setUp } from "../lib/serve/setup.ts";
import type { ServeOptions } from "./serve.options.ts";

export async function run(options: ServeOptions): Promise<number> {
  const host = gatherHost();
  const set = setUp(options, host);
  if (set.config.engine !== "docker") enterScope(host);
  const { daemon, addresses, notes } = await startServer(set, { host, log: jsonLog(writeStderr) });
  for (const note of notes) writeStderr(`cordon: ${note}\n`);
  if (set.newToken !== undefined) writeStderr(`cordon: the token is ${set.newToken}\n`);
  for (const address of addresses) writeStderr(`cordon: listening on ${address}\n`);
  Deno.addSignalListener("SIGHUP", () => daemon.reload());
  await asked(daemon);
  await daemon.drain();
  return 0;
}

/** Resolves when the server is asked to end. A second time, all that runs is ended at once. */
function asked(daemon: Daemon): Promise<void> {
  return new Promise((resolve) => {
    let before = false;
    const ask = () => {
      if (before) daemon.cancelAll();
      before = true;
      resolve();
    };
    for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, ask);
  });
}
