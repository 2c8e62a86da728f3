/** `cordon run --attach ID`: told apart from `--attach STREAM`. No I/O. */
import { DOCKER_FLAGS } from "../lib/dockerargs/flags.ts";
import { parseBool } from "../lib/dockerargs/numbers.ts";
import type { ClientOptions } from "../lib/dockerargs/run.ts";
import { scan } from "../lib/dockerargs/scan.ts";

export interface AttachLine {
  id: string;
  client: Pick<ClientOptions, "interactive" | "tty" | "sigProxy" | "detachKeys">;
}

/** What may stand beside it: docker attach has the same, but --no-stdin for -i=false. */
const BESIDE = ["interactive", "tty", "sig-proxy", "detach-keys"];

/** `--attach ID` and no image: an execution of an API. Of a container it names a stream. */
export function attachLine(dockerArgs: readonly string[]): AttachLine | undefined {
  const { typed, rest } = scan(dockerArgs, DOCKER_FLAGS);
  const [attach, ...others] = typed.filter(({ flag }) => flag.name === "attach");
  if (!attach || others.length > 0 || rest.length > 0) return undefined;
  if (typed.some((one) => one !== attach && !BESIDE.includes(one.flag.name))) return undefined;
  if (/^(stdin|stdout|stderr)$/i.test(attach.value)) return undefined;
  const last = (name: string) => typed.findLast(({ flag }) => flag.name === name);
  const bool = (name: string) => {
    const one = last(name);
    return one === undefined || parseBool(one.as, one.value);
  };
  const keys = last("detach-keys")?.value;
  return {
    id: attach.value,
    client: {
      interactive: bool("interactive"),
      // It has a terminal or has none; that was decided when it was begun.
      tty: false,
      sigProxy: bool("sig-proxy"),
      ...(keys !== undefined && { detachKeys: keys }),
    },
  };
}
