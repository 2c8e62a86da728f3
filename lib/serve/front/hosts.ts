/**
 * For whom a request is meant and from which page it comes. A page anywhere can make a browser on this machine send
 * requests to loopback addresses; by DNS rebinding even under the page's own name. Pure.
 */
import type { Head, Refusal } from "./head.ts";

export interface Names {
  /** Names this server answers to besides addresses and localhost; `*.example.org` stands for all below it. */
  hosts: readonly string[];
  /** Pages of other servers that may call: `https://hub.example.org`. */
  origins: readonly string[];
}

/** Why this request is not answered; undefined when it is. `unix`: it came by a Unix socket, as no browser does. */
export function refusedSender(head: Head, names: Names, { unix }: { unix: boolean }): Refusal | undefined {
  if (!unix && head.host !== undefined && !served(hostOf(head.host), names.hosts)) {
    return { status: 421, detail: `this server does not answer to the name ${hostOf(head.host)}` };
  }
  if (head.origin !== undefined && !trusted(head.origin, head.host, names.origins)) {
    return { status: 403, detail: `pages of ${JSON.stringify(head.origin)} may not call this server` };
  }
  return undefined;
}

function hostOf(authority: string): string {
  return authority.replace(/:\d+$/, "").replace(/\.$/, "").toLowerCase();
}

function served(host: string, names: readonly string[]): boolean {
  // An address cannot be rebound: the browser asked for this very address.
  if (host === "localhost" || host.startsWith("[") || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(host)) return true;
  return names.some((name) => {
    const wanted = name.toLowerCase();
    return wanted.startsWith("*.") ? host.endsWith(wanted.slice(1)) : host === wanted;
  });
}

function trusted(origin: string, host: string | undefined, origins: readonly string[]): boolean {
  const match = /^https?:\/\/([^/?#@]+)$/i.exec(origin);
  if (!match) return false;
  if (host !== undefined && match[1]!.toLowerCase() === host.toLowerCase()) return true;
  return origins.some((allowed) => allowed.toLowerCase().replace(/\/$/, "") === origin.toLowerCase());
}
