/** Why nothing answers at an endpoint, found out by looking, so that the hint fits. */

import { dirname } from "node:path";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";
import { UnreachableError } from "./errors.ts";
import type { ErrorDetails } from "../errors.ts";

/** sun_path of unix(7) holds 108 bytes, the terminating NUL included. */
const MAX_SOCKET_PATH = 107;

/** The error for a connection that could not be made. */
export async function unreachable(endpoint: Endpoint, error: unknown): Promise<UnreachableError> {
  const details = endpoint.kind === "unix"
    ? await explainSocket(endpoint.path, error)
    : explainTcp(endpoint.tls !== undefined, error);
  const from = endpoint.origin === "default" ? "" : ` (from ${endpoint.origin})`;
  return new UnreachableError(`Cannot connect to the engine at ${formatEndpoint(endpoint)}${from}`, {
    ...details,
    cause: error,
  });
}

async function explainSocket(path: string, error: unknown): Promise<ErrorDetails> {
  if (new TextEncoder().encode(path).length > MAX_SOCKET_PATH) {
    return { why: `The path is longer than the ${MAX_SOCKET_PATH} bytes a Unix socket's address holds` };
  }
  if (error instanceof Deno.errors.NotFound) {
    return {
      why: "There is no such socket: no engine is running, or it listens elsewhere",
      hint: await startHint(path),
    };
  }
  if (error instanceof Deno.errors.ConnectionRefused) {
    const info = await look(path);
    if (info && !info.isSocket) return { why: "That is no socket" };
    return {
      why: "The socket is there but nothing listens on it: the engine is not running",
      hint: await startHint(path),
    };
  }
  if (error instanceof Deno.errors.PermissionDenied) return await explainDenied(path);
  return { why: words(error) };
}

async function explainDenied(path: string): Promise<ErrorDetails> {
  const info = await look(path);
  if (!info) return { why: `Permission denied: ${dirname(path)} may not be searched by this user` };
  const why = "Permission denied on the socket";
  const group = await groupOf(info.gid);
  if (!group || ((info.mode ?? 0) & 0o020) === 0) return { why };
  const listed = await ownName();
  if (listed !== undefined && group.members.includes(listed)) {
    return {
      why: `${why}: ${listed} is a member of group ${group.name}, but was not yet when this session began`,
      hint: `newgrp ${group.name}`,
    };
  }
  return {
    why: `${why}: it belongs to group ${group.name}, which this user is not in (membership equals root)`,
    ...(listed === undefined
      ? {}
      : { hint: `sudo usermod -aG ${group.name} ${listed}    # then log in again` }),
  };
}

/** How to start the engine of a well-known socket; undefined unless systemd runs here and has the unit. */
async function startHint(path: string): Promise<string | undefined> {
  const unit = /\/podman\/podman\.sock$/.test(path)
    ? "podman.socket"
    : /\/docker\.sock$/.test(path)
    ? "docker"
    : "";
  if (unit === "" || !await exists("/run/systemd/system")) return undefined;
  const user = path.startsWith("/run/user/");
  const file = unit === "docker" ? "docker.service" : unit;
  const directories = user
    ? ["/etc/systemd/user", "/usr/lib/systemd/user"]
    : ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"];
  for (const directory of directories) {
    if (await exists(`${directory}/${file}`)) {
      return user ? `systemctl --user start ${unit}` : `sudo systemctl start ${unit}`;
    }
  }
  return undefined;
}

function explainTcp(secure: boolean, error: unknown): ErrorDetails {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return { why: "Connection refused: nothing listens there" };
  }
  const text = words(error);
  if (secure && /InvalidContentType|corrupt message/.test(text)) {
    return { why: `${text}; the port answers, but not with TLS` };
  }
  return { why: text };
}

async function groupOf(gid: number | null): Promise<{ name: string; members: string[] } | undefined> {
  for (const line of await lines("/etc/group")) {
    const [name, , id, members] = line.split(":");
    if (name && id !== undefined && Number(id) === gid) return { name, members: (members ?? "").split(",") };
  }
  return undefined;
}

async function ownName(): Promise<string | undefined> {
  const uid = Deno.uid();
  for (const line of await lines("/etc/passwd")) {
    const [name, , id] = line.split(":");
    if (name && id !== undefined && Number(id) === uid) return name;
  }
  return undefined;
}

async function lines(path: string): Promise<string[]> {
  return (await exists(path)) ? (await Deno.readTextFile(path)).split("\n") : [];
}

async function look(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    // Only looked at to explain another error: what cannot be seen is left out of the explanation.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return await look(path) !== undefined;
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
