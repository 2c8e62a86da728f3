/**
 * Parsers of single option values. Pure. Each throws a {@link UsageError} that states the option, the value and what
 * is wanted.
 */
import { UsageError } from "../errors.ts";

/** A refusal of `text` as the value of `option` (`--memory`); `wanted` completes "Wanted …". */
export function refuse(option: string, text: string, wanted: string): UsageError {
  return new UsageError(`Cannot use ${JSON.stringify(text)} for ${option}`, { why: `Wanted ${wanted}` });
}

export interface Range {
  least?: number;
  most?: number;
}

const MAX_INT64 = 2n ** 63n - 1n;
const SIZE_UNITS: Record<string, bigint> = { "": 1n, k: 2n ** 10n, m: 2n ** 20n, g: 2n ** 30n, t: 2n ** 40n };

/**
 * Bytes. Units are binary: `64M`, `64MiB`, `64mb` are all 64·2²⁰; `1.5G` is allowed, a fraction of a byte is cut off.
 * Above 2⁵³ the result is rounded down to what a number can hold, so it never passes 2⁶³−1.
 */
export function parseSize(option: string, text: string, range: Range = {}): number {
  const wanted = (more: string) => refuse(option, text, `a size in bytes such as 4096, 64M or 1.5G${more}`);
  const match = /^(\d+)(?:\.(\d+))?(?:([kmgt])(?:i?b)?|b)?$/i.exec(text);
  if (!match || (match[2] && !match[3])) throw wanted("");
  const fraction = match[2] ?? "";
  const unit = SIZE_UNITS[(match[3] ?? "").toLowerCase()] ?? 1n;
  const bytes = BigInt(match[1] + fraction) * unit / 10n ** BigInt(fraction.length);
  if (bytes > MAX_INT64) throw wanted(`, at most 2^63-1 (${MAX_INT64}) bytes`);
  const spare = BigInt(Math.max(0, bytes.toString(2).length - 53));
  const size = Number((bytes >> spare) << spare);
  const { least = 0, most = Infinity } = range;
  if (size < least) throw wanted(`, at least ${least} ${least === 1 ? "byte" : "bytes"}`);
  if (size > most) throw wanted(`, at most ${most} bytes`);
  return size;
}

const DURATION_UNITS: Record<string, number> = { "": 1, ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };
/** 2⁶³−1 nanoseconds, in whole seconds. */
const MAX_SECONDS = 9_223_372_036;

/** Seconds, more than zero: `10`, `1.5`, `500ms`, `2m`, `1h`, `1d`. */
export function parseDuration(option: string, text: string): number {
  const wanted = (more: string) =>
    refuse(option, text, `a time such as 10 (seconds), 1.5, 500ms, 2m or 1h${more}`);
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  if (!match) throw wanted("");
  const seconds = Number(match[1]) * (DURATION_UNITS[match[2] ?? ""] ?? 1);
  if (seconds <= 0) throw wanted(", more than 0");
  if (seconds > MAX_SECONDS) throw wanted(`, at most ${MAX_SECONDS} seconds`);
  return seconds;
}

/** A whole number, by default from 1 to 2³¹−1. */
export function parseCount(option: string, text: string, range: Range = {}): number {
  const { least = 1, most = 2 ** 31 - 1 } = range;
  // The length keeps Number() exact before it is compared.
  const count = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(count >= least && count <= most)) {
    throw refuse(option, text, `a whole number from ${least} to ${most}`);
  }
  return count;
}

/** A share of processor time: 0.5 is half a processor. The kernel accounts no less than a hundredth. */
export function parseCpus(option: string, text: string): number {
  const cpus = /^(\d+(\.\d+)?|\.\d+)$/.test(text) ? Number(text) : NaN;
  if (!(cpus >= 0.01 && cpus <= 8192)) {
    throw refuse(option, text, "a number of processors from 0.01 to 8192, such as 0.5 or 2");
  }
  return cpus;
}

/** The largest descriptor number Linux can be set to allow (fs.nr_open), less one. */
const MAX_FD = 2 ** 30 - 1;

/**
 * `fd:N` is an open descriptor; anything else a file's path, as typed. Such a file is made anew in the place of what is
 * there: for root, `/dev/null` would be gone.
 */
export function parseFdOrFile(option: string, text: string): { fd: number } | { path: string } {
  const wanted = "a file, or fd:N for an open descriptor";
  if (text === "" || text.includes("\0")) throw refuse(option, text, wanted);
  if (/^\/+dev\/+(?!shm\/)/.test(text)) throw refuse(option, text, `${wanted}: what is there is replaced`);
  if (!text.startsWith("fd:")) return { path: text };
  const fd = /^fd:(\d{1,10})$/.exec(text)?.[1];
  if (fd === undefined || Number(fd) > MAX_FD) throw refuse(option, text, `${wanted} (./${text} is a file)`);
  return { fd: Number(fd) };
}

/** A descriptor to hand down. 0, 1 and 2 are handed down anyway. */
export function parseFd(option: string, text: string): number {
  const fd = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(fd >= 3 && fd <= MAX_FD)) {
    throw refuse(option, text, "the number of an open descriptor, 3 or above (0, 1 and 2 are always kept)");
  }
  return fd;
}

/** One of a few words. */
export function parseChoice<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((choice) => choice === text);
  if (choice === undefined) {
    throw refuse(option, text, `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`);
  }
  return choice;
}

/** A path that must not be empty; as typed. */
export function parsePath(option: string, text: string): string {
  if (text === "" || text.includes("\0")) throw refuse(option, text, "a path");
  return text;
}

/** `NAME=VALUE`, or `NAME` alone, whose value is the caller's. */
export interface EnvArgument {
  name: string;
  value?: string;
}

export function parseEnv(option: string, text: string): EnvArgument {
  const [name = "", ...rest] = text.split("=");
  if (name === "" || text.includes("\0")) {
    throw refuse(option, text, "NAME=VALUE, or NAME to pass the caller's value");
  }
  return rest.length === 0 ? { name } : { name, value: rest.join("=") };
}

/** A pattern of variable names: `*` is any run of characters, `?` any one. */
export function parseEnvPattern(option: string, text: string): string {
  if (text === "" || /[=\0]/.test(text)) {
    throw refuse(option, text, "a variable's name, in which * and ? match any characters");
  }
  return text;
}

/** sethostname(2) takes 64 bytes. */
export function parseHostname(option: string, text: string): string {
  if (!/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,63})$/.test(text)) {
    throw refuse(
      option,
      text,
      "1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first",
    );
  }
  return text;
}

/** `HOST:PORT`, `[IPV6]:PORT`; as typed. */
export function parseHostPort(option: string, text: string): string {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[4]);
  if (!(port >= 1 && port <= 65535)) {
    throw refuse(option, text, "HOST:PORT, such as example.org:443, 10.1.2.3:80 or [2001:db8::1]:80");
  }
  return text;
}
