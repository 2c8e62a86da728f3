/** `--network` in its short and long notation, and the options that describe the first network. Pure. */
import { refuse } from "../cli/values.ts";
import { UsageError } from "../errors.ts";
import { parseIp, parseMac } from "./addresses.ts";
import { cut, parseCsv } from "./csv.ts";
import { parseDecimal } from "./numbers.ts";

/** Settings of a network for one container, as the Engine API has them. */
export interface Endpoint {
  Aliases?: string[];
  Links?: string[];
  DriverOpts?: Record<string, string>;
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: string[] };
  MacAddress?: string;
  GwPriority?: number;
}

/** A network to join. */
export interface Attachment {
  target: string;
  aliases: string[];
  links: string[];
  driverOptions: Record<string, string>;
  ip?: string;
  ip6?: string;
  linkLocal: string[];
  mac?: string;
  gatewayPriority?: number;
}

function attachment(target: string): Attachment {
  return { target, aliases: [], links: [], driverOptions: {}, linkLocal: [] };
}

/** Reads `NAME`, or `name=NAME,alias=…,ip=…`. */
export function parseNetwork(option: string, text: string): Attachment {
  if (!/\w+=\w+/.test(text)) {
    if (text.trim() === "") throw refuse(option, text, "a network");
    return attachment(text);
  }
  const network = attachment("");
  // The long notation is in lower case, values included: docker makes it so.
  for (const field of parseCsv(option, text)) {
    const [name, value] = cut(field.toLowerCase(), "=");
    if (value === undefined || name.trim() === "") throw refuse(option, text, "KEY=VALUE between commas");
    setField(network, { option, text, key: name.trim(), value: value.trim() });
  }
  if (network.target === "") throw refuse(option, text, "name=NETWORK among its fields");
  return network;
}

function setField(
  network: Attachment,
  { option, text, key, value }: { option: string; text: string; key: string; value: string },
): void {
  switch (key) {
    case "name":
      network.target = value;
      return;
    case "alias":
      network.aliases.push(value);
      return;
    case "ip":
      if (value !== "") network.ip = (parseIp(`ip of ${option}`, value), value);
      return;
    case "ip6":
      if (value !== "") network.ip6 = (parseIp(`ip6 of ${option}`, value), value);
      return;
    case "mac-address":
      network.mac = parseMac(`mac-address of ${option}`, value);
      return;
    case "link-local-ip":
      network.linkLocal.push((parseIp(`link-local-ip of ${option}`, value), value));
      return;
    case "driver-opt": {
      const [name, setting] = cut(value, "=");
      if (setting === undefined || name === "") throw refuse(option, text, "driver-opt=NAME=VALUE");
      network.driverOptions = { ...network.driverOptions, [name.trim()]: setting.trim() };
      return;
    }
    case "gw-priority":
      network.gatewayPriority = parseDecimal(`gw-priority of ${option}`, value);
      return;
  }
  throw refuse(option, text, `none of the key ${JSON.stringify(key)}`);
}

/** A network somebody created, not a mode of the engine. */
function isUserDefined(name: string): boolean {
  return !["default", "bridge", "host", "none"].includes(name) && !/^container(:|$)/.test(name);
}

/** What `--ip`, `--link` and the like say of the first network. */
export type Shared = Omit<Attachment, "target" | "driverOptions" | "gatewayPriority">;

/** `NetworkingConfig.EndpointsConfig`; empty when the networks are joined with nothing further. */
export function endpoints(networks: readonly Attachment[], shared: Shared): Record<string, Endpoint> {
  const all = networks.length > 0 ? networks : [attachment("default")];
  if (all.some(({ target }) => isUserDefined(target)) && all.some(({ target }) => !isUserDefined(target))) {
    throw new UsageError(
      `Networks ${all.map(({ target }) => target).join(" and ")} cannot be joined together`,
      {
        why: "Networks that somebody created go with their kind only",
      },
    );
  }
  const result = new Map<string, Endpoint>();
  for (const [index, network] of all.entries()) {
    const { target } = network;
    if (result.has(target)) throw new UsageError(`Network ${target} is named twice`);
    const one = endpoint(index === 0 ? withShared(network, shared) : network);
    // Alone and with nothing to say it is left to the engine, which old ones insist on.
    if (all.length > 1 || Object.keys(one).length > 0) result.set(target, one);
  }
  return Object.fromEntries(result);
}

function withShared(network: Attachment, shared: Shared): Attachment {
  const clash = (option: string, both: boolean) => {
    if (both) throw new UsageError(`Option ${option} and the same in --network cannot be given together`);
  };
  const several = (a: readonly string[], b: readonly string[]) => a.length > 0 && b.length > 0;
  clash("--network-alias", several(network.aliases, shared.aliases));
  clash("--link", several(network.links, shared.links));
  clash("--link-local-ip", several(network.linkLocal, shared.linkLocal));
  clash("--ip", network.ip !== undefined && shared.ip !== undefined);
  clash("--ip6", network.ip6 !== undefined && shared.ip6 !== undefined);
  clash("--mac-address", network.mac !== undefined && shared.mac !== undefined);
  // Of the engine's own networks links are HostConfig's alone.
  const links = isUserDefined(network.target) ? shared.links : [];
  return {
    ...network,
    ...shared,
    aliases: [...network.aliases, ...shared.aliases],
    links: [...network.links, ...links],
    linkLocal: [...network.linkLocal, ...shared.linkLocal],
  };
}

function endpoint(network: Attachment): Endpoint {
  const { target, aliases, links, driverOptions, ip, ip6, linkLocal, mac, gatewayPriority } = network;
  if (!isUserDefined(target) && aliases.length > 0) {
    throw new UsageError(`Network ${target} takes no alias`, { why: "Only a network that was created does" });
  }
  const addresses = {
    ...(ip !== undefined && { IPv4Address: ip }),
    ...(ip6 !== undefined && { IPv6Address: ip6 }),
    ...(linkLocal.length > 0 && { LinkLocalIPs: linkLocal }),
  };
  return {
    ...(aliases.length > 0 && { Aliases: aliases }),
    ...(links.length > 0 && { Links: links }),
    ...(Object.keys(driverOptions).length > 0 && { DriverOpts: driverOptions }),
    ...(Object.keys(addresses).length > 0 && { IPAMConfig: addresses }),
    ...(mac !== undefined && { MacAddress: mac }),
    ...(gatewayPriority !== undefined && gatewayPriority !== 0 && { GwPriority: gatewayPriority }),
  };
}
