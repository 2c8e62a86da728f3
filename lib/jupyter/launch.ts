/**
 * What a launch adds to a Spec: the kernel's own connection file inside, and the relay from Jupyter's sockets to the
 * kernel's. The kernel needs no network: its sockets are files of the sandbox.
 */
import { CordonError } from "../errors.ts";
import { listenTcp, listenUnix } from "../host/listen.ts";
import type { Forward } from "../spec/spec.ts";
import { CHANNELS, type Connection, insideConnection, insidePort, ipcPath } from "./connection.ts";

/** Directory inside for the connection file and the sockets. */
const INSIDE = "/run/cordon";
const FILE = `${INSIDE}/kernel.json`;
const SOCKETS = `${INSIDE}/kernel`;
/** The launch before ours may still be giving up its ports (restart); a launch that fails does so within 2 s. */
const PATIENCE_MS = 1500;

export type Transport = "ipc" | "tcp";

/** Languages whose ZeroMQ (JeroMQ, NetMQ) has no ipc. */
const WITHOUT_IPC = /^(java|kotlin|scala|clojure|groovy|csharp|fsharp)$/i;

/** The transport for a kernel of this language when nothing is said. */
export function transportFor(language: string | undefined): Transport {
  return language !== undefined && WITHOUT_IPC.test(language) ? "tcp" : "ipc";
}

export interface InsideFiles {
  files: { path: string; content: string }[];
  /** The kernel's argv, its connection file replaced. */
  command: string[];
}

/** The connection file the kernel gets, and its command line naming that. */
export function insideFiles(
  connection: Connection,
  { transport, file, command }: { transport: Transport; file: string; command: string[] },
): InsideFiles {
  const content = insideConnection(connection, {
    transport,
    ip: transport === "ipc" ? SOCKETS : "127.0.0.1",
  });
  return {
    files: [{ path: FILE, content }],
    command: command.map((word) => withFile(word, file)),
  };
}

/** Some kernels take the file in an option of one word (`--connection-file=…`). A short name may be part of any word. */
function withFile(word: string, file: string): string {
  if (file.startsWith("/")) return word.replaceAll(file, FILE);
  return word === file || word.endsWith(`=${file}`) ? word.slice(0, -file.length) + FILE : word;
}

/**
 * Listens where Jupyter expects the kernel, on this machine alone. `socketBase` is the common part of the kernel's socket
 * paths as the relay sees them. Throws {@link CordonError} for a port that is taken.
 */
export function listenForKernel(
  connection: Connection,
  { transport, socketBase = SOCKETS }: { transport: Transport; socketBase?: string },
): Forward[] {
  return CHANNELS.map((channel) => {
    const outside = connection.ports[channel], inside = insidePort(channel, transport);
    const listenFd = connection.transport === "ipc"
      ? listenUnix(ipcPath(connection.ip, outside))
      : listenTcp(loopback(connection.ip), outside, { patienceMs: PATIENCE_MS }).fd;
    const to: Forward["to"] = transport === "ipc"
      ? { unix: ipcPath(socketBase, inside), or: ipcPath(socketBase, inside, ":") }
      : { host: "127.0.0.1", port: inside };
    return { listenFd, to, absent: "hold" };
  });
}

/** For a kernel that speaks TCP alone, where only files are reached from outside: its ports and a socket for each. */
export function portsAndSockets(): { path: string; port: number }[] {
  return CHANNELS.map((channel) => ({
    path: ipcPath(SOCKETS, insidePort(channel, "ipc")),
    port: insidePort(channel, "tcp"),
  }));
}

/** A kernel is for its own machine: "any address" is narrowed, another one is refused. */
function loopback(ip: string): string {
  if (ip === "0.0.0.0" || ip === "*" || ip === "localhost") return "127.0.0.1";
  if (ip.startsWith("127.") || ip === "::1") return ip;
  throw new CordonError(`The client expects the kernel at ${ip}`, {
    why: "cordon listens for kernels on the loopback interface only: whoever reaches the port can run code",
    hint: "set c.KernelManager.ip = '127.0.0.1' in the Jupyter configuration",
  });
}
