/** `cordon run --api`: the command goes to a server, and what it printed comes back. */
import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { type ApiAddress, parseApiAddress, withToken } from "../lib/api/address.ts";
import { execute, type Executed } from "../lib/api/dockyter.ts";
import { commandLine, quoteWords } from "../lib/api/quote.ts";
import { Api } from "../lib/api/request.ts";
import { readToken } from "../lib/api/token.ts";
import { remoteLine } from "../lib/dockerargs/remote.ts";
import type { RunFacts } from "../lib/dockerargs/run.ts";
import { CordonError, EXIT, UsageError } from "../lib/errors.ts";
import type { Host } from "../lib/host/host.ts";
import type { Backend } from "./run-backend.ts";
import { Interrupted, Interruption } from "./run-signals.ts";
import type { RunOptions } from "./run.options.ts";

type ApiBackend = Extract<Backend, { kind: "api" }>;

export async function runByApi(
  options: RunOptions,
  { backend, host, facts }: { backend: ApiBackend; host: Host; facts: RunFacts },
): Promise<number> {
  const { words, command } = remoteLine(options.dockerArgs, facts);
  const cmd = options.script ? await scriptText(command) : commandText(command);
  using api = new Api(addressOf(backend), host.env);
  using interruption = new Interruption(options.parent);
  try {
    return tell(await execute(api, { cmd, args: quoteWords(words) }, interruption.signal));
  } catch (error) {
    // The request is given up; a server that is worth its name ends what it ran.
    if (error instanceof Interrupted) return error.status;
    throw error;
  }
}

/** With the token of its file. */
export function addressOf({ url, from, tokenFile }: ApiBackend): ApiAddress {
  const address = parseApiAddress(from, url);
  return tokenFile === undefined ? address : withToken(address, readToken(tokenFile));
}

/** The contract has a line for a shell: each word reaches the program as it was typed. */
function commandText(command: readonly string[]): string {
  if (command.length > 0) return commandLine(command);
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
