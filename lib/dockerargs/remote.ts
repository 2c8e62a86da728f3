/**
 * A `docker run` command line for a client of an API: what docker's client would read from this machine is read here,
 * and what cannot be had over there is refused. Pure but for the reader of files.
 */
import { UsageError } from "../errors.ts";
import { DOCKER_FLAGS, type DockerFlag } from "./flags.ts";
import { pairsOfFile } from "./keyvalue.ts";
import { parseBool } from "./numbers.ts";
import type { RunFacts } from "./run.ts";
import { scan, type Typed } from "./scan.ts";

/** Every execution of an API is removed at its end, carries every signal, and shows no progress. */
const IMPLIED = ["rm", "sig-proxy", "quiet", "disable-content-trust"];

/** What belongs to a client that stays beside its container. */
const STREAMS = ["attach", "detach", "detach-keys", "interactive", "tty", "cidfile"];

/** What a `cordon serve` has in a way of its own. */
export const OF_SERVE: readonly string[] = ["interactive", "tty", "detach"];

export interface RemoteLine {
  /** Options and image. */
  words: string[];
  /** What follows the image. */
  command: string[];
}

/** @param offered those of {@link STREAMS} that this API has in a way of its own; they are left out */
export function remoteLine(
  argv: readonly string[],
  { env, readFile }: Pick<RunFacts, "env" | "readFile">,
  offered: readonly string[] = [],
): RemoteLine {
  const { typed, rest } = scan(argv, DOCKER_FLAGS);
  const lookup = (name: string) => Object.hasOwn(env, name) ? env[name] : undefined;

  /** One flag as words of the new line; undefined when the words typed will do. */
  function rewritten({ flag, as, value }: Typed<DockerFlag>): string[] | undefined {
    if (IMPLIED.includes(flag.name)) return [];
    if (STREAMS.includes(flag.name)) {
      const off = flag.type === "bool" && !parseBool(as, value);
      if (off || offered.includes(flag.name)) return [];
      throw new UsageError(`Option ${as} is of no use with an API`, {
        why: "It is sent one command, and sends back what it printed" +
          (OF_SERVE.includes(flag.name) ? "; with a cordon serve there is more" : ""),
      });
    }
    switch (flag.name) {
      case "env": {
        if (value.includes("=")) return undefined;
        const set = lookup(value);
        return set === undefined ? [] : [`--env=${value}=${set}`];
      }
      case "env-file":
        return pairsOfFile(as, value, { readFile, lookup }).map((pair) => `--env=${pair}`);
      case "label-file":
        return pairsOfFile(as, value, { readFile }).map((pair) => `--label=${pair}`);
      case "volume":
        if (/^\.{1,2}(\/|:|$)/.test(value)) throw relative(as, value);
        return undefined;
      default:
        return undefined;
    }
  }

  // Files first: what is given by itself counts more.
  const inOrder = [...typed].sort((a, b) => Number(isFile(b)) - Number(isFile(a)));
  const words = inOrder.flatMap((one) => {
    const { flag, value, from, to } = one;
    // Of a cluster each letter is written on its own.
    const alone = typed.filter((other) => other.from === from).length === 1;
    return rewritten(one) ??
      (alone ? argv.slice(from, to) : [flag.type === "bool" ? `--${flag.name}` : `--${flag.name}=${value}`]);
  });
  const [image, ...command] = rest;
  return { words: image === undefined ? words : [...words, image], command };
}

function isFile({ flag }: Typed<DockerFlag>): boolean {
  return flag.name === "env-file" || flag.name === "label-file";
}

function relative(as: string, value: string): UsageError {
  return new UsageError(`Cannot use ${JSON.stringify(value)} for ${as} with an API`, {
    why: "Directories are the server's there: wanted an absolute path",
  });
}
