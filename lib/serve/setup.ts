/** From the command line and the configuration to what the server works with. */
import { CordonError, reasonOf } from "../errors.ts";
import type { Host } from "../host/host.ts";
import {
  exists,
  loadConfig,
  reloadConfig,
  tokensText,
  usualConfigPath,
  usualTokensPath,
} from "./config/files.ts";
import { DEFAULT_NAME, defaultConfig } from "./config/read.ts";
import { addTokens, hashToken, newToken } from "./config/tokens.ts";
import type { ServeConfig } from "./config/types.ts";
import { isPrivate } from "./config/values.ts";

const LEAST_TOKEN = 16;

/** What the command line says; it goes before the configuration. */
export interface Given extends Partial<Pick<ServeConfig, "tls" | "engine" | "user" | "state">> {
  listen: ServeConfig["listen"];
  config?: string;
  tokenFile?: string;
  auth: boolean;
}

export interface SetUp {
  config: ServeConfig;
  /** Made now, to be told once. */
  newToken?: string;
  /** The configuration and the command line read again. @throws CordonError when it is to stay as it is */
  again(): ServeConfig;
}

/** @throws CordonError */
export function setUp(given: Given, host: Host): SetUp {
  const path = given.config ?? usualConfigPath(host);
  const read = given.config !== undefined || exists(path) ? loadConfig(path) : undefined;
  const file = read ?? withoutFile(path);
  const again = () => read ? reloadConfig(read) : withoutFile(path);
  const hash = given.tokenFile === undefined ? undefined : hashToken(readToken(given.tokenFile));
  const config = override(file, given, hash && [hash]);
  if (!config.auth || config.tenants.some(({ tokens }) => tokens.length > 0)) {
    return { config, again: () => override(again(), given, hash && [hash]) };
  }
  if (read) {
    throw new CordonError(`The configuration ${path} has no token for anybody`, {
      hint: `cordon serve token add ${config.tenants[0]?.name ?? DEFAULT_NAME}`,
    });
  }
  const token = newToken();
  const hashes = [hashToken(token)];
  return {
    config: override(file, given, hashes),
    newToken: token,
    again: () => override(again(), given, hashes),
  };
}

/** For one tenant, with the tokens that `cordon serve token add` made. */
function withoutFile(configPath: string): ServeConfig {
  const config = defaultConfig();
  const path = usualTokensPath(configPath);
  addTokens(config.tenants, { path, text: tokensText(path) });
  return config;
}

function override(file: ServeConfig, given: Given, tokens: Uint8Array[] = []): ServeConfig {
  const { listen, tls, engine, user, state, auth } = given;
  const config: ServeConfig = {
    ...file,
    ...(listen.length > 0 && { listen }),
    ...(tls && { tls }),
    ...(engine && { engine }),
    ...(user !== undefined && { user }),
    ...(state !== undefined && { state }),
    auth: file.auth && auth,
    tenants: file.tenants.map((tenant) =>
      tenant.name === DEFAULT_NAME ? { ...tenant, tokens: [...tenant.tokens, ...tokens] } : tenant
    ),
  };
  if (tokens.length > 0 && !config.tenants.some(({ name }) => name === DEFAULT_NAME)) {
    throw new CordonError(`A token on the command line is for the tenant ${DEFAULT_NAME}`, {
      why: `The configuration has no such tenant, but ${config.tenants.map(({ name }) => name).join(", ")}`,
      hint: "cordon serve token add NAME",
    });
  }
  const open = config.listen.find((address) => !isPrivate(address));
  if (!config.auth && open && "hostname" in open) {
    throw new CordonError(`Cannot listen on ${open.hostname} without tokens`, {
      why: "Without them only loopback addresses and Unix sockets are listened on",
    });
  }
  return config;
}

function readToken(path: string): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path).trim();
  } catch (cause) {
    throw new CordonError(`The token file ${path} cannot be read`, { why: reasonOf(cause), cause });
  }
  if (/^[A-Za-z0-9._~-]+$/.test(text) && text.length >= LEAST_TOKEN) return text;
  throw new CordonError(`The token in ${path} cannot be used`, {
    why: `Wanted at least ${LEAST_TOKEN} letters, digits, dots, dashes, underscores or tildes, on one line`,
  });
}
