/** A command in a session: what the session says, and what the command says beside it. */
import { Problem } from "../problem.ts";
import type { CreateExecution } from "../schemas-v1.ts";
import type { Session, Sessions } from "./sessions.ts";

/** The session's alone. */
const FIXED = ["image", "args", "network"] as const;

/** Undefined when none is named. @throws Problem */
export function sessionOf(
  { session: id }: CreateExecution,
  sessions: Sessions,
  tenant: string,
): Session | undefined {
  if (id === undefined) return undefined;
  const session = sessions.get(id, tenant);
  if (!session) throw new Problem("invalid", { detail: "/session: There is no such session" });
  return session;
}

/** The whole request. @throws Problem when it says what is the session's to say */
export function inSession(asked: CreateExecution, session: Session | undefined): CreateExecution {
  if (!session) return asked;
  const twice = FIXED.find((name) => asked[name] !== undefined);
  if (twice) throw new Problem("invalid", { detail: `session and ${twice} exclude each other` });
  const { idle_seconds: _, ...given } = session.asked;
  return {
    ...given,
    ...asked,
    results: asked.results ?? [],
    ...((given.env || asked.env) && { env: { ...given.env, ...asked.env } }),
    ...((given.limits || asked.limits) && { limits: { ...given.limits, ...asked.limits } }),
  };
}
