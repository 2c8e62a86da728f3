import { defineCommand } from "../lib/cli/command.ts";
import { parseChoice, parsePath, refuse } from "../lib/cli/values.ts";
import { UsageError } from "../lib/errors.ts";
import type { EngineName, ListenAddress } from "../lib/serve/config/types.ts";

/** What stands on the command line goes before what stands in the configuration. */
export interface ServeOptions {
  listen: ListenAddress[];
  tls?: { certificate: string; key: string };
  /** The configuration file. */
  config?: string;
  engine?: EngineName | "auto";
  /** A new token is made and printed when there is no other. */
  tokenFile?: string;
  /** False: no token is asked for. */
  auth: boolean;
  user?: string;
  state?: string;
}

const ENGINES = ["namespaces", "docker", "auto"] as const;

export const serve = defineCommand<ServeOptions>({
  name: "serve",
  summary: "Run commands for HTTP clients (Dockyter), each in a sandbox",
  description:
    "Answers GET /health and POST /execute as Dockyter's API backend does. Without a configuration it runs programs of " +
    "this machine under the image name host, with no network and nothing of the home directory, and containers when " +
    "Docker's socket answers. Each command has 60 s, 512 MiB, one processor, 128 processes and 1 MiB of output; what " +
    "this machine cannot enforce is named at the start.\n\n" +
    "The token stands in the URL, as its password (http://me:TOKEN@HOST:PORT) or in its path (http://HOST:PORT/TOKEN). " +
    "Every execution is recorded in the state directory. SIGHUP reads the configuration again, SIGTERM ends the server " +
    "when what runs is answered, a second one at once.\n\n" +
    "cordon serve token makes and takes back tokens; cordon serve check-policy says what the configuration allows.",
  usage: ["[OPTION…]"],
  examples: [
    { text: "On the usual port, with a new token", command: "cordon serve" },
    { text: "With a token of yours", command: "cordon serve --listen 127.0.0.1:9000 --token-file token" },
    { text: "For a class", command: "cordon serve --config /etc/cordon/serve.toml" },
  ],
  options: [
    {
      long: "listen",
      value: "HOST:PORT|unix:PATH",
      repeat: true,
      default: "127.0.0.1:8377",
      complete: "none",
      description: "Where to listen; port 0 picks a free one",
    },
    { long: "tls-cert", value: "FILE", complete: "file", description: "Certificate for HTTPS, in PEM" },
    { long: "tls-key", value: "FILE", complete: "file", description: "Its key, in PEM" },
    { long: "config", value: "FILE", complete: "file", description: "Tenants, policies and limits, in TOML" },
    {
      long: "engine",
      value: "NAME",
      default: "auto",
      complete: { words: ENGINES },
      description: "namespaces, docker, or auto: both, Docker if its socket answers",
    },
    {
      long: "token-file",
      value: "FILE",
      complete: "file",
      default: "a new token, printed once on stderr",
      description: "File that holds the token",
    },
    {
      long: "no-auth",
      description: "Ask for no token; on loopback addresses and Unix sockets only",
    },
    {
      long: "user",
      value: "NAME",
      complete: "none",
      description: "Become this user after the start; as root the namespaces engine needs it",
    },
    {
      long: "state",
      value: "DIR",
      complete: "dir",
      default: "$STATE_DIRECTORY, /var/lib/cordon for root, else $XDG_STATE_HOME/cordon",
      description: "Directory of the record of executions",
    },
  ],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read(parsed) {
    const path = (name: string) => {
      const text = parsed.one(name);
      return text === undefined ? undefined : parsePath(`--${name}`, text);
    };
    const [certificate, key] = [path("tls-cert"), path("tls-key")];
    if ((certificate === undefined) !== (key === undefined)) {
      throw new UsageError("--tls-cert and --tls-key belong together");
    }
    const engine = parsed.one("engine"), user = parsed.one("user");
    const [tokenFile, config, state] = [path("token-file"), path("config"), path("state")];
    const auth = !parsed.flag("no-auth");
    const listen = parsed.all("listen").map(parseListen);
    const open = listen.find((address) => "hostname" in address && !isLoopback(address.hostname));
    if (!auth && open && "hostname" in open) {
      throw new UsageError(`--no-auth and --listen ${open.hostname}:${open.port} exclude each other`, {
        why: "without tokens it listens on loopback addresses and Unix sockets only",
      });
    }
    if (!auth && tokenFile !== undefined) {
      throw new UsageError("--no-auth and --token-file exclude each other");
    }
    return {
      listen,
      ...(certificate !== undefined && { tls: { certificate, key: key! } }),
      ...(config !== undefined && { config }),
      ...(engine !== undefined && { engine: parseChoice("--engine", engine, ENGINES) }),
      ...(tokenFile !== undefined && { tokenFile }),
      auth,
      ...(user !== undefined && { user }),
      ...(state !== undefined && { state }),
    };
  },
  load: () => import("./serve.ts"),
});

function parseListen(text: string): ListenAddress {
  if (text.startsWith("unix:/")) return { unix: text.slice("unix:".length) };
  const match = /^(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!(port <= 65535)) throw refuse("--listen", text, "HOST:PORT, [IPV6]:PORT or unix:/PATH");
  return { hostname: match![1]!.replace(/[[\]]/g, ""), port };
}

/** Names and addresses that only this machine can reach. */
function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}
