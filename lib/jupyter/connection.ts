/**
 * Jupyter's connection file: where the client expects the kernel's five sockets. Read here, never written; the kernel
 * gets a copy of its own in which the sockets lie inside the sandbox.
 */
import { CordonError } from "../errors.ts";

/** The five sockets, as the keys `NAME_port` of a connection file call them. */
export const CHANNELS = ["shell", "iopub", "stdin", "control", "hb"] as const;
export type Channel = typeof CHANNELS[number];

export interface Connection {
  transport: "tcp" | "ipc";
  /** An address, or for ipc the common part of the sockets' paths. */
  ip: string;
  ports: Record<Channel, number>;
  /** Everything the file holds; what is not about sockets passes on unchanged (key, signature_scheme, …). */
  members: Record<string, unknown>;
}

/** Reads the text of a connection file. Throws {@link CordonError} for what is not one. */
export function parseConnection(text: string, file: string): Connection {
  let members: unknown;
  try {
    members = JSON.parse(text);
  } catch (cause) {
    throw new CordonError(`Connection file ${file} is not JSON`, { why: (cause as Error).message, cause });
  }
  if (typeof members !== "object" || members === null || Array.isArray(members)) {
    throw new CordonError(`Connection file ${file} is not a JSON object`);
  }
  const fields = members as Record<string, unknown>;
  const transport = fields["transport"] ?? "tcp";
  if (transport !== "tcp" && transport !== "ipc") {
    throw new CordonError(`Connection file ${file} has transport ${JSON.stringify(transport)}`, {
      why: "cordon carries tcp and ipc",
    });
  }
  const ip = fields["ip"] ?? (transport === "tcp" ? "127.0.0.1" : "kernel-ipc");
  if (typeof ip !== "string") {
    throw new CordonError(`Connection file ${file} has an "ip" that is not a string`);
  }
  const ports = {} as Record<Channel, number>;
  for (const channel of CHANNELS) {
    const port = fields[`${channel}_port`];
    if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65535) {
      throw new CordonError(`Connection file ${file} has no usable ${channel}_port`, {
        why: port === undefined
          ? "a client that lets the kernel choose its ports (kernel protocol 5.6, registration file) is not supported"
          : `it is ${JSON.stringify(port)}; a port is 1 to 65535`,
        hint: port === undefined
          ? "use a kernel manager that writes the ports, such as jupyter_client's default"
          : undefined,
      });
    }
    ports[channel] = port;
  }
  return { transport, ip, ports, members: fields };
}

/** Path of a channel's ipc socket; older kernels put a colon between. */
export function ipcPath(ip: string, port: number, separator: "-" | ":" = "-"): string {
  return `${ip}${separator}${port}`;
}

/**
 * First port of a kernel that speaks TCP inside. Its network is its own; but a relay that looks whether the kernel
 * listens yet connects from a port of the ephemeral range (32768 to 60999: ip(7), ip_local_port_range), which must not
 * be one that the kernel is about to take.
 */
const FIRST_PORT = 20001;

/** Port number, real or part of an ipc name, of a channel inside. */
export function insidePort(channel: Channel, transport: Connection["transport"]): number {
  return CHANNELS.indexOf(channel) + (transport === "ipc" ? 1 : FIRST_PORT);
}

/** The text of the kernel's own connection file; `ip` is the common part of its sockets' paths, or an address. */
export function insideConnection(
  connection: Connection,
  { transport, ip }: { transport: Connection["transport"]; ip: string },
): string {
  const members: Record<string, unknown> = { ...connection.members, transport, ip };
  for (const channel of CHANNELS) members[`${channel}_port`] = insidePort(channel, transport);
  return JSON.stringify(members, null, 1);
}
