/**
 * The fields that the body of `POST /containers/create` may have, and with what in them. What is not here is refused,
 * however it came about: the words of a command line are not looked at. Pure.
 */
import { DOCKER_FLAGS } from "../../dockerargs/flags.ts";
import type { Policy } from "../config/types.ts";
import { at, quoted, type Refused, refused } from "./refuse.ts";
import { NEVER_FLAGS } from "./tables.ts";
import type { Rule } from "./verdict.ts";

type Fields = Record<string, unknown>;

/** Why a value is refused, and where that is configured; undefined when it is fine. */
type Complaint = { why: string; rule?: Rule; key?: string } | string | undefined;
type Check = (value: unknown, policy: Policy, siblings: Fields) => Complaint;

const MOST_VARIABLES = 256, MOST_ENVIRONMENT = 65_536;
const USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$/;
const ULIMITS = ["core", "cpu", "data", "fsize", "nofile", "nproc", "stack"];

const anything: Check = () => undefined;
const truth: Check = (value) => typeof value === "boolean" ? undefined : "It is not true or false";
const strings: Check = (value) => isStrings(value) ? undefined : "It is no list of texts";

function one(...words: string[]): Check {
  return (value) => words.includes(String(value)) ? undefined : `There is ${words.join(", ")}`;
}

function textLike(pattern: RegExp): Check {
  return (value) =>
    typeof value === "string" && pattern.test(value) ? undefined : "It has not the right form";
}

/** Mounts, tmpfs and limits have rules of their own: `container.ts` reads them and leaves nothing of what was asked. */
const HOST_FIELDS: Readonly<Record<string, Check>> = {
  AutoRemove: truth,
  Binds: strings,
  CapDrop: strings,
  CgroupnsMode: one("private"),
  CpuShares: (value) => isBetween(value, 2, 1024) ? undefined : "There is 2 to 1024",
  CpusetCpus: textLike(/^\d+(-\d+)?(,\d+(-\d+)?)*$/),
  DeviceRequests: gpus,
  Dns: strings,
  DnsOptions: strings,
  DnsSearch: strings,
  ExtraHosts: extraHosts,
  GroupAdd: (value) =>
    isStrings(value) && value.every((group) => /^[1-9]\d{0,9}$/.test(group))
      ? undefined
      : "A group is a number above 0",
  Init: truth,
  IpcMode: one("private", "none"),
  LogConfig: (value) => JSON.stringify(value) === '{"Type":"none"}' ? undefined : NEVER_FLAGS["log-driver"],
  Memory: anything,
  MemorySwap: (value, _, { Memory }) => value === Memory ? undefined : NEVER_FLAGS["memory-swap"],
  Mounts: anything,
  NanoCpus: anything,
  NetworkMode: network,
  PidsLimit: anything,
  ReadonlyRootfs: truth,
  SecurityOpt: (value) =>
    isStrings(value) && value.every((option) => /^no-new-privileges([=:]true)?$/.test(option))
      ? undefined
      : "There is no-new-privileges, which holds anyway",
  ShmSize: (value, { limits }) =>
    isBetween(value, 1, limits.tmp.most) ? undefined : { why: `There are at most ${limits.tmp.most} bytes` },
  Tmpfs: anything,
  Ulimits: ulimits,
};

const FIELDS: Readonly<Record<string, Check>> = {
  AttachStderr: truth,
  AttachStdin: truth,
  AttachStdout: truth,
  Cmd: strings,
  Domainname: textLike(/^[A-Za-z0-9][A-Za-z0-9.-]{0,254}$/),
  Entrypoint: strings,
  Env: environment,
  Healthcheck: (value) =>
    JSON.stringify(value) === '{"Test":["NONE"]}' ? undefined : NEVER_FLAGS["health-cmd"],
  HostConfig: (value) => typeof value === "object" && value !== null ? undefined : "It is no object",
  Hostname: textLike(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/),
  Image: textLike(/^[^\s]+$/),
  Labels: labels,
  OpenStdin: truth,
  StdinOnce: truth,
  StopSignal: textLike(/^[A-Z0-9+-]{1,16}$/),
  StopTimeout: (value) => isBetween(value, 0, 60) ? undefined : "There is 0 to 60",
  Tty: truth,
  User: user,
  WorkingDir: (value) =>
    typeof value === "string" && value.startsWith("/") && value.length < 4096
      ? undefined
      : "It is not absolute",
};

/** Reasons for fields that are not a single flag's. */
const REASONS: Readonly<Record<string, string>> = {
  "HostConfig.MaskedPaths": "It shows what the kernel keeps from containers",
  "HostConfig.ReadonlyPaths": "It lets a container write what the kernel keeps from containers",
  "HostConfig.ContainerIDFile": "It writes a file of the server",
  NetworkingConfig: "Addresses and names in a network are the server's to give",
  MacAddress: "Addresses and names in a network are the server's to give",
  Volumes: "It is a directory on the server's disk without a limit; use --tmpfs",
};

/** @throws Refused for the first field, in the order of the object, that is not allowed */
export function checkFields(config: Fields, policy: Policy): void {
  checkObject(config, { table: FIELDS, path: "", policy });
  checkObject((config["HostConfig"] ?? {}) as Fields, { table: HOST_FIELDS, path: "HostConfig.", policy });
}

function checkObject(
  fields: Fields,
  { table, path, policy }: { table: Readonly<Record<string, Check>>; path: string; policy: Policy },
): void {
  for (const [name, value] of Object.entries(fields)) {
    const field = path + name;
    const check = Object.hasOwn(table, name) ? table[name] : undefined;
    const complaint = check ? check(value, policy, fields) : reasonFor(field);
    if (complaint !== undefined) throw complain(field, { value, complaint, policy });
  }
}

function complain(
  field: string,
  { value, complaint, policy }: { value: unknown; complaint: NonNullable<Complaint>; policy: Policy },
): Refused {
  const { why, rule, key } = typeof complaint === "string" ? { why: complaint } : complaint;
  const flag = flagOf(field);
  const what = flag === undefined ? field : `--${flag}`;
  const shown = typeof value === "string" || typeof value === "number" ? ` ${quoted(String(value))}` : "";
  return refused(rule ?? "field", `${what}${shown}`, {
    why,
    ...(key !== undefined && { configuredAt: at(policy, key) }),
  });
}

/** The flag that makes a field; where several do, the field is called by its own name. */
function flagOf(field: string): string | undefined {
  const flags = DOCKER_FLAGS.filter((flag) => flag.field === field && flag.aliasOf === undefined);
  return flags.length === 1 ? flags[0]!.name : undefined;
}

function reasonFor(field: string): string {
  const own = Object.hasOwn(REASONS, field) ? REASONS[field] : undefined;
  if (own !== undefined) return own;
  const flags = DOCKER_FLAGS.filter((flag) => flag.field === field || flag.field.startsWith(`${field}.`));
  return flags.map(({ name }) => NEVER_FLAGS[name]).find((why) => why !== undefined) ??
    "this server passes no such field on";
}

function network(value: unknown, policy: Policy): Complaint {
  // Docker's client sends "default" where it means the bridge.
  const name = value === "default" ? "bridge" : value;
  if (policy.network.some((allowed) => allowed === name)) return undefined;
  return { why: `There is ${policy.network.join(", ")}`, rule: "network", key: "network" };
}

function environment(value: unknown): Complaint {
  const wrong = (why: string): Complaint => ({ why, rule: "environment" });
  if (!isStrings(value)) return wrong("It is no list of texts");
  if (value.length > MOST_VARIABLES) return wrong(`There are at most ${MOST_VARIABLES} variables`);
  const size = value.reduce((sum, text) => sum + new TextEncoder().encode(text).length + 1, 0);
  if (size > MOST_ENVIRONMENT) return wrong(`There are at most ${MOST_ENVIRONMENT} bytes of them`);
  const odd = value.find((text) => !/^[^=\s]+=/.test(text));
  return odd === undefined ? undefined : wrong(`${quoted(odd)} is not NAME=VALUE`);
}

function user(value: unknown, policy: Policy): Complaint {
  if (typeof value !== "string" || !USER.test(value)) return "It is no USER[:GROUP]";
  const { containerUser, values } = policy;
  const listed = Object.hasOwn(values, "user") ? values["user"]! : [];
  if (containerUser === undefined || value === containerUser || listed.includes(value)) return undefined;
  return { why: `Containers run as ${containerUser}`, rule: "value", key: "user" };
}

function labels(value: unknown): Complaint {
  const names = typeof value === "object" && value !== null ? Object.keys(value) : [""];
  // Case and white space are no way around: some engines and tools fold both.
  const ours = names.find((name) => /^\s*cordon\b/i.test(name));
  return ours === undefined ? undefined : `The label ${quoted(ours)} is the server's to give`;
}

function extraHosts(value: unknown): Complaint {
  if (!isStrings(value)) return "It is no list of texts";
  const gateway = value.find((text) => text.endsWith(":host-gateway"));
  return gateway === undefined ? undefined : `${quoted(gateway)} is the server itself`;
}

function gpus(value: unknown): Complaint {
  const fine = Array.isArray(value) && value.every((request: Fields) => {
    const { Driver = "", Count: _, DeviceIDs: __, Capabilities, ...others } = request;
    const plain = Array.isArray(Capabilities) && Capabilities.flat().every((name) => name === "gpu");
    return ["", "nvidia"].includes(String(Driver)) && plain && Object.keys(others).length === 0;
  });
  return fine ? undefined : "There is all, a number and device=ID";
}

function ulimits(value: unknown): Complaint {
  const fine = Array.isArray(value) && value.every(({ Name, Soft, Hard }) => {
    return ULIMITS.includes(Name) && Soft >= 0 && Hard >= 0;
  });
  return fine ? undefined : `There are ${ULIMITS.join(", ")}, each with a limit`;
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string" && !one.includes("\0"));
}

function isBetween(value: unknown, least: number, most: number): boolean {
  return typeof value === "number" && value >= least && value <= most;
}
