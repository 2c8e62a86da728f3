/** The result object: its fixed part, and one of a failure before there was a program to write it. */
import { posix } from "node:path";
import type { ResultPlan } from "../../shim/programs/sandbox.ts";
import { lastErrno, libc } from "../../../ffi/libc.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { writeStderr } from "../../cli/streams.ts";
import { CordonError, render } from "../../errors.ts";
import { currentDirectory } from "../../host/fs.ts";
import { HOLES } from "../../shim/programs/result.ts";
import type { Spec } from "../../spec/spec.ts";
import type { LimitPlan } from "./limits.ts";

export function resultPlan(to: NonNullable<Spec["result"]>, enforced: LimitPlan["enforced"]): ResultPlan {
  const members = `"engine":"namespaces","limits":${JSON.stringify(enforced)}`;
  if ("fd" in to) return { to, members };
  return { to: { directory: posix.dirname(to.path), name: posix.basename(to.path) }, members };
}

/** Where a result goes that was asked for by a name of the directory `cwd`. */
export function resultPlace(to: NonNullable<Spec["result"]>, cwd: string): NonNullable<Spec["result"]> {
  return "fd" in to ? to : { path: posix.resolve(cwd, to.path) };
}

/**
 * The result of what could not be started, in the same way the program writes one. Beside the failure that is being
 * told: that it cannot be written is said on stderr.
 */
export function tellFailure(to: NonNullable<Spec["result"]>, engine = "namespaces"): void {
  const members = HOLES.map((name) => [name, name === "reason" ? "cordon" : name.endsWith("Ms") ? 0 : null]);
  const object = { ...Object.fromEntries(members), maxRssBytes: 0, engine, limits: {} };
  try {
    writeResult(resultPlace(to, currentDirectory() ?? "/"), object);
  } catch (error) {
    if (!(error instanceof CordonError)) throw error;
    writeStderr(render(error));
  }
}

/**
 * Writes a result as one line. A file is made anew: what lies there under its name is not written through.
 * @throws CordonError when it cannot be written
 */
export function writeResult(to: NonNullable<Spec["result"]>, result: object): void {
  const bytes = new TextEncoder().encode(JSON.stringify(result) + "\n");
  if ("fd" in to) {
    if (Number(libc().write(to.fd, bytes, BigInt(bytes.length))) === bytes.length) return;
    throw new CordonError(`The result cannot be written to descriptor ${to.fd}: ${errnoText(lastErrno())}`);
  }
  try {
    try {
      Deno.removeSync(to.path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    Deno.writeFileSync(to.path, bytes, { createNew: true, mode: 0o644 });
  } catch (cause) {
    throw new CordonError(`The result cannot be written to ${to.path}`, {
      why: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}
