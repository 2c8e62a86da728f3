/**
 * Values of the configuration file. Each is a reader of one key: it takes what TOML gave, checks it and returns what the
 * server works with. A value that cannot be used gets one plain sentence, beginning "Wanted".
 */
import { Buffer } from "node:buffer";
import { posix } from "node:path";
import { z } from "zod";
import { parseCpus, parseDuration, parseHostname, parseSize } from "../../cli/values.ts";
import { UsageError } from "../../errors.ts";
import type { ListenAddress, Rate } from "./types.ts";

/** Names of tenants, policies and the like: they stand in labels, logs and metrics. */
export const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;

/** A schema out of a reader; `undefined` and a {@link UsageError} refuse the value. */
export function reads<T>(wanted: string, read: (value: unknown) => T | undefined): z.ZodType<T, unknown> {
  return z.unknown().transform((value, context): T => {
    const refuse = (message: string) => {
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    };
    try {
      const result = read(value);
      return result === undefined ? refuse(`Wanted ${wanted}, not ${shown(value)}`) : result;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return refuse(`${error.why ?? error.message}, not ${shown(value)}`);
    }
  });
}

/** What stands in the file, as far as it fits into a message. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

export function text(wanted = "a text", fits: (text: string) => boolean = (text) => text !== "") {
  return reads(wanted, (value) => {
    return typeof value === "string" && fits(value) && !value.includes("\0") ? value : undefined;
  });
}

export const truth = reads("true or false", (value) => typeof value === "boolean" ? value : undefined);

export function choice<T extends string>(...words: T[]) {
  return reads(
    `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
    (value) => words.find((word) => word === value),
  );
}

export function count(least: number, most = 2 ** 31 - 1) {
  return reads(`a whole number from ${least} to ${most}`, (value) => {
    return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? value
      : undefined;
  });
}

/** `60`, `"60s"`, `"5m"`, `"30d"`. */
export function seconds({ zero = false, most = 10 * 365 * 86_400 } = {}) {
  return reads(`a time such as 60 (seconds), "5m" or "30d"`, (value) => {
    if (zero && (value === 0 || value === "0" || value === "0s")) return 0;
    const time = typeof value === "number" || typeof value === "string"
      ? parseDuration("time", String(value))
      : undefined;
    return time === undefined || time <= most ? time : undefined;
  });
}

/** `4096`, `"512M"`, `"1.5G"`. */
export function size(least = 1) {
  return reads(`a size such as 4096 (bytes), "512M" or "2G"`, (value) => {
    if (typeof value !== "number" && typeof value !== "string") return undefined;
    return parseSize("size", String(value), { least });
  });
}

export const processors = reads("a number of processors such as 0.5 or 2", (value) => {
  return typeof value === "number" || typeof value === "string"
    ? parseCpus("cpus", String(value))
    : undefined;
});

/** An absolute path, normalised; what is relative begins at the file's own directory. */
export function path(directory: string | undefined) {
  return reads("an absolute path", (value) => {
    if (typeof value !== "string" || value === "" || value.includes("\0")) return undefined;
    if (!value.startsWith("/") && directory === undefined) return undefined;
    const normal = posix.resolve(directory ?? "/", value);
    return normal;
  });
}

/** `HOST:PORT`, `[IPV6]:PORT`, `unix:PATH`. */
export const listenAddress = reads(
  `HOST:PORT, [IPV6]:PORT or unix:/PATH`,
  (value) => typeof value === "string" ? parseListen(value) : undefined,
);

/** Undefined for what is none of the forms. */
export function parseListen(text: string): ListenAddress | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    // unix(7): 108 bytes with the final NUL.
    const fits = path.startsWith("/") && !path.includes("\0") && new TextEncoder().encode(path).length < 108;
    return fits ? { unix: posix.normalize(path) } : undefined;
  }
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+|\*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) return undefined;
  const named = match[1] ?? match[2]!;
  if (match[1] !== undefined && !URL.canParse(`http://[${match[1]}]/`)) return undefined;
  return { hostname: named === "*" ? "0.0.0.0" : named, port };
}

/** Nobody but users of this machine can reach it. */
export function isPrivate(address: ListenAddress): boolean {
  return "unix" in address || /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(address.hostname);
}

export const hostName = reads("a host name", (value) => {
  return typeof value === "string" ? parseHostname("host", value).toLowerCase() : undefined;
});

/** `https://hub.example.org`: scheme, host and port of pages, as a browser sends them. */
export const origin = reads(`the origin of pages, such as "https://hub.example.org"`, (value) => {
  if (typeof value !== "string" || !/^https?:\/\/[^/]+$/i.test(value) || !URL.canParse(value)) {
    return undefined;
  }
  return new URL(value).origin;
});

const RATE_UNITS: Record<string, number> = { s: 1, sec: 1, min: 60, m: 60, h: 3600, hour: 3600 };

/** `"60/min"`, `"5/s"`, `"1000/h"`, `"10/30s"`. */
export const rate = reads(`a rate such as "60/min", "5/s" or "10/30s"`, (value): Rate | undefined => {
  const match = typeof value === "string" ? /^(\d{1,9})\/(\d{0,6})([a-z]+)$/.exec(value) : null;
  const unit = RATE_UNITS[match?.[3] ?? ""];
  if (!match || unit === undefined) return undefined;
  const seconds = Number(match[2] || 1) * unit;
  const count = Number(match[1]);
  return count >= 1 && seconds >= 1 ? { count, seconds } : undefined;
});

/** `"sha256:…"` with 64 hexadecimal digits. */
export const tokenHash = reads(`"sha256:" and 64 hexadecimal digits`, (value) => {
  return typeof value === "string" ? parseHash(value) : undefined;
});

export function parseHash(text: string): Uint8Array | undefined {
  const digits = /^sha256:([0-9a-f]{64})$/.exec(text)?.[1];
  return digits === undefined ? undefined : new Uint8Array(Buffer.from(digits, "hex"));
}
