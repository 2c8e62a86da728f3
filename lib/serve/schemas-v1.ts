/** What requests and answers of /v1 hold. */
import * as z from "zod";
import { TerminalSizeSchema } from "./attach-messages.ts";
import { ID, SECRET_ID } from "./ids.ts";
import { MOST_SCRIPT_BYTES, text } from "./schemas.ts";
import { filesIn, ResultFile, resultsWanted } from "./schemas-files.ts";

/** Room for stdin in which every byte is escaped, beside the rest. */
export const MOST_CREATE_BYTES = 4 * 2 ** 20;

const MOST_WORDS = 4096;
const MOST_VARIABLES = 256;
const MOST_ARGS = 32_768;
const MOST_STDIN = 2 ** 20;

const STATES = ["queued", "running", "finished", "cancelled", "lost"] as const;

const variableName = text(256).regex(/^[^=\s]+$/, "is no name of a variable");

/** For the document: what args excludes. `ask.ts` checks it. */
export const BESIDE_ARGS = {
  properties: {
    image: false,
    env: false,
    workdir: false,
    network: false,
    limits: { properties: { memory: false, cpus: false, pids: false } },
  },
};

export const CreateExecution = z.strictObject({
  command: z.union([text(MOST_SCRIPT_BYTES), z.array(text(MOST_SCRIPT_BYTES)).min(1).max(MOST_WORDS)]).meta({
    description: "A shell script, or a program and its arguments",
  }),
  image: text(1024).regex(/^(?!-)/, "begins with a dash").optional().meta({
    description: "host, or the image of a container; not beside args. Default host",
  }),
  args: text(MOST_ARGS).optional().meta({
    description:
      "Arguments of docker run: flags and the image, instead of image, env, workdir, network and limits",
  }),
  stdin: text(MOST_STDIN).optional().meta({ description: "All that the command reads, as text" }),
  stdin_base64: z.base64().max(Math.ceil(MOST_STDIN / 3) * 4).optional().meta({
    description: "The same as bytes; not beside stdin",
  }),
  interactive: z.boolean().optional().meta({
    description: "Its stdin comes later, by /v1/executions/{id}/attach; not beside stdin",
  }),
  tty: z.union([z.boolean(), TerminalSizeSchema]).optional().meta({
    description: "With interactive: it gets a terminal, of 24 rows and 80 columns if nothing else is said",
  }),
  on_detach: z.enum(["keep", "eof", "cancel"]).optional().meta({
    description:
      "With interactive: what becomes of it when whoever writes to it goes away. Default keep: it goes on",
  }),
  env: z.record(variableName, text(32_768)).optional()
    .refine(
      (env) => Object.keys(env ?? {}).length <= MOST_VARIABLES,
      `has more than ${MOST_VARIABLES} variables`,
    ),
  workdir: text(4096).regex(/^\//, "is not absolute").optional(),
  network: text(256).optional(),
  limits: z.strictObject({
    time: z.number().positive().max(1e6).optional().meta({ description: "Seconds" }),
    memory: z.int().positive().optional().meta({ description: "Bytes" }),
    cpus: z.number().positive().max(1e4).optional(),
    pids: z.int().positive().max(2 ** 22).optional(),
    output: z.int().min(0).optional().meta({
      description: "Bytes of stdout and stderr together that are kept",
    }),
  }).optional().meta({
    description: "Within what the policy allows; what is left out has the policy's default",
  }),
  files: filesIn.optional(),
  results: resultsWanted.optional(),
  session: z.string().regex(SECRET_ID).optional().meta({
    description: "Runs in this session, after the commands before it; not beside image, args and network",
  }),
  wait: z.boolean().optional().meta({
    description: "Answer when it has ended. Without an Idempotency-Key it is ended when the client goes away",
  }),
}).meta({
  id: "CreateExecution",
  // For the document; `ask.ts` checks it.
  dependentSchemas: {
    args: BESIDE_ARGS,
    stdin: { properties: { stdin_base64: false } },
  },
});

export type CreateExecution = z.output<typeof CreateExecution>;

export const Execution = z.object({
  id: z.string().regex(ID),
  state: z.enum(STATES),
  reason: z.string().nullable().meta({
    description:
      "exited, signaled, timeout, memory, cordon (it could not be started); of a cancelled one client, " +
      "asked or shutdown; null before the end",
  }),
  detail: z.string().nullable().meta({ description: "Why it could not be run; with the reason cordon" }),
  exit_code: z.int().nullable(),
  signal: z.int().nullable(),
  status: z.int().nullable().meta({ description: "One number for the end, as a shell has it" }),
  engine: z.enum(["namespaces", "docker"]),
  image: z.string(),
  args: z.string(),
  command: z.union([z.string(), z.array(z.string())]).meta({
    description: "As it was asked for; of a list with more than 128 KiB the first words, and … as the last",
  }),
  session: z.string().nullable().meta({ description: "The session it belongs to" }),
  created: z.iso.datetime(),
  started: z.iso.datetime().nullable(),
  ended: z.iso.datetime().nullable(),
  wall_ms: z.number().nullable(),
  user_ms: z.number().nullable().meta({
    description:
      "Processor time of everything inside; null when it is not known, as of containers of an engine on " +
      "another machine and of what was cancelled",
  }),
  system_ms: z.number().nullable(),
  max_rss_bytes: z.number().nullable().meta({
    description:
      "Of the process with the most memory; of a container the most that all of it held at once, page " +
      "cache and /tmp included. Null as above, and of a command in a session's container that took no more than one before it",
  }),
  limits: z.object({
    time: z.number(),
    memory: z.number().optional(),
    cpus: z.number().optional(),
    pids: z.number().optional(),
    output: z.number(),
    tmp: z.number(),
  }).meta({ description: "What held; sizes in bytes, time in seconds" }),
  not_enforced: z.array(z.string()).meta({ description: "Default limits that this host cannot enforce" }),
  stdout_bytes: z.int().nullable().meta({ description: "Bytes that came, kept or not" }),
  stderr_bytes: z.int().nullable(),
  truncated: z.boolean().meta({ description: "There was more output than is kept" }),
}).meta({ id: "Execution" });

export type ExecutionBody = z.input<typeof Execution>;

export const ExecutionWithOutput = z.object({
  ...Execution.shape,
  stdout: z.string().meta({ description: "As far as it is kept" }),
  stderr: z.string(),
  results: z.array(ResultFile).meta({ description: "What became of the results that were asked for" }),
}).meta({ id: "ExecutionWithOutput" });

export const ExecutionPage = z.object({
  executions: z.array(Execution),
  next: z.string().nullable().meta({ description: "before of the next page; null on the last" }),
}).meta({ id: "ExecutionPage" });

export const ExecutionEvent = z.object({
  id: z.string().optional().meta({ description: "The position after it, for Last-Event-ID" }),
  event: z.enum(["stdout", "stderr", "state"]).optional(),
  data: z.string().meta({
    contentMediaType: "application/json",
    description: "{data} of stdout and stderr; of state what has become of it, the last one with its end",
  }),
}).meta({ id: "ExecutionEvent" });

const encoding = z.enum(["text", "base64"]).default("text").meta({
  description: "How output is written; as text what is no UTF-8 becomes U+FFFD",
});

export const CreateQuery = z.strictObject({ encoding });

export const GetQuery = z.strictObject({
  encoding,
  wait: z.coerce.number().min(0).max(3600).default(0).meta({
    description: "Seconds to wait for its end before the answer",
  }),
});

export const EventsQuery = z.strictObject({
  encoding,
  after: z.coerce.number().int().min(0).optional().meta({ description: "As Last-Event-ID" }),
});

export const AttachQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0).meta({
    description: "Output and states up to this position are known",
  }),
  write: z.enum(["yes", "no", "take"]).default("yes").meta({
    description: "no: to listen alone; take: from whoever writes now",
  }),
});

export const ListQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  before: z.string().regex(ID).optional().meta({ description: "next of the page before" }),
  state: z.enum(STATES).optional(),
});

export const IdempotencyKey = z.string().regex(
  /^[\x21-\x7e]{1,255}$/,
  "is not 1 to 255 visible ASCII characters",
);
export const LastEventId = z.string().regex(/^\d{1,15}$/, "is no id of an event");
