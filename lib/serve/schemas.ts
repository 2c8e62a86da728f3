/** What requests and answers hold. The types, the checks and the OpenAPI document are made from these. */
import * as z from "zod";

/** One argument to exec(2) holds 128 KiB (MAX_ARG_STRLEN); a script travels as one. */
export const MOST_SCRIPT_BYTES = 120_000;
/** Room for a script in which every byte is escaped, and for arguments. */
export const MOST_EXECUTE_BYTES = 8 * MOST_SCRIPT_BYTES;

const MOST_ARGS = 32_768;

/** As every reader of the document understands it. */
// deno-lint-ignore no-control-regex
const NO_NUL = /^[^\u0000]*$/;

/** A string that can be an argument: no NUL and no half of a surrogate pair. */
export function text(most: number): z.ZodString {
  return z.string().max(most).regex(NO_NUL, "holds a NUL")
    .refine((value) => value.isWellFormed(), "holds a lone surrogate")
    .refine((value) => new TextEncoder().encode(value).length <= most, `is longer than ${most} bytes`);
}

export const Health = z.object({ status: z.literal("ok") }).meta({ id: "Health" });

export const ExecuteRequest = z.strictObject({
  cmd: text(MOST_SCRIPT_BYTES).meta({ description: "Shell script" }),
  args: text(MOST_ARGS).meta({ description: "Arguments of docker run: flags and the image" }),
}).meta({ id: "ExecuteRequest" });

export const ExecuteAnswer = z.object({
  stdout: z.string(),
  stderr: z.string().meta({ description: "Also why nothing was executed" }),
  exit_code: z.int().nullable().meta({
    description:
      "128 + N after signal N, 124 after the time limit, 137 after the memory limit, 125 when it could " +
      "not be started; null when nothing ran",
  }),
  duration_ms: z.int().min(0),
  truncated: z.boolean().meta({ description: "There was more output than is kept" }),
  id: z.string().nullable().meta({ description: "Of the execution; null when nothing was executed" }),
  reason: z.string().nullable().meta({ description: "How it ended: exited, signaled, timeout, memory, …" }),
  not_enforced: z.array(z.string()).meta({ description: "Default limits that this host cannot enforce" }),
}).meta({ id: "ExecuteAnswer" });

export const ProblemBody = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
}).meta({ id: "Problem", description: "Problem details, RFC 9457" });
