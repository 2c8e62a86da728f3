/** From the text of a configuration file to what the server works with. No I/O. */
import { posix } from "node:path";
import { parse, TomlError } from "smol-toml";
import { CordonError } from "../../errors.ts";
import { anyRegistry } from "../policy/images.ts";
import { networkNeverGiven } from "../policy/tables.ts";
import { lineOf } from "./lines.ts";
import { type ConfigFile, faults, fileSchema, mustParse, policySchema } from "./schema.ts";
import { addTokens } from "./tokens.ts";
import type { Policy, ServeConfig, Tenant } from "./types.ts";
import { isPrivate } from "./values.ts";

/** The tenant and the policy of a server that has no configuration. */
export const DEFAULT_NAME = "default";

/** A file's text and its name for messages. */
export interface TextFile {
  path: string;
  text: string;
}

/**
 * Reads a configuration. `path` is absolute: names in it that are relative begin at its directory.
 *
 * @throws CordonError with every fault, each with its line and key
 */
export function readConfig(text: string, path: string, tokens?: TextFile): ServeConfig {
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const what = cause.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new CordonError(`Cannot use the configuration ${path}`, {
      why: `${path}:${cause.line}:${cause.column}: it is not TOML: ${what}`,
      cause,
    });
  }
  const read = fileSchema(posix.dirname(path)).safeParse(value, { reportInput: true });
  const wrong = [...oddKeys(value), ...(read.success ? contradictions(read.data) : faults(read.error))];
  if (!read.success || wrong.length > 0) {
    const lines = wrong.map(({ key, message }) => {
      const line = lineOf(text, key);
      return `${path}${line === undefined ? "" : `:${line}`}: ${key.join(".")}: ${message}`;
    });
    throw new CordonError(`Cannot use the configuration ${path}`, { why: lines.join("\n") });
  }
  const config = toConfig(read.data, path);
  if (tokens) addTokens(config.tenants, tokens);
  return config;
}

/** What holds when there is no file: this machine's programs and its images, for one tenant. */
export function defaultConfig(): ServeConfig {
  const policy = toPolicy(DEFAULT_NAME, mustParse(policySchema, { images: ["host", "**"] }));
  const value = mustParse(fileSchema("/"), { policies: {} });
  const { path: _, tokens: __, ...config } = toConfig(value, "/none");
  return {
    ...config,
    policies: [policy],
    tenants: [{ name: DEFAULT_NAME, tokens: [], policy }],
  };
}

interface Fault {
  key: string[];
  message: string;
}

/** A name that the schema passes over in silence, for the language's sake. */
function oddKeys(value: unknown, key: string[] = []): Fault[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === "__proto__"
      ? [{ key: [...key, name], message: "There is no such key" }]
      : oddKeys(inner, [...key, name])
  );
}

/** What is wrong only together with something else. */
function contradictions(file: ConfigFile): Fault[] {
  const found: Fault[] = [];
  const policies = Object.keys(file.policies);
  const open = file.listen.find((address) => !isPrivate(address));
  if (!file.auth && open !== undefined && "hostname" in open) {
    const message =
      `Without tokens it must listen on loopback or a Unix socket only, not on ${open.hostname}`;
    found.push({ key: ["auth"], message });
  }
  if (policies.length === 0) {
    found.push({ key: ["policies"], message: "Wanted at least one policy, such as [policies.default]" });
  }
  const tenants = Object.entries(file.tenants);
  const used = tenants.length > 0
    ? tenants.map(([name, { policy }]) => ({ key: ["tenants", name, "policy"], policy }))
    : [{ key: ["tenants"], policy: DEFAULT_NAME }];
  for (const { key, policy } of used) {
    if (policies.includes(policy)) continue;
    found.push({ key, message: `There is no policy ${policy}; there is ${policies.join(", ") || "none"}` });
  }
  for (const [name, policy] of Object.entries(file.policies)) {
    const at = ["policies", name];
    for (const flag of Object.keys(policy.values)) {
      if (flag === "usual") found.push({ key: [...at, "values", flag], message: "That is no flag" });
    }
    const open = policy.pull === "missing" ? policy.images.find(anyRegistry) : undefined;
    if (open !== undefined) {
      const message =
        `With pull = "missing" a request could have the engine connect to any host by the pattern ` +
        `${open}; wanted the registry by its name, as in docker.io/**:*`;
      found.push({ key: [...at, "images"], message });
    }
    const nested = policy.mounts.find((a) =>
      policy.mounts.some((b) => a !== b && b.write && a.host.startsWith(`${b.host}/`))
    );
    if (nested) {
      const message = `${nested.host} lies in a directory that may be written, where it could be exchanged`;
      found.push({ key: [...at, "mounts"], message });
    }
  }
  return found;
}

function toConfig(file: ConfigFile, path: string): ServeConfig {
  const { docker, retention, drain, connections, pool, concurrency, tls, user, state } = file;
  const policies = Object.entries(file.policies).map(([name, policy]) => toPolicy(name, policy));
  const tenants = Object.entries(file.tenants).map(([name, tenant]): Tenant => ({
    name,
    tokens: tenant.tokens,
    policy: policies.find((policy) => policy.name === tenant.policy)!,
    ...(tenant.concurrency !== undefined && { concurrency: tenant.concurrency }),
    ...(tenant.queue !== undefined && { queue: tenant.queue }),
    ...(tenant.rate !== undefined && { rate: tenant.rate }),
  }));
  const only = policies.find(({ name }) => name === DEFAULT_NAME);
  return {
    path,
    listen: file.listen,
    socketMode: file.socket_mode,
    hosts: file.hosts,
    origins: file.origins,
    ...(tls && { tls }),
    auth: file.auth,
    tokens: file.tokens,
    engine: file.engine,
    ...(docker.host !== undefined && { dockerHost: docker.host }),
    ...(user !== undefined && { user }),
    ...(state !== undefined && { state }),
    retentionSeconds: retention,
    ...(concurrency !== undefined && { concurrency }),
    queue: file.queue,
    drainSeconds: drain,
    connections: {
      most: connections.most,
      mostPerAddress: connections.per_address,
      headerSeconds: connections.header,
      bodySeconds: connections.body,
      idleSeconds: connections.idle,
      stallSeconds: connections.stall,
    },
    pool: { containers: Object.entries(pool.containers).map(([image, count]) => ({ image, count })) },
    policies,
    tenants: tenants.length === 0 && only ? [{ name: DEFAULT_NAME, tokens: [], policy: only }] : tenants,
  };
}

function toPolicy(name: string, file: ConfigFile["policies"][string]): Policy {
  const { user, read_only, files, sessions, ...same } = file;
  return {
    ...same,
    name,
    readOnly: read_only,
    ...(user !== undefined && { containerUser: user }),
    network: same.network.filter((one) => networkNeverGiven(one) === undefined),
    files: { workBytes: files.work, storeBytes: files.store, most: files.most, ttlSeconds: files.ttl },
    sessions: { most: sessions.most, idleSeconds: sessions.idle },
  };
}
