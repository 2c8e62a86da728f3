/** The proxy that requests of the runtime take to an address, for connections that are none. Pure. */
import { CordonError } from "../errors.ts";

export interface Proxy {
  hostname: string;
  port: number;
  /** Value of the header Proxy-Authorization. */
  authorization?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Upper case first, `ALL_PROXY` first, none for what `NO_PROXY` lists: as the runtime reads them.
 *
 * @throws CordonError for one that is not spoken to by HTTP
 */
export function proxyFor(url: URL, env: Environment): Proxy | undefined {
  const names = ["ALL_PROXY", url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY"];
  const text = names.map((name) => variable(env, name)).find((value) => value !== undefined);
  if (text === undefined || excepted(url.hostname, variable(env, "NO_PROXY") ?? "")) return undefined;
  const proxy = URL.parse(text.includes("://") ? text : `http://${text}`);
  // What else it holds may be a password.
  if (proxy?.protocol !== "http:") {
    throw new CordonError("Cannot open a WebSocket through the proxy that the environment names", {
      why: "Only one with an address http://HOST:PORT can be used for that",
    });
  }
  const { hostname, port, username, password } = proxy;
  const credentials = username === "" && password === ""
    ? undefined
    : btoa(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`);
  return {
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || 80),
    ...(credentials !== undefined && { authorization: `Basic ${credentials}` }),
  };
}

function variable(env: Environment, name: string): string | undefined {
  return env[name] || env[name.toLowerCase()] || undefined;
}

/** Names with what is below them, addresses, and networks such as 10.0.0.0/8. */
function excepted(hostname: string, list: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return list.toLowerCase().split(",").map((entry) => entry.trim()).some((entry) => {
    if (entry === "") return false;
    if (entry === "*") return true;
    const [network = "", bits] = entry.split("/");
    if (bits !== undefined) return within(name, network, Number(bits));
    const domain = entry.replace(/^\./, "");
    return name === domain || name.endsWith(`.${domain}`);
  });
}

function within(address: string, network: string, bits: number): boolean {
  const [a, b] = [numberOf(address), numberOf(network)];
  if (a === undefined || b === undefined || !(bits >= 0 && bits <= 32)) return false;
  const size = 2 ** (32 - bits);
  return Math.floor(a / size) === Math.floor(b / size);
}

/** An IPv4 address as a number. */
function numberOf(address: string): number | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return undefined;
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
