/** What requests and answers about sessions hold. */
import * as z from "zod";
import { SECRET_ID } from "./ids.ts";
import { BESIDE_ARGS, CreateExecution } from "./schemas-v1.ts";

const { image, args, env, workdir, network, limits } = CreateExecution.shape;

export const CreateSession = z.strictObject({
  image,
  args,
  env,
  workdir,
  network,
  limits,
  idle_seconds: z.number().positive().max(30 * 86_400).optional().meta({
    description: "Without a command for so long it ends; within what the policy allows, which is the default",
  }),
}).meta({
  id: "CreateSession",
  dependentSchemas: { args: BESIDE_ARGS },
  description: "What holds for each command; a command may set env, workdir and limits of its own",
});

export type CreateSession = z.output<typeof CreateSession>;

export const Session = z.object({
  id: z.string().regex(SECRET_ID),
  created: z.iso.datetime(),
  used: z.iso.datetime().meta({ description: "When the last command ended" }),
  idle_seconds: z.number(),
  busy: z.int().meta({ description: "Commands that run or wait" }),
}).meta({ id: "Session" });

export const SessionList = z.object({ sessions: z.array(Session) }).meta({ id: "SessionList" });
