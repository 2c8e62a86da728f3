/** What GET /v1/me answers. */
import * as z from "zod";

const count = z.int().min(0);
const ceiling = z.object({
  value: z.number().meta({ description: "When nothing is asked" }),
  most: z.number().meta({ description: "May be asked for" }),
});

export const Me = z.object({
  tenant: z.string(),
  running: count,
  waiting: count,
  concurrency: z.int().meta({ description: "Executions of the tenant at once" }),
  queue: z.int().meta({ description: "Executions of the tenant that may wait" }),
  rate: z.object({ count: z.number(), seconds: z.number() }).nullable().meta({
    description: "Requests to execute within a time; null without a limit",
  }),
  usage: z.object({
    since: z.iso.datetime().nullable().meta({ description: "The first execution counted; null without any" }),
    executions: count.meta({ description: "Of the record, the last 10,000 at most" }),
    wall_ms: count,
    cpu_ms: count.meta({ description: "Of those of which it is known" }),
    output_bytes: count,
  }),
  policy: z.object({
    name: z.string(),
    images: z.array(z.string()).meta({ description: "Patterns; host is programs of the server's machine" }),
    aliases: z.record(z.string(), z.string()),
    flags: z.array(z.string()).meta({ description: "Of docker run" }),
    network: z.array(z.string()).meta({ description: "The first is what nothing else asked for gets" }),
    mounts: z.array(z.object({ path: z.string(), write: z.boolean() })),
    limits: z.object({
      time: ceiling,
      memory: ceiling,
      cpus: ceiling,
      pids: ceiling,
      output: ceiling,
      tmp: ceiling,
    }).meta({ description: "Sizes in bytes, time in seconds" }),
  }),
}).meta({ id: "Me" });
