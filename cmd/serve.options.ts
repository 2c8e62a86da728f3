import { defineCommand } from "../lib/cli/command.ts";
import { parsePath, refuse } from "../lib/cli/values.ts";

export interface ServeOptions {
  listen: { hostname: string; port: number };
  /** A new token is made and printed when absent. */
  tokenFile?: string;
}

export const serve = defineCommand<ServeOptions>({
  name: "serve",
  summary: "Run commands for HTTP clients (Dockyter), each in a sandbox",
  description:
    "Answers GET /health and POST /execute as Dockyter's API backend does. The image is always host: the programs of " +
    "this machine, with no network and nothing of the home directory. Each command has 60 s, 512 MiB, one processor, " +
    "128 processes and 1 MiB of output; what this machine cannot enforce is named at the start.\n\n" +
    "The token stands in the URL, as its password (http://me:TOKEN@HOST:PORT) or in its path (http://HOST:PORT/TOKEN). " +
    "There is no TLS: the server listens on the loopback interface only. SIGTERM ends it when what runs is answered.",
  usage: ["[OPTION…]"],
  examples: [
    { text: "On the usual port, with a new token", command: "cordon serve" },
    { text: "With a token of yours", command: "cordon serve --listen 127.0.0.1:9000 --token-file token" },
  ],
  options: [
    {
      long: "listen",
      value: "HOST:PORT",
      default: "127.0.0.1:8377",
      complete: "none",
      description: "Loopback address and port to listen on; port 0 picks a free one",
    },
    {
      long: "token-file",
      value: "FILE",
      complete: "file",
      default: "a new token, printed once on stderr",
      description: "File that holds the token",
    },
  ],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read(parsed) {
    const tokenFile = parsed.one("token-file");
    return {
      listen: parseLoopback(parsed.one("listen") ?? "127.0.0.1:8377"),
      ...(tokenFile !== undefined && { tokenFile: parsePath("--token-file", tokenFile) }),
    };
  },
  load: () => import("./serve.ts"),
});

function parseLoopback(text: string): ServeOptions["listen"] {
  const match = /^(localhost|127\.0\.0\.1|\[::1\]):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!(port <= 65535)) {
    throw refuse(
      "--listen",
      text,
      "127.0.0.1:PORT, [::1]:PORT or localhost:PORT; a proxy carries it further",
    );
  }
  return { hostname: match![1]!.replace(/[[\]]/g, ""), port };
}
