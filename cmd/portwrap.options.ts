/** `cordon portwrap`: what its options come to, and the reading of them. No I/O. */
import { defineCommand, type Parsed } from "../lib/cli/command.ts";
import {
  parseChoice,
  parseDuration,
  parseFdOrFile,
  parseHostPort,
  parsePath,
  refuse,
} from "../lib/cli/values.ts";
import { UsageError } from "../lib/errors.ts";
import { doorOf } from "../lib/portwrap/doors.ts";
import { parseAddress, parseForward, parsePort, type PortPair } from "../lib/portwrap/ports.ts";
import type { Limits, Network } from "../lib/spec/spec.ts";
import { GRACE_SECONDS, PORTWRAP_TABLE } from "./portwrap.table.ts";
import { NETWORK_MODES, readLimits } from "./shared.options.ts";

export interface PortwrapOptions {
  /** Absent: what JupyterHub says. */
  hostPort?: number;
  guestPort?: number;
  hostAddr?: string;
  /** Where to listen for a Hub that names no address. */
  hubAddr?: string;
  forwards: PortPair[];
  ready?: { fd: number } | { path: string };
  /** Report the port to batchspawner's Hub. */
  batchspawner: boolean;
  /** `allow` without the word `proxy`. */
  network: Network;
  /** Allow the proxies that the environment names. */
  allowProxy: boolean;
  /** Names of doors, or paths of sockets, to leave open. */
  open: string[];
  /** In the order typed. */
  mounts: ({ list: string } | { json: string })[];
  /** `tmpBytes` is 0 where nothing is said. */
  limits: Limits;
  /** How long the program has to end when it is asked to. */
  graceSeconds: number;
  result?: { fd: number } | { path: string };
  verbose: boolean;
  /** Write the script for batchspawner here, and nothing else. */
  install?: string;
  explain: boolean;
  /** Program and arguments; empty only with `install`. */
  command: string[];
}

export const portwrap = defineCommand<PortwrapOptions>({
  ...PORTWRAP_TABLE,
  read: readPortwrap,
  load: () => import("./portwrap.ts"),
});

/** What was typed as typed options. Ports, addresses and conflicts among them are refused here. */
export function readPortwrap(parsed: Parsed): PortwrapOptions {
  const install = parsed.one("install-batchspawner");
  const hostPort = parsed.one("host-port"), guestPort = parsed.one("guest-port");
  const hostAddr = parsed.one("host-addr"), ready = parsed.one("ready"), result = parsed.one("result");
  const grace = parsed.one("grace");
  const options: PortwrapOptions = {
    ...(hostPort !== undefined && { hostPort: parsePort("-p", hostPort, { free: true }) }),
    ...(guestPort !== undefined && { guestPort: parsePort("-P", guestPort) }),
    ...(hostAddr !== undefined && { hostAddr: parseAddress("--host-addr", hostAddr) }),
    forwards: parsed.all("forward").map((text) => parseForward("--forward", text)),
    ...(ready !== undefined && { ready: parseFdOrFile("--ready", ready) }),
    batchspawner: parsed.flag("batchspawner"),
    ...readAllowed(parsed),
    open: parsed.all("open").map((text) => parseOpen(text)),
    mounts: readMounts(parsed),
    limits: readLimits(parsed, { tmpBytes: 0 }),
    graceSeconds: grace === undefined ? GRACE_SECONDS : parseDuration("--grace", grace),
    ...(result !== undefined && { result: parseFdOrFile("--result", result) }),
    verbose: parsed.flag("verbose"),
    ...(install !== undefined && { install: parsePath("--install-batchspawner", install) }),
    explain: parsed.flag("explain"),
    command: parsed.operands,
  };
  if (install === undefined) checkPortwrap(options);
  return options;
}

/** Refuses what cannot be meant: no command, a port twice, -p together with --batchspawner. */
export function checkPortwrap(
  { hostPort, hostAddr, batchspawner, forwards, command }: PortwrapOptions,
): void {
  if (command.length === 0) {
    throw new UsageError("cordon portwrap needs PROG", {
      why: "PROG: The program to run",
      hint: "cordon portwrap --help",
    });
  }
  if (batchspawner && hostPort !== undefined) {
    throw new UsageError("Options --batchspawner and -p cannot be given together", {
      why: "with --batchspawner cordon takes a free port and tells the Hub",
    });
  }
  const own: PortPair[] = hostPort === undefined ? [] : [{ hostPort, guestPort: 0 }];
  const taken: { address: string; port: number }[] = [];
  for (const pair of [...own, ...forwards]) {
    if (pair.hostPort === 0) continue;
    const next = { address: pair.hostAddr ?? hostAddr ?? "127.0.0.1", port: pair.hostPort };
    const other = taken.find(({ address, port }) => port === next.port && overlap(address, next.address));
    if (other) {
      throw new UsageError(`Host address ${next.address} port ${next.port} is given twice`, {
        why: other.address === next.address ? undefined : `${other.address} covers it, or is covered by it`,
      });
    }
    taken.push(next);
  }
}

/** Whether two addresses cannot be listened on at one port: `::` takes IPv4 in too. */
function overlap(a: string, b: string): boolean {
  const covers = (x: string, y: string) => x === y || x === "::" || (x === "0.0.0.0" && !y.includes(":"));
  return covers(a, b) || covers(b, a);
}

function readAllowed(parsed: Parsed): { network: Network; allowProxy: boolean } {
  const allow = parsed.all("allow");
  const mode = parseChoice("--network", parsed.one("network") ?? "none", NETWORK_MODES);
  return {
    network: {
      mode,
      allow: allow.filter((text) => text !== "proxy").map((text) => parseHostPort("--allow", text)),
    },
    allowProxy: allow.includes("proxy"),
  };
}

function parseOpen(text: string): string {
  if (text.startsWith("/") || text.startsWith("~/")) return text;
  if (doorOf(text)) return text;
  throw refuse("--open", text, "one of the doors in cordon portwrap --help, or a path that starts with /");
}

function readMounts(parsed: Parsed): PortwrapOptions["mounts"] {
  return parsed.given.flatMap(({ name, value }): PortwrapOptions["mounts"] => {
    if (name === "mount") return [{ json: String(value) }];
    if (name !== "mnt") return [];
    return [{ list: String(value) }];
  });
}
