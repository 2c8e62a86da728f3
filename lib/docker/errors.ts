/** What the Engine API client throws. HTTP statuses become these classes in one place, {@link statusError}. */

import { CordonError, type ErrorDetails } from "../errors.ts";

export interface EngineErrorDetails extends ErrorDetails {
  /** HTTP status of the engine's answer; absent when there was no answer. */
  status?: number | undefined;
  /** The engine's own words. */
  engineMessage?: string | undefined;
}

/** A request to the engine failed: it could not be reached, refused, or broke off. */
export class EngineError extends CordonError {
  override readonly name: string = "EngineError";
  /** HTTP status, or 0 when the engine gave none (no connection, connection cut, error inside a stream). */
  readonly status: number;
  /** The engine's own words, empty when it said nothing. */
  readonly engineMessage: string;

  constructor(what: string, details: EngineErrorDetails = {}) {
    super(what, details);
    this.status = details.status ?? 0;
    this.engineMessage = details.engineMessage ?? "";
  }
}

/** Nothing answers at the endpoint. */
export class UnreachableError extends EngineError {
  override readonly name = "UnreachableError";
}

/** The connection ended, or carried something that is no HTTP, before the answer was complete. */
export class BrokenConnectionError extends EngineError {
  override readonly name = "BrokenConnectionError";
}

/** 404: no such container, image, exec or path. */
export class NotFoundError extends EngineError {
  override readonly name = "NotFoundError";
}

/** 409 (or Podman's 500 for the same): the object is in a state that forbids the request (not running, name taken, being removed). */
export class ConflictError extends EngineError {
  override readonly name = "ConflictError";
}

/**
 * The error for an answer of status 400 and above (or an unexpected one below).
 *
 * @param what the action that failed, as an infinitive with its value: `start container ab12`
 */
export function statusError(what: string, details: EngineErrorDetails & { status: number }): EngineError {
  const words = details.engineMessage || "no message";
  const full = { why: `The engine answered ${details.status}: ${words}`, ...details };
  switch (details.status) {
    case 404:
      return new NotFoundError(`Cannot ${what}`, full);
    case 409:
      return new ConflictError(`Cannot ${what}`, full);
    case 500:
      // Podman 4 answers 500 where Docker says 409: "…: container state improper".
      if (/container state improper/.test(words)) return new ConflictError(`Cannot ${what}`, full);
      return new EngineError(`Cannot ${what}`, full);
    default:
      return new EngineError(`Cannot ${what}`, full);
  }
}

/**
 * The message in an error body: `{"message"}` of Docker, `{"cause","message","response"}` of Podman (whose
 * message already contains its cause), or plain text, which Docker sends for a version it no longer speaks.
 */
export function messageOf(body: string): string {
  const text = body.trim();
  if (text.startsWith("{")) {
    try {
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed === "object" && parsed !== null && "message" in parsed) {
        if (typeof parsed.message === "string") return parsed.message.trim();
      }
    } catch (error) {
      // A cut-off or foreign body is shown as it is: it is all there is to tell.
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  return text;
}
