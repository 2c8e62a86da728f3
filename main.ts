/**
 * The entry point: finds out under which name and with what it was called, and leaves the rest to the registry of
 * commands. How to add a command: `lib/cli/command.ts`.
 */
import { registry } from "./cmd/commands.ts";
import { dispatch } from "./lib/cli/dispatch.ts";
import { readEnvironment } from "./lib/cli/environment.ts";
import { invokedAs, readArgv0 } from "./lib/cli/invoked.ts";

const { CORDON_INVOKED_AS: firstRunName, ...env } = readEnvironment();

// Not awaited: the bundle is a plain script (`lib/launch.ts`).
dispatch(registry, {
  invokedAs: invokedAs(readArgv0(), { legacy: registry.legacy.map((entry) => entry.name), firstRunName }),
  argv: Deno.args,
  env,
}).then((status) => {
  Deno.exitCode = status;
});
