/**
 * Errors and exit codes. Every failure a user can meet is a {@link CordonError}; `main.ts` is the one place that
 * turns it into text on stderr and a status.
 */

/** Statuses of commands that run a target (the convention of env(1), timeout(1) and docker-run(1)). */
export const EXIT = {
  /** The time limit ended the target. */
  timeout: 124,
  /** cordon itself failed, usage included. */
  cordon: 125,
  /** The target was found and cannot be executed. */
  cannotExecute: 126,
  /** The target was not found. */
  notFound: 127,
  /** The memory or output limit ended the target (128 + SIGKILL). */
  killed: 137,
} as const;

export interface ErrorDetails {
  /** Why it failed, in plain words. */
  why?: string | undefined;
  /** The command or change that mends it; given only when the cause was confirmed by looking. */
  hint?: string | undefined;
  /** Exit status, when it is not the command's ordinary one. */
  exit?: number | undefined;
  cause?: unknown;
}

/** A failure told to a person: what failed with its value, why, and what mends it. */
export class CordonError extends Error {
  override readonly name: string = "CordonError";
  readonly why: string | undefined;
  readonly hint: string | undefined;
  readonly exit: number | undefined;

  constructor(what: string, details: ErrorDetails = {}) {
    super(what, { cause: details.cause });
    this.why = details.why;
    this.hint = details.hint;
    this.exit = details.exit;
  }
}

/** The command line itself is wrong: status 125 where a target would have run, else 2. */
export class UsageError extends CordonError {
  override readonly name = "UsageError";
}

/** The words of a failure of the runtime or the system, without the runtime's own notes: `No such file or directory`. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/ \(os error \d+\).*$/s, "");
}

/** What begins a message begins with a capital. */
export function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** The text a user sees on stderr: `cordon: what`, `why`, a blank line and `hint: …`. */
export function render(error: CordonError): string {
  const lines = [`cordon: ${error.message}`];
  if (error.why) lines.push(error.why);
  if (error.hint) lines.push("", `hint: ${error.hint}`);
  return lines.join("\n") + "\n";
}
