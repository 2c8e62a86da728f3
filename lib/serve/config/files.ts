/** The configuration and the tokens on disk: who may have written them, and how they are changed. */
import { posix } from "node:path";
import { CordonError, reasonOf } from "../../errors.ts";
import { currentDirectory } from "../../host/fs.ts";
import type { Host } from "../../host/host.ts";
import { readConfig } from "./read.ts";
import { reloaded } from "./reload.ts";
import { formatTokens, parseTokens, type TokenEntry } from "./tokens.ts";
import type { ServeConfig } from "./types.ts";

const OTHERS_WRITE = 0o022;

/** Where the configuration is looked for when none is named. Never the working directory: that is a student's. */
export function usualConfigPath({ uid, env, home }: Pick<Host, "uid" | "env" | "home">): string {
  if (uid === 0) return "/etc/cordon/serve.toml";
  const base = env["XDG_CONFIG_HOME"];
  return posix.join(base?.startsWith("/") ? base : posix.join(home, ".config"), "cordon/serve.toml");
}

/** The file of tokens beside a configuration that is not there. */
export function usualTokensPath(configPath: string): string {
  return posix.join(posix.dirname(configPath), "tokens");
}

/**
 * Reads a configuration and the tokens it names. A tokens file that is not there has no tokens.
 *
 * @throws CordonError for what cannot be read, is wrong, or could have been written by somebody else
 */
export function loadConfig(named: string): ServeConfig {
  const path = absolute(named);
  const text = readTrusted(path, "configuration");
  const { tokens } = readConfig(text, path);
  return readConfig(
    text,
    path,
    tokens === undefined ? undefined : { path: tokens, text: tokensText(tokens) },
  );
}

/** A name on the command line begins at the working directory. */
export function absolute(path: string): string {
  return path.startsWith("/") ? posix.normalize(path) : posix.join(currentDirectory() ?? "/", path);
}

/** The same again for a server that runs. @throws CordonError when it is to stay as it is */
export function reloadConfig(old: ServeConfig): ServeConfig {
  if (old.path === undefined) {
    throw new CordonError("There is no configuration to read again", {
      why: "The server was started without one",
    });
  }
  const text = readTrusted(old.path, "configuration");
  const tokens = old.tokens === undefined ? undefined : { path: old.tokens, text: tokensText(old.tokens) };
  return reloaded(old, text, tokens);
}

/** Whether there is a configuration. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new CordonError(`Cannot see ${path}`, { why: reasonOf(error), cause: error });
  }
}

/** What a tokens file holds; nothing when there is none. @throws CordonError when somebody else could have written it */
export function tokensText(path: string): string {
  return exists(path) ? readTrusted(path, "tokens file") : "";
}

/** What was opened is what was looked at: another file under the same name a moment later is not read. */
function readTrusted(path: string, what: string): string {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (cause) {
    throw new CordonError(`Cannot read the ${what} ${path}`, { why: reasonOf(cause), cause });
  }
  using _ = file;
  const { isFile, mode, uid, size } = file.statSync();
  if (!isFile) throw new CordonError(`The ${what} ${path} is not a file`);
  if (uid !== 0 && uid !== Deno.uid()) {
    throw new CordonError(`The ${what} ${path} belongs to user ${uid}`, {
      why: "Whoever writes it says what runs here: it must be root's or the server's own",
    });
  }
  if (((mode ?? 0) & OTHERS_WRITE) !== 0) {
    throw new CordonError(`The ${what} ${path} can be written by others`, {
      why: `Its mode is ${((mode ?? 0) & 0o777).toString(8).padStart(4, "0")}`,
      hint: `chmod go-w ${path}`,
    });
  }
  const bytes = new Uint8Array(size);
  let length = 0;
  for (let got = 1; got !== 0 && length < size; length += got) {
    got = file.readSync(bytes.subarray(length)) ?? 0;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length));
  } catch (cause) {
    throw new CordonError(`Cannot use the ${what} ${path}`, { why: "It is not UTF-8", cause });
  }
}

/**
 * Changes the tokens file: its successor is written beside it and takes its name, so that a server never reads half of
 * one. Changes at the same time wait for one another.
 */
export function changeTokens(
  path: string,
  change: (entries: TokenEntry[]) => TokenEntry[],
  { like }: { like?: string } = {},
): TokenEntry[] {
  const directory = posix.dirname(path);
  try {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    using lock = Deno.openSync(directory, { read: true });
    lock.lockSync(true);
    const entries = change(parseTokens({ path, text: tokensText(path) }));
    const { mode, uid, gid } = accessOf(exists(path) ? path : like);
    const next = `${path}.${crypto.randomUUID()}`;
    try {
      Deno.writeTextFileSync(next, formatTokens(entries), { createNew: true, mode: 0o600 });
      if (uid !== undefined && Deno.uid() === 0) Deno.chownSync(next, uid, gid ?? 0);
      Deno.chmodSync(next, mode);
      Deno.renameSync(next, path);
    } catch (error) {
      try {
        Deno.removeSync(next);
      } catch (gone) {
        if (!(gone instanceof Deno.errors.NotFound)) throw gone;
      }
      throw error;
    }
    return entries;
  } catch (cause) {
    if (cause instanceof CordonError) throw cause;
    throw new CordonError(`Cannot write the tokens file ${path}`, { why: reasonOf(cause), cause });
  }
}

/**
 * Who may read it: its owner, and the group of the configuration it belongs to where that one is kept from all others
 * (root writes it, the server's user reads it).
 */
function accessOf(path: string | undefined): { mode: number; uid?: number; gid?: number } {
  if (path === undefined || !exists(path)) return { mode: 0o600 };
  const { mode, uid, gid } = Deno.statSync(path);
  const grouped = ((mode ?? 0) & 0o044) === 0o040;
  return {
    mode: grouped ? 0o640 : 0o600,
    ...(uid !== null && { uid }),
    ...(gid !== null && { gid }),
  };
}

/** The entries of a tokens file; none when it is not there. */
export function readTokens(path: string): TokenEntry[] {
  return parseTokens({ path, text: tokensText(path) });
}
