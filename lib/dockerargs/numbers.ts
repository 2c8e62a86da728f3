/**
 * Numbers, sizes and times in the notations that Go's strconv, time and math/big accept and so docker does. Pure. Each
 * throws a {@link UsageError} that states the option, the text and what is wanted.
 */
import { refuse } from "../cli/values.ts";

const MAX_INT64 = 2 ** 63;
const TRUE = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE = ["0", "f", "F", "FALSE", "false", "False"];

export function parseBool(option: string, text: string): boolean {
  if (TRUE.includes(text)) return true;
  if (FALSE.includes(text)) return false;
  throw refuse(option, text, "true or false");
}

export interface IntRange {
  least?: number;
  most?: number;
}

const ANY_BASE =
  /^([+-]?)(0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])+|0|[1-9](?:_?[0-9])*)$/;

/** A whole number as `strconv.ParseInt(text, 0, 64)` reads it: 16, 0x10, 020, 0b1_0000. */
export function parseAnyInt(option: string, text: string, range: IntRange = {}): number {
  const match = ANY_BASE.exec(text);
  const digits = match?.[2]?.replaceAll("_", "") ?? "";
  const octal = /^0[0-7]/.test(digits);
  const value = match ? Number(octal ? `0o${digits.slice(1)}` : digits) : NaN;
  return within(option, text, { value: match?.[1] === "-" ? -value : value, ...range });
}

/** A whole number in decimal digits, as `strconv.Atoi` reads it. */
export function parseDecimal(option: string, text: string, range: IntRange = {}): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
  return within(option, text, { value, ...range });
}

/** A natural number in decimal digits without a sign. */
export function parseNatural(option: string, text: string, range: IntRange = {}): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  return within(option, text, { value, ...range });
}

function within(option: string, text: string, { value, least, most }: IntRange & { value: number }): number {
  const from = least ?? Number.MIN_SAFE_INTEGER, to = most ?? Number.MAX_SAFE_INTEGER;
  if (!(value >= from && value <= to)) {
    const bounds = least === undefined && most === undefined ? "" : ` from ${from} to ${to}`;
    throw refuse(option, text, `a whole number${bounds}`);
  }
  return value === 0 ? 0 : value; // no -0
}

const SIZE_UNITS: Record<string, number> = {
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
};

/** Bytes as go-units `RAMInBytes` reads them: 64m, 1.5GiB, 10 kb, 1e9; fractions of a byte are cut off. */
export function parseRamSize(option: string, text: string): number {
  const match = /^(\+?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?) ?(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text);
  const bytes = match
    ? Math.trunc(Number(match[1]) * (SIZE_UNITS[(match[2] ?? "").toLowerCase()] ?? 1))
    : NaN;
  if (!(bytes < MAX_INT64)) throw refuse(option, text, "a size such as 4096, 64m or 1.5g");
  return bytes;
}

/** -1 for no limit, or a size. */
export function parseSwapSize(option: string, text: string): number {
  return text === "-1" ? -1 : parseRamSize(option, text);
}

/** Billionths of a processor: 0.5, 1e-1, 3/2. A finer value than that is refused, as docker does. */
export function parseNanoCpus(option: string, text: string): number {
  const wanted = "a number of processors such as 0.5 or 2, in steps of 1e-9";
  const match = /^([+-]?)(\d+)?(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?(?:\/(\d+))?$/.exec(text);
  const [, sign, whole = "", fraction = "", exponent, divisor] = match ?? [];
  const ratio = divisor !== undefined;
  if (!match || whole + fraction === "" || (ratio && (text.includes(".") || exponent !== undefined))) {
    throw refuse(option, text, wanted);
  }
  const shift = 9 + Number(exponent ?? 0) - fraction.length;
  const numerator = BigInt(whole + fraction) * (shift > 0 ? 10n ** BigInt(shift) : 1n);
  const denominator = BigInt(divisor ?? 1) * (shift < 0 ? 10n ** BigInt(-shift) : 1n);
  if (denominator === 0n || numerator % denominator !== 0n) throw refuse(option, text, wanted);
  const nano = Number(numerator / denominator);
  if (nano > Number.MAX_SAFE_INTEGER) throw refuse(option, text, wanted);
  return sign === "-" && nano > 0 ? -nano : nano;
}

const TIME_UNITS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};
const TIME_PART = /(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/y;

/** Nanoseconds, not negative, as `time.ParseDuration` reads them: 1h30m, 1.5s, 300ms; 0 needs no unit. */
export function parseNanoseconds(option: string, text: string): number {
  const wanted = "a time such as 500ms, 1.5s or 1m30s";
  const bare = text.replace(/^\+/, "");
  if (/^-?0$/.test(bare)) return 0;
  let total = 0;
  TIME_PART.lastIndex = 0;
  let end = 0;
  for (let part = TIME_PART.exec(bare); part; part = TIME_PART.exec(bare)) {
    total += Number(part[1]) * TIME_UNITS[part[2]!]!;
    end = TIME_PART.lastIndex;
  }
  if (end === 0 || end !== bare.length || total >= MAX_INT64) throw refuse(option, text, wanted);
  return Math.trunc(total);
}
