/**
 * Tokens of tenants. Only their SHA-256 is kept: a token is 160 random bits, which no table and no search finds, so it
 * needs no slow hash. No I/O.
 */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import { CordonError } from "../../errors.ts";
import type { TextFile } from "./read.ts";
import type { Tenant } from "./types.ts";
import { NAME, parseHash } from "./values.ts";

const TOKEN_BYTES = 20;

/** One line of the tokens file. */
export interface TokenEntry {
  tenant: string;
  hash: Uint8Array;
  /** When it was made, as in `2026-11-21T08:00:00Z`. */
  created: string;
}

/** 40 hexadecimal digits: they need no quoting in a URL, where Dockyter has them. */
export function newToken(): string {
  return hex(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)));
}

export function hashToken(token: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(token).digest());
}

/** The short name of a token, by which `cordon serve token remove` knows it; it tells nothing of the token. */
export function tokenId(hash: Uint8Array): string {
  return hex(hash).slice(0, 8);
}

/**
 * The tenant to whom one of the presented tokens belongs. Every hash is compared with every token, each in constant
 * time: how long it takes tells neither which fitted nor how well.
 */
export function tenantOf(tenants: readonly Tenant[], presented: readonly string[]): Tenant | undefined {
  const hashes = presented.map(hashToken);
  let found: Tenant | undefined;
  for (const tenant of tenants) {
    for (const token of tenant.tokens) {
      for (const hash of hashes) {
        const fits = timingSafeEqual(hash, token);
        found = fits ? tenant : found;
      }
    }
  }
  return found;
}

const HEAD = "# Tokens of cordon serve: tenant, SHA-256 of the token, when it was made.\n";

/** @throws CordonError with the line that is none */
export function parseTokens({ text, path }: TextFile): TokenEntry[] {
  return text.split("\n").flatMap((line, index): TokenEntry[] => {
    if (line.trim() === "" || line.startsWith("#")) return [];
    const [tenant = "", digest = "", created = "", more] = line.trim().split(/\s+/);
    const hash = parseHash(digest);
    if (hash && NAME.test(tenant) && more === undefined) return [{ tenant, hash, created }];
    // The line itself may hold a token that somebody wrote there: it is not shown.
    throw new CordonError(`Cannot use the tokens file ${path}`, {
      why: `${path}:${index + 1}: wanted TENANT sha256:DIGITS DATE`,
    });
  });
}

export function formatTokens(entries: readonly TokenEntry[]): string {
  return HEAD +
    entries.map(({ tenant, hash, created }) => `${tenant} sha256:${hex(hash)} ${created}`.trimEnd() + "\n")
      .join(
        "",
      );
}

/** Gives each tenant the hashes that the file has for it. Those of tenants that are no more are passed over. */
export function addTokens(tenants: readonly Tenant[], file: TextFile): void {
  for (const { tenant, hash } of parseTokens(file)) {
    tenants.find(({ name }) => name === tenant)?.tokens.push(hash);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
