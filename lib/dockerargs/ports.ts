/** The values of `--publish` and `--expose` (docker/go-connections, `nat`). Pure. */
import { refuse } from "../cli/values.ts";
import { canonicalIp } from "./addresses.ts";
import { cut } from "./csv.ts";

export interface PortBinding {
  HostIp: string;
  /** A number, a range, or empty for any. */
  HostPort: string;
}

/** By `PORT/PROTO`. */
export type PortBindings = Record<string, PortBinding[]>;

/** Adds what `[[IP:][HOST]:]PORT[-PORT][/PROTO]`, or `published=…,target=…,protocol=…`, publishes. */
export function addPublished(bindings: PortBindings, option: string, text: string): void {
  const wanted = "[[IP:][HOSTPORT]:]PORT[/PROTOCOL]";
  const parts = standard(option, text).split(":");
  const container = parts.pop()!;
  const host = parts.pop() ?? "";
  const HostIp = address(parts.join(":"));
  if (HostIp === undefined) {
    throw refuse(option, text, `an IPv4 or IPv6 address before the ports (${wanted})`);
  }
  const { port, proto } = protocolOf(container);
  const inside = range(port), outside = host === "" ? undefined : range(host);
  if (!inside || (host !== "" && !outside)) throw refuse(option, text, `ports from 0 to 65535 (${wanted})`);
  if (!["tcp", "udp", "sctp"].includes(proto.toLowerCase())) throw refuse(option, text, "tcp, udp or sctp");
  const several = inside.end > inside.start;
  if (outside && several && outside.end - outside.start !== inside.end - inside.start) {
    throw refuse(option, text, "two ranges of the same length");
  }
  for (let at = inside.start; at <= inside.end; at++) {
    const first = outside && outside.start + at - inside.start;
    const choice = outside && !several && outside.end > outside.start ? `-${outside.end}` : "";
    const HostPort = first === undefined ? "" : `${first}${choice}`;
    (bindings[`${at}/${proto.toLowerCase()}`] ??= []).push({ HostIp, HostPort });
  }
}

/** The `PORT/PROTO` that `PORT[-PORT][/PROTO]` exposes. */
export function parseExposed(option: string, text: string): string[] {
  const { port, proto } = protocolOf(text);
  const ports = range(port);
  if (text.includes(":") || !ports) throw refuse(option, text, "PORT[-PORT][/PROTOCOL]");
  return Array.from({ length: ports.end - ports.start + 1 }, (_, i) => `${ports.start + i}/${proto}`);
}

/** The long notation as the short one. */
function standard(option: string, text: string): string {
  if (!text.includes("=")) return text;
  const fields: Record<string, string> = { protocol: "tcp" };
  for (const field of text.split(",")) {
    const [name, value] = cut(field, "=");
    if (name === "" || value === undefined) throw refuse(option, text, "NAME=VALUE between commas");
    if (!["published", "target", "protocol", "mode"].includes(name)) {
      throw refuse(option, text, "published, target and protocol");
    }
    fields[name] = value;
  }
  return `${fields["published"] ?? ""}:${fields["target"] ?? ""}/${fields["protocol"]}`;
}

function protocolOf(text: string): { port: string; proto: string } {
  const [port = "", proto = ""] = text.split("/");
  return { port, proto: proto === "" ? "tcp" : proto };
}

/** As typed, without brackets; empty stays empty. */
function address(text: string): string | undefined {
  if (text === "") return "";
  const bare = /^\[.*\]$/.test(text) ? text.slice(1, -1) : text;
  return canonicalIp(bare) === undefined ? undefined : bare;
}

function range(text: string): { start: number; end: number } | undefined {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const start = Number(match?.[1] ?? NaN), end = Number(match?.[2] ?? start);
  return start <= end && end <= 65535 ? { start, end } : undefined;
}
