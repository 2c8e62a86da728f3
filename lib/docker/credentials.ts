/**
 * Registry credentials where `docker login` keeps them: `auths`, `credHelpers` and `credsStore` of the Docker
 * configuration file, helpers by the docker-credential-helpers protocol.
 */

import { join } from "node:path";
import { CordonError } from "../errors.ts";
import { isObject } from "../host/json.ts";
import { configDirectory, readConfig } from "./context.ts";
import type { EndpointFacts } from "./endpoint.ts";

/** What the engine takes in `X-Registry-Auth`. */
export interface RegistryAuth {
  username?: string;
  password?: string;
  /** Instead of a password: an OAuth refresh token. */
  identitytoken?: string;
  serveraddress: string;
}

/** The key of Docker Hub in configuration files and credential stores. */
const HUB_KEY = "https://index.docker.io/v1/";

/** The user name by which a helper says that its secret is an identity token. */
const TOKEN_USER = "<token>";

/**
 * Credentials for a registry, or undefined when none are kept: a helper named for that registry, else the store for
 * all, else the file itself.
 *
 * @param domain registry as in {@link parseReference}
 * @throws CordonError when a configured helper cannot be run or fails; its stderr is in the error, its output is not
 */
export async function registryAuth(
  domain: string,
  options: { facts: Pick<EndpointFacts, "env" | "home">; signal?: AbortSignal | undefined },
): Promise<RegistryAuth | undefined> {
  const directory = configDirectory(options.facts);
  const config = await readConfig(directory);
  const key = domain === "docker.io" ? HUB_KEY : domain;
  const helpers = isObject(config["credHelpers"]) ? config["credHelpers"] : {};
  const helper = helpers[key] ?? (key === HUB_KEY ? helpers["docker.io"] : undefined) ?? config["credsStore"];
  if (typeof helper === "string" && helper !== "") {
    const found = await askHelper(helper, key, options.signal);
    if (found) return found;
  }
  return fromFile(config["auths"], key, join(directory, "config.json"));
}

/** Value of the `X-Registry-Auth` header: JSON in the URL-safe alphabet of base64 (RFC 4648 section 5). */
export function encodeAuth(auth: RegistryAuth): string {
  const bytes = new TextEncoder().encode(JSON.stringify(auth));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

function fromFile(auths: unknown, key: string, path: string): RegistryAuth | undefined {
  if (!isObject(auths)) return undefined;
  // Old files have URLs where newer ones have host names.
  const name = key in auths ? key : Object.keys(auths).find((other) => hostOf(other) === hostOf(key));
  const entry = name === undefined ? undefined : auths[name];
  if (!isObject(entry)) return undefined;
  const { auth, identitytoken, username, password } = entry;
  if (typeof identitytoken === "string" && identitytoken !== "") return { identitytoken, serveraddress: key };
  if (typeof auth === "string" && auth !== "") {
    const decoded = decodeBase64(auth);
    const colon = decoded?.indexOf(":") ?? -1;
    if (decoded === undefined || colon < 1) {
      throw new CordonError(`Cannot use the credentials of ${key} in ${path}`, {
        why: "auth is not the base64 of USER:PASSWORD",
      });
    }
    // Docker ends the text with NULs in files written by old versions.
    const secret = decoded.slice(colon + 1).replace(/\0+$/, "");
    return { username: decoded.slice(0, colon), password: secret, serveraddress: key };
  }
  if (typeof username === "string" && typeof password === "string" && username !== "") {
    return { username, password, serveraddress: key };
  }
  return undefined;
}

async function askHelper(
  helper: string,
  key: string,
  signal?: AbortSignal,
): Promise<RegistryAuth | undefined> {
  const program = `docker-credential-${helper}`;
  const what = `Cannot get the credentials of ${key} from ${program}`;
  if (!/^[\w.-]+$/.test(helper)) throw new CordonError(what, { why: "That is no name of a program" });
  let result: Deno.CommandOutput;
  try {
    const child = new Deno.Command(program, {
      args: ["get"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      ...(signal ? { signal } : {}),
    }).spawn();
    const output = child.output();
    await tell(child.stdin, key);
    result = await output;
  } catch (error) {
    signal?.throwIfAborted();
    const why = error instanceof Deno.errors.NotFound
      ? "The Docker configuration names this helper, and it is not on PATH"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new CordonError(what, { why, cause: error });
  }
  signal?.throwIfAborted();
  const stdout = new TextDecoder().decode(result.stdout).trim();
  if (!result.success) {
    // The protocol's way of saying that it holds nothing for this registry.
    if (/^credentials not found in native keychain/.test(stdout)) return undefined;
    const said = new TextDecoder().decode(result.stderr).trim();
    throw new CordonError(what, { why: `It ended with status ${result.code}${said ? `: ${said}` : ""}` });
  }
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch (error) {
    throw new CordonError(what, { why: "Its output is not JSON", cause: error });
  }
  const { Username, Secret } = isObject(answer) ? answer : {};
  if (typeof Username !== "string" || typeof Secret !== "string") {
    throw new CordonError(what, { why: "Its output has no Username and Secret" });
  }
  if (Username === "" && Secret === "") return undefined;
  if (Username === TOKEN_USER) return { identitytoken: Secret, serveraddress: key };
  return { username: Username, password: Secret, serveraddress: key };
}

async function tell(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(`${text}\n`));
    await writer.close();
  } catch (error) {
    // A helper may end without reading, which a stream reports in several ways; its status and output tell the rest.
    if (!(error instanceof Error)) throw error;
  }
}

function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, "").split("/")[0] ?? key;
}

function decodeBase64(text: string): string | undefined {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)));
  } catch (error) {
    if (error instanceof DOMException) return undefined;
    throw error;
  }
}
