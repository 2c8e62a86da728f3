/** `cordon serve token`: the tokens file of `cordon serve`. */
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { nearest } from "../lib/cli/suggest.ts";
import { CordonError } from "../lib/errors.ts";
import { gatherHost } from "../lib/host/host.ts";
import {
  absolute,
  changeTokens,
  exists,
  loadConfig,
  readTokens,
  usualConfigPath,
  usualTokensPath,
} from "../lib/serve/config/files.ts";
import { DEFAULT_NAME } from "../lib/serve/config/read.ts";
import { hashToken, newToken, type TokenEntry, tokenId } from "../lib/serve/config/tokens.ts";
import type { ServeTokenOptions } from "./serve-token.options.ts";

interface Place {
  config: string;
  tokens: string;
  tenants: string[];
}

export function run(options: ServeTokenOptions): number {
  const place = placeOf(options);
  switch (options.action) {
    case "add":
      return add(options.tenant!, place);
    case "remove":
      return remove(options.tenant!, options.id, place);
    case "list":
      return list(options.tenant, place);
  }
}

function placeOf({ config }: ServeTokenOptions): Place {
  const path = config === undefined ? usualConfigPath(gatherHost()) : absolute(config);
  if (config === undefined && !exists(path)) {
    return { config: path, tokens: usualTokensPath(path), tenants: [DEFAULT_NAME] };
  }
  const { tokens, tenants } = loadConfig(path);
  return {
    config: path,
    tokens: tokens ?? usualTokensPath(path),
    tenants: tenants.map(({ name }) => name),
  };
}

function add(tenant: string, { config, tokens, tenants }: Place): number {
  if (!tenants.includes(tenant)) {
    const meant = nearest(tenant, tenants);
    throw new CordonError(`There is no tenant ${JSON.stringify(tenant)} in ${config}`, {
      why: meant ? `Did you mean ${meant}?` : `There is ${tenants.join(", ")}`,
    });
  }
  const token = newToken();
  const entry = { tenant, hash: hashToken(token), created: new Date().toISOString().replace(/\.\d+/, "") };
  changeTokens(tokens, (entries) => [...entries, entry], { like: config });
  writeStderr(
    `cordon: token ${tokenId(entry.hash)} of ${tenant}, shown this once; its hash is in ${tokens}\n` +
      "A server that runs takes it after SIGHUP\n",
  );
  writeStdout(`${token}\n`);
  return 0;
}

function remove(tenant: string, id: string | undefined, { tokens }: Place): number {
  const goes = (entry: TokenEntry) =>
    entry.tenant === tenant && (id === undefined || tokenId(entry.hash) === id);
  let removed: TokenEntry[] = [];
  changeTokens(tokens, (entries) => {
    removed = entries.filter(goes);
    if (removed.length > 0) return entries.filter((entry) => !goes(entry));
    throw new CordonError(`There is no such token of ${JSON.stringify(tenant)} in ${tokens}`, {
      hint: "cordon serve token list",
    });
  });
  writeStderr(
    `cordon: removed ${removed.map(({ hash }) => tokenId(hash)).join(", ")} of ${tenant}\n` +
      "A server that runs refuses it after SIGHUP\n",
  );
  return 0;
}

function list(tenant: string | undefined, { tokens }: Place): number {
  const entries = readTokens(tokens).filter((entry) => tenant === undefined || entry.tenant === tenant);
  if (entries.length === 0) writeStderr("No tokens; cordon serve token add makes one\n");
  for (const { tenant, hash, created } of entries) {
    writeStdout(`${tokenId(hash)}  ${created.padEnd(20)}  ${tenant}\n`);
  }
  return 0;
}
