/** The form of the configuration file. What is not in it is refused. */
import { z } from "zod";
import { nearest } from "../../cli/suggest.ts";
import { CordonError } from "../../errors.ts";
import { parseReference } from "../../docker/reference.ts";
import { DOCKER_FLAGS } from "../../dockerargs/flags.ts";
import { HOST_IMAGE } from "../../dockerargs/host.ts";
import { imagePattern } from "../policy/images.ts";
import { FURTHER_FLAGS, networkNeverGiven, NEVER_FLAGS, USUAL_FLAGS } from "../policy/tables.ts";
import type { AllowedMount, Ceiling } from "./types.ts";
import {
  choice,
  count,
  hostName,
  listenAddress,
  NAME,
  origin,
  path,
  processors,
  rate,
  reads,
  seconds,
  shown,
  size,
  text,
  tokenHash,
  truth,
} from "./values.ts";

const MIB = 2 ** 20;

/** A value, or what a request gets when it says nothing and the most it may ask for. */
type CeilingText<T> = T | { default?: T | undefined; most?: T | undefined };

function ceiling(value: z.ZodType<number, unknown>, usual: number) {
  const both = z.strictObject({ default: value.optional(), most: value.optional() });
  return z.unknown().transform((given, context): Ceiling => {
    if (given === undefined) return { value: usual, most: usual, configured: false };
    const isTable = typeof given === "object" && given !== null && !Array.isArray(given);
    const read = (isTable ? both : value).safeParse(given) as z.ZodSafeParseResult<CeilingText<number>>;
    if (!read.success) {
      for (const { key, message } of faults(read.error)) {
        context.addIssue({ code: "custom", message, path: key });
      }
      return z.NEVER;
    }
    if (typeof read.data === "number") return { value: read.data, most: read.data, configured: true };
    const most = read.data.most ?? Math.max(read.data.default ?? usual, usual);
    const ceiling = { value: read.data.default ?? Math.min(usual, most), most, configured: true };
    if (ceiling.value > most) {
      context.addIssue({ code: "custom", message: `Wanted a default that is not above most (${most})` });
    }
    return ceiling;
  }).optional().transform((found): Ceiling => found ?? { value: usual, most: usual, configured: false });
}

const image = reads(
  `an image such as "python:3.12", a pattern such as "python:*" or "ghcr.io/course/**", or "host"`,
  (value) => {
    if (typeof value !== "string") return undefined;
    imagePattern(value);
    return value;
  },
);

const target = reads(`an image such as "python:3.12" or "host"`, (value) => {
  if (typeof value !== "string") return undefined;
  if (value !== HOST_IMAGE && !/^sha256:[0-9a-f]{64}$/.test(value)) parseReference(value);
  return value;
});

const flag = reads("the name of a flag of docker run", (value) => {
  return typeof value === "string" ? value.replace(/^--/, "") : undefined;
}).superRefine((name, context) => {
  if (name === "usual" || USUAL_FLAGS.includes(name) || FURTHER_FLAGS.includes(name)) return;
  const never = Object.hasOwn(NEVER_FLAGS, name) ? NEVER_FLAGS[name] : undefined;
  const real = DOCKER_FLAGS.find((flag) => flag.name === name)?.aliasOf;
  const meant = nearest(name, [...USUAL_FLAGS, ...FURTHER_FLAGS]);
  const message = never !== undefined
    ? `The flag ${name} cannot be allowed: ${never}`
    : real !== undefined
    ? `Wanted ${real}, of which ${name} is another name`
    : `docker run has no flag ${shown(name)}${meant ? `. Did you mean ${meant}?` : ""}`;
  context.addIssue({ code: "custom", message });
});

const network = reads("none, bridge or the name of a network", (value) => {
  return typeof value === "string" && /^[A-Za-z0-9][A-Za-z0-9_.:/-]*$/.test(value) ? value : undefined;
}).superRefine((name, context) => {
  const why = networkNeverGiven(name) ?? (/[:/]/.test(name) ? "That is no network's name" : undefined);
  if (why) context.addIssue({ code: "custom", message: `${shown(name)} cannot be allowed: ${why}` });
  if (name === "default") context.addIssue({ code: "custom", message: "Wanted bridge, which default means" });
});

/** `"/srv/data"` is read-only; `{ path = "/srv/work", write = true }` is not. */
const mount = z.union([
  path(undefined).transform((host): AllowedMount => ({ host, write: false })),
  z.strictObject({ path: path(undefined), write: truth.default(false) }).transform((
    { path, write },
  ): AllowedMount => ({ host: path, write })),
]);

const userText = text(
  "a user and group as numbers or names, such as 1000:1000",
  (value) => /^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$/.test(value),
);

const limits = z.strictObject({
  time: ceiling(seconds(), 60),
  memory: ceiling(size(6 * MIB), 512 * MIB), // what Docker takes at the least
  cpus: ceiling(processors, 1),
  pids: ceiling(count(1, 2 ** 22), 128),
  output: ceiling(size(0), MIB),
  tmp: ceiling(size(MIB), 256 * MIB),
});

const files = z.strictObject({
  work: size(MIB).default(64 * MIB),
  store: size(0).default(256 * MIB),
  most: count(0, 100_000).default(1000),
  ttl: seconds().default(3600),
});

const sessions = z.strictObject({
  most: count(0, 10_000).default(4),
  idle: seconds({ most: 30 * 86_400 }).default(900),
});

export const policySchema = z.strictObject({
  images: z.array(image).default([]),
  aliases: z.record(text("the name of an image", (name) => !/\s/.test(name)), target).default({}),
  pull: choice("never", "missing").default("never"),
  flags: z.array(flag).default(["usual"]),
  values: z.record(flag, z.array(text())).default({}),
  network: z.array(network).min(1, "Wanted at least one network, such as none").default(["none"]),
  mounts: z.array(mount).default([]),
  user: userText.optional(),
  read_only: truth.default(true),
  limits: limits.default(() => limits.parse({})),
  files: files.default(() => files.parse({})),
  sessions: sessions.default(() => sessions.parse({})),
});

const tenantSchema = z.strictObject({
  policy: text("the name of a policy").default("default"),
  tokens: z.array(tokenHash).default([]),
  concurrency: count(1, 10_000).optional(),
  queue: count(0, 1_000_000).optional(),
  rate: rate.optional(),
});

const name = z.string().regex(NAME, "Wanted a name of lower-case letters, digits, dots, dashes, underscores");

const connections = z.strictObject({
  most: count(1, 1_000_000).default(4096),
  per_address: count(0, 1_000_000).default(1024),
  header: seconds({ most: 3600 }).default(10),
  body: seconds({ most: 3600 }).default(60),
  idle: seconds({ most: 3600 }).default(60),
  stall: seconds({ most: 3600 }).default(30),
});

const pool = z.strictObject({
  containers: z.record(target, count(1, 1000)).default({}),
});

/** The whole file. `directory` is where it lies. */
export function fileSchema(directory: string) {
  const file = path(directory);
  return z.strictObject({
    listen: z.preprocess(
      (value) => typeof value === "string" ? [value] : value,
      z.array(listenAddress).min(1, "Wanted at least one address"),
    ).default([{ hostname: "127.0.0.1", port: 8377 }]),
    socket_mode: reads(
      'the mode of a file, such as "0660"',
      (value) => typeof value === "string" && /^0?[0-7]{3}$/.test(value) ? parseInt(value, 8) : undefined,
    ).default(0o600),
    hosts: z.array(hostName).default([]),
    origins: z.array(origin).default([]),
    tls: z.strictObject({ certificate: file, key: file }).optional(),
    auth: truth.default(true),
    tokens: file.default(`${directory}/tokens`),
    engine: choice("auto", "namespaces", "docker").default("auto"),
    docker: z.strictObject({ host: text("an address such as unix:///run/docker.sock").optional() }).default(
      {},
    ),
    user: text("the name of an account", (value) => /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(value)).optional(),
    state: file.optional(),
    retention: seconds().default(30 * 86_400),
    concurrency: count(1, 10_000).optional(),
    queue: count(0, 1_000_000).default(64),
    drain: seconds({ zero: true, most: 86_400 }).default(30),
    connections: connections.default(() => connections.parse({})),
    pool: pool.default(() => pool.parse({})),
    policies: z.record(name, policySchema),
    tenants: z.record(name, tenantSchema).default({}),
  });
}

export type ConfigFile = z.output<ReturnType<typeof fileSchema>>;

/** Each fault in a line of its own: `policies.class.limits.memory: Wanted …`. */
export function faults(error: z.ZodError): { key: string[]; message: string }[] {
  return error.issues.flatMap((issue): { key: string[]; message: string }[] => {
    const key = issue.path.map(String);
    switch (issue.code) {
      case "unrecognized_keys":
        return issue.keys.map((name) => ({ key: [...key, name], message: "There is no such key" }));
      case "invalid_key":
        return issue.issues.map(({ message }) => ({ key, message }));
      case "invalid_union":
        // The one alternative whose kind fits tells more than that none fits.
        return faults({ issues: issue.errors.at(-1) ?? [] } as unknown as z.ZodError)
          .map((fault) => ({ key: [...key, ...fault.key], message: fault.message }));
      case "invalid_type":
        return [{ key, message: typeMessage(issue.expected, issue.input) }];
      default:
        return [{ key, message: issue.message }];
    }
  });
}

function typeMessage(expected: string, input: unknown): string {
  const wanted = expected === "array" ? "a list" : expected === "string" ? "a text" : "a table";
  return input === undefined ? `It is missing: wanted ${wanted}` : `Wanted ${wanted}, not ${shown(input)}`;
}

/** For callers that have a policy without a file. */
export function mustParse<T>(schema: z.ZodType<T, unknown>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CordonError(
    faults(result.error).map(({ key, message }) => `${key.join(".")}: ${message}`).join(),
  );
}
