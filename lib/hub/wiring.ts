/**
 * What JupyterHub tells a single-user server about its port, and the same said to a server that listens elsewhere:
 * `--ip` and `--port` among the arguments (Hub 1, batchspawner up to 1.2), the variable JUPYTERHUB_SERVICE_URL since
 * Hub 2. Pure.
 */
import { CordonError } from "../errors.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What was found; what is absent was not said. */
export interface HubWiring {
  /** The port the Hub will ask for. */
  port?: number;
  /** Where it will ask for it: as typed, `""` for every address. */
  address?: string;
  /** The command without the options that tell a port, and its `--ip` turned to the loopback. */
  command: string[];
  /** A port was among the arguments, so the server is to be told there. */
  byArgument: boolean;
}

const SERVICE_URL = "JUPYTERHUB_SERVICE_URL";
/** Variables that name what the server must reach. */
const REACH = ["JUPYTERHUB_API_URL", "JUPYTERHUB_ACTIVITY_URL"];

/** Reads the arguments and the environment; what stands in the arguments comes first, the last of a kind counts. */
export function readHubWiring(command: readonly string[], env: Environment): HubWiring {
  const words = [...command], rest: string[] = [];
  let port: number | undefined, address: string | undefined, byArgument = false;
  while (words.length > 0) {
    const word = words.shift()!;
    const [, name, joined] = /^--(port|ip)(?:=(.*))?$/s.exec(word) ?? [];
    const value = joined ?? words[0];
    // `--port={guest-port}` and the like are the server's own affair.
    if (name === undefined || value === undefined || (name === "port" && !/^\d+$/.test(value))) {
      rest.push(word);
      continue;
    }
    if (joined === undefined) words.shift();
    if (name === "ip") {
      address = value;
      rest.push("--ip=127.0.0.1");
    } else {
      byArgument = true;
      if (Number(value) > 0) port = checkedPort(Number(value), word);
    }
  }
  const url = serviceUrl(env);
  port ??= url && (url.port || undefined);
  address ??= url?.host;
  return {
    command: rest,
    byArgument,
    ...(port !== undefined && { port }),
    ...(address !== undefined && { address }),
  };
}

/** The command and the variables that tell the server to listen on its own loopback. */
export function tellGuest(
  wiring: HubWiring,
  { env, guestPort }: { env: Environment; guestPort: number },
): { command: string[]; env: Record<string, string> } {
  const url = serviceUrl(env);
  const told = wiring.byArgument || !url;
  // A command that places the port itself is left to do so.
  const placed = wiring.command.some((word) => word.includes("{guest-port}"));
  return {
    command: told && !placed ? [...wiring.command, `--port=${guestPort}`] : wiring.command,
    env: url ? { [SERVICE_URL]: `${url.scheme}://127.0.0.1:${guestPort}${url.rest}` } : {},
  };
}

/** `HOST:PORT` of the Hub's API and of where activity is reported. */
export function hubDestinations(env: Environment): string[] {
  const found = REACH.flatMap((name) => {
    const text = env[name];
    // A Hub on a Unix socket is reached through the file system.
    if (!text || /^https?\+unix:/.test(text)) return [];
    const { scheme, host, port } = split(name, text);
    if (host === "") throw malformed(name, text);
    return [`${host.includes(":") ? `[${host}]` : host}:${port ?? (scheme === "https" ? 443 : 80)}`];
  });
  return [...new Set(found)];
}

interface ServiceUrl {
  scheme: string;
  /** Without brackets. */
  host: string;
  /** 0 when the URL says so. */
  port: number;
  rest: string;
}

/** A URL without a port means what it means to the server: 80 or 443. */
function serviceUrl(env: Environment): ServiceUrl | undefined {
  const text = env[SERVICE_URL];
  if (!text) return undefined;
  const { port, ...url } = split(SERVICE_URL, text);
  return { ...url, port: port ?? (url.scheme === "https" ? 443 : 80) };
}

/** Not `new URL`: the Hub writes an empty host for "every address". */
function split(name: string, text: string): Omit<ServiceUrl, "port"> & { port: number | undefined } {
  const match = /^(https?):\/\/(?:\[([0-9a-f:.]+)\]|([^:/?#@[\]\s]*))(?::(\d{1,5}))?([/?#].*)?$/is.exec(text);
  if (!match) throw malformed(name, text);
  const port = match[4] === undefined ? undefined : Number(match[4]);
  if (port !== undefined && port > 65535) throw malformed(name, text);
  return { scheme: match[1]!.toLowerCase(), host: match[2] ?? match[3] ?? "", port, rest: match[5] ?? "" };
}

function malformed(name: string, text: string): CordonError {
  return new CordonError(`The variable ${name} is malformed: ${JSON.stringify(text)}`, {
    why: "JupyterHub sets it to a URL such as http://127.0.0.1:8081/hub/api",
  });
}

function checkedPort(port: number, word: string): number {
  if (port <= 65535) return port;
  throw new CordonError(`${word} among the program's arguments names no port`, {
    why: "a port is 1 to 65535",
  });
}
