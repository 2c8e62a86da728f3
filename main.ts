/**
 * The entry point: finds out under which name and with what it was called, and leaves the rest to the registry of
 * commands. How to add a command: `lib/cli/command.ts`.
 */
import { registry } from "./cmd/commands.ts";
import { dispatch } from "./lib/cli/dispatch.ts";
import { readEnvironment } from "./lib/cli/environment.ts";
import { invokedAs, readArgv0 } from "./lib/cli/invoked.ts";

// Not awaited: the bundle is a plain script (`lib/launch.ts`).
dispatch(registry, {
  invokedAs: invokedAs(readArgv0(), registry.legacy.map((entry) => entry.name)),
  argv: Deno.args,
  env: readEnvironment(),
}).then((status) => {
  Deno.exitCode = status;
});
