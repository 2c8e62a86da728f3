/** `cordon portwrap --install-batchspawner DIR`. */
import { posix } from "node:path";
import { writeStdout } from "../lib/cli/streams.ts";
import { CordonError } from "../lib/errors.ts";
import { batchspawnerScript } from "../lib/hub/script.ts";

const NAME = "batchspawner-portwrap";

/** Writes the script beside its name and renames it into place: never half written. */
export function install(directory: string): number {
  const path = posix.resolve(directory, NAME);
  const beside = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.writeTextFileSync(beside, batchspawnerScript(Deno.execPath()), { createNew: true, mode: 0o755 });
    Deno.chmodSync(beside, 0o755); // whatever the umask
    Deno.renameSync(beside, path);
  } catch (cause) {
    try {
      Deno.removeSync(beside);
    } catch { /* it was not made: the failure told below says why */ }
    throw new CordonError(`The script ${path} cannot be written`, {
      why: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
  writeStdout(`${path}\n`);
  return 0;
}
