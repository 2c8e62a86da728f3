/** `cordon run --api`: the command goes to a server, and what it printed comes back. */
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { type ApiAddress, parseApiAddress, withToken } from "../lib/api/address.ts";
import { execute, type Executed } from "../lib/api/dockyter.ts";
import { hasExecutions } from "../lib/api/executions.ts";
import { commandLine, quoteWords } from "../lib/api/quote.ts";
import { Api } from "../lib/api/request.ts";
import { readToken } from "../lib/api/token.ts";
import { OF_SERVE, remoteLine } from "../lib/dockerargs/remote.ts";
import { parseRun, type RunFacts } from "../lib/dockerargs/run.ts";
import { CordonError, EXIT, UsageError } from "../lib/errors.ts";
import type { Host } from "../lib/host/host.ts";
import type { AttachLine } from "./run-attach.ts";
import type { Backend } from "./run-backend.ts";
import { attachTo, runAttached, runDetached } from "./run-execution.ts";
import { Interrupted, Interruption } from "./run-signals.ts";
import type { RunOptions } from "./run.options.ts";

type ApiBackend = Extract<Backend, { kind: "api" }>;

export async function runByApi(
  options: RunOptions,
  { backend, host, facts }: { backend: ApiBackend; host: Host; facts: RunFacts },
): Promise<number> {
  using api = new Api(addressOf(backend), host.env);
  const { client } = parseRun(options.dockerArgs, facts);
  const { detach, interactive, tty } = client;
  const asksForMore = detach || interactive || tty;
  const modern = await hasExecutions(api, { needed: asksForMore });
  const { words, command } = remoteLine(options.dockerArgs, facts, modern ? OF_SERVE : []);
  const args = quoteWords(words);
  const cmd = options.script ? await scriptText(command) : given(command);
  if (modern && !detach && (interactive || tty)) {
    const { runInteractive } = await import("./run-interactive.ts");
    return await runInteractive(api, { command: cmd, args }, { client, parent: options.parent });
  }
  return await interruptible(options, async (signal) => {
    if (!modern) {
      const line = typeof cmd === "string" ? cmd : commandLine(cmd);
      return tell(await execute(api, { cmd: line, args }, signal));
    }
    // As with docker, its input is for whoever attaches to it.
    const later = interactive || tty ? { interactive: { tied: false, ...(tty && { tty }) } } : {};
    const asked = { command: cmd, args, ...later };
    return await (detach ? runDetached : runAttached)(api, asked, signal);
  });
}

/** `--attach ID` */
export async function attachByApi(
  options: RunOptions,
  { backend, host, attached: { id, client } }: { backend: ApiBackend; host: Host; attached: AttachLine },
): Promise<number> {
  using api = new Api(addressOf(backend), host.env);
  if (!await hasExecutions(api, { needed: true })) {
    throw new CordonError(`Cannot attach to ${id}`, {
      why: `The API at ${api.address.shown} keeps no executions: it is no cordon serve`,
    });
  }
  if (client.interactive) {
    const { attachInteractive } = await import("./run-interactive.ts");
    const status = await attachInteractive(api, id, { client, parent: options.parent });
    if (status !== undefined) return status;
  }
  return await interruptible(options, (signal) => attachTo(api, id, signal));
}

/** With a signal the request is given up; a server that is worth its name ends what it ran. */
async function interruptible(
  { parent }: RunOptions,
  work: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  using interruption = new Interruption(parent);
  try {
    return await work(interruption.signal);
  } catch (error) {
    if (error instanceof Interrupted) return error.status;
    throw error;
  }
}

/** With the token of its file. */
export function addressOf({ url, from, tokenFile }: ApiBackend): ApiAddress {
  const address = parseApiAddress(from, url);
  return tokenFile === undefined ? address : withToken(address, readToken(tokenFile));
}

function given(command: string[]): string[] {
  if (command.length > 0) return command;
  throw new UsageError("cordon run --api needs CMD, or --script -", {
    why: "An API is sent a command; it does not start the image's own",
  });
}

async function scriptText(args: readonly string[]): Promise<string> {
  const bytes = await new Response(Deno.stdin.readable).bytes();
  let script: string;
  try {
    script = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CordonError("Cannot send the script to an API", { why: "It is not UTF-8", cause });
  }
  return args.length === 0 ? script : `set -- ${quoteWords(args)}\n${script}`;
}

function tell({ stdout, stderr, exitCode, truncated }: Executed): number {
  writeStdout(stdout);
  writeStderr(stderr);
  if (truncated) writeStderr("cordon: the server cut the output\n");
  // Nothing ran: stderr says why. A server that tells no status leaves the original's client with none, too.
  if (exitCode === null) return EXIT.cordon;
  return Math.min(Math.max(exitCode ?? 0, 0), 255);
}
