/** Exit statuses for containers that could not be started. */

import { EXIT } from "../errors.ts";
import { short } from "./containers.ts";
import { EngineError } from "./errors.ts";

/**
 * Status by the rule of docker-run(1): 127 when the command was not found, 126 when it cannot be executed, else 125.
 * Engines tell it only in words, those of runc and crun; the same words about a mount or a limit are no command's fault.
 */
export function startExitCode(message: string): number {
  if (!/\bexecutable\b|\bexec: /i.test(message) || /\bmount(ing|ed)?\b/i.test(message)) return EXIT.cordon;
  if (/not found|no such file or directory|cannot find the file/i.test(message)) return EXIT.notFound;
  if (/permission denied|is a directory/i.test(message)) return EXIT.cannotExecute;
  return EXIT.cordon;
}

/** The error of a failed start with the status for it, and the engine's words without its layers' prefixes. */
export function startError(error: EngineError, container: string): EngineError {
  return new EngineError(`Cannot start container ${container}`, {
    status: error.status,
    engineMessage: error.engineMessage,
    why: error.engineMessage ? withoutLayers(error.engineMessage) : error.why,
    hint: error.hint,
    exit: startExitCode(error.engineMessage),
    cause: error,
  });
}

/** Waits for a start; what the engine has against it becomes a {@link startError}. */
export async function asStart<T>(starting: Promise<T>, id: string): Promise<T> {
  try {
    return await starting;
  } catch (error) {
    throw error instanceof EngineError && error.status !== 0 ? startError(error, short(id)) : error;
  }
}

/** `failed to create shim task: OCI runtime create failed: …: exec: "x": not found: unknown` → `exec: "x": not found` */
function withoutLayers(message: string): string {
  return message
    .replace(/^preparing container \w+ for attach: /, "")
    .replace(/^.*unable to start container process: /s, "")
    .replace(
      /^(?:failed to create (?:shim task|task for container|shim): |OCI runtime create failed: )+/s,
      "",
    )
    .replace(/: (?:unknown|OCI [^:]*)$/, "");
}
