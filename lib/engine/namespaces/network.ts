/**
 * The network of a sandbox beyond its loopback: destinations that are allowed one by one, and a user-mode network stack.
 * Planning looks up names and looks for programs; nothing is changed.
 */
import { formatAddress, parseV4, parseV6 } from "../../host/address.ts";
import { resolveName } from "../../host/resolve.ts";
import { CordonError } from "../../errors.ts";
import type { Host } from "../../host/host.ts";
import type { HelperPlan, OutboundPlan } from "../../shim/programs/outbound.ts";
import type { NetworkMode, Spec } from "../../spec/spec.ts";
import { helperFor } from "./usermode.ts";

/** What planning asks of the machine; tests give made-up answers. */
export interface NetworkFacts {
  resolve(name: string, what: string): string[];
  /** Addresses of the machine's own interfaces. */
  ownAddresses(): string[];
  hasIpv6: boolean;
  text(path: string): string | undefined;
  /** Path of a program, when it is installed and can be used. */
  helper(mode: NetworkMode): ReturnType<typeof helperFor>;
}

export interface NetworkPlan {
  outbound?: OutboundPlan;
  /** Files of /etc as they are inside. */
  files: { path: string; content: string }[];
  /** A line for the user: something asked for with `auto` is not there. */
  note?: string;
}

/** SCM_MAX_FD: so many descriptors go through a socket at once. */
const MOST_LISTENERS = 253;
/**
 * Where 127.0.0.1 is the only IPv4 address, getaddrinfo(3) takes AI_ADDRCONFIG to say that there is no IPv4 at all, and
 * finds neither localhost nor 127.0.0.1 itself: Slurm's commands, among others, ask that way. This one counts.
 */
const COUNTED = "127.0.0.2";

export function planNetwork(spec: Spec, facts: NetworkFacts): NetworkPlan {
  const { mode, allow } = spec.network;
  if (mode === "host") return { files: [] };
  const { helper, note } = mode === "none" ? {} : facts.helper(mode);
  const names = new Map<string, string[]>();
  const destinations = new Map<string, { address: string; port: number }>();
  for (const text of allow) {
    const { host, port } = split(text);
    const literal = isAddress(host);
    const addresses = (literal ? [host] : facts.resolve(host, `--allow ${text}`))
      .map((address) => connectable(address, text))
      .filter((address) => literal || facts.hasIpv6 || !address.includes(":"));
    if (!literal) names.set(host, addresses);
    for (const address of addresses) destinations.set(`${address} ${port}`, { address, port });
  }
  // A stack reaches the other machines by itself; an address on lo would cover all their other ports.
  const own = helper ? new Set(facts.ownAddresses()) : undefined;
  const listeners = [...destinations.values()].filter(({ address }) =>
    !own || isLoopback(address) || own.has(address)
  );
  if (listeners.length > MOST_LISTENERS) {
    throw new CordonError(`--allow names ${listeners.length} addresses`, {
      why: `${MOST_LISTENERS} are possible`,
    });
  }
  const aliases = [...new Set(listeners.map(({ address }) => address))].filter((a) => !isLoopback(a));
  const serves = listeners.length > 0 || showsWhole(spec);
  if (serves && !helper && aliases.every((address) => address.includes(":"))) aliases.push(COUNTED);
  const resolv = helper ? resolvConf(helper, facts) : [];
  const uplink = helper && resolv.length > 0
    ? { ...helper, argv: [...helper.argv, ...helper.resolverArgs] }
    : helper;
  return {
    ...((helper || aliases.length > 0) && {
      outbound: { aliases: aliases.map(addressBytes), listeners, ...(uplink && { helper: uplink }) },
    }),
    files: [...hostsFile(spec, names, facts), ...resolv],
    ...(note !== undefined && { note }),
  };
}

/** `HOST:PORT`, checked for form when it was read. */
function split(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(text.slice(at + 1)) };
}

function isAddress(host: string): boolean {
  return parseV4(host) !== undefined || host.includes(":");
}

function addressBytes(address: string): Uint8Array {
  return Uint8Array.from(parseV4(address) ?? parseV6(address)!);
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** What a program inside connects to when it is given this address; "any" is the loopback: ip(7). */
function connectable(address: string, text: string): string {
  const bytes = parseV4(address) ?? parseV6(address);
  if (!bytes) throw new CordonError(`--allow ${text}: ${address} is no address`);
  if (bytes.every((byte) => byte === 0)) return bytes.length === 4 ? "127.0.0.1" : "::1";
  const first = bytes[0]!;
  const why = bytes.length === 4 && first >= 224
    ? "it stands for a group of machines"
    : bytes.length === 16 && first === 0xff
    ? "it stands for a group of machines"
    : bytes.length === 16 && first === 0xfe && (bytes[1]! & 0xc0) === 0x80
    ? "it means something on one interface only"
    : undefined;
  if (why) throw new CordonError(`--allow ${text}: ${address} cannot be reached from inside`, { why });
  return formatAddress(Uint8Array.from(bytes));
}

/** The root is the host's; another directory as the root has what its owner put there. */
function showsWhole(spec: Spec): boolean {
  return spec.mounts.some((mount) => mount.dest === "/" && mount.source === "/");
}

/** The host's own /etc/hosts with the allowed names, and the machine's name as the loopback, where servers bind to it. */
function hostsFile(spec: Spec, names: Map<string, string[]>, facts: NetworkFacts): NetworkPlan["files"] {
  const whole = showsWhole(spec);
  if (names.size === 0 && !whole) return [];
  const taken = new Set([...names.keys(), spec.hostname].map((name) => name.toLowerCase()));
  const lines = [...names].flatMap(([name, addresses]) => addresses.map((address) => `${address} ${name}`));
  if (!names.has(spec.hostname)) lines.push(`127.0.0.1 ${spec.hostname}`);
  const standing = whole || spec.network.mode !== "none"
    ? facts.text("/etc/hosts")
    : "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  if (standing === undefined) return [];
  const kept = standing.split("\n").flatMap((line) => {
    const [address, ...rest] = line.replace(/#.*/, "").trim().split(/\s+/);
    const left = rest.filter((name) => !taken.has(name.toLowerCase()));
    return address && left.length > 0 ? [`${address} ${left.join(" ")}`] : [];
  });
  return [{ path: "/etc/hosts", content: [...lines, ...kept].join("\n") + "\n" }];
}

/** A resolver on the host's loopback is not there inside; the stack has one that asks it. */
function resolvConf(helper: HelperPlan, facts: NetworkFacts): NetworkPlan["files"] {
  const text = facts.text("/etc/resolv.conf");
  if (text === undefined) return [];
  const lines = text.split("\n");
  const servers = lines.flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  if (servers.length > 0 && !servers.every((server) => isLoopback(server.replace(/%.*/, "")))) return [];
  const rest = lines.filter((line) => line.trim() !== "" && !/^\s*nameserver\s/.test(line));
  const content = [`nameserver ${helper.resolver}`, ...rest].join("\n") + "\n";
  return [{ path: "/etc/resolv.conf", content }];
}

/** The machine itself. */
export function networkFacts(host: Host): NetworkFacts {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return undefined; // a file that is not there, or not ours to read, says nothing
    }
  };
  return {
    resolve: resolveName,
    ownAddresses: () => Deno.networkInterfaces().map(({ address }) => address),
    hasIpv6: read("/proc/net/if_inet6") !== undefined,
    text: read,
    helper: (mode) => helperFor(mode, host),
  };
}
