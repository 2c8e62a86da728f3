/** The keeper of a kernel's container, from the launcher's side. */
import { errnoText } from "../../../ffi/errno.ts";
import { lastErrno, libc } from "../../../ffi/libc.ts";
import { type Endpoint, formatEndpoint } from "../../docker/endpoint.ts";
import { CordonError } from "../../errors.ts";
import { encodeOs } from "../../host/bytes.ts";
import type { Host } from "../../host/host.ts";
import { isOldKernel } from "../../host/kernel.ts";
import { writeImage } from "../../shim/image.ts";
import { keeperProgram, TELL } from "../../shim/programs/keeper.ts";
import { startBeside } from "../../shim/run.ts";

export interface Kept {
  endpoint: Endpoint;
  /** Name of the container. */
  name: string;
  /** Private directory of the launch. */
  directory: string;
}

export interface Keeper {
  /** Our end of its line; not close-on-exec, for the line must outlive this program. */
  fd: number;
  /** From now on the container may exist; from `created` on it does. */
  asked(): void;
  created(): void;
  /** There is no container, or no longer. */
  none(): void;
  /** The keeper ends without doing anything, unless there may be a container. */
  dismiss(): void;
}

/** Arguments of cordon that remove a launch's container and directory. */
export function endArguments({ endpoint, name, directory }: Kept, more: string[] = []): string[] {
  const place = ["--host", formatEndpoint(endpoint), "--directory", directory];
  return [Deno.execPath(), "kernel", "end", ...place, ...more, name];
}

/** Starts the keeper. Whatever happens to this process from here on, container and directory go. */
export function startKeeper(kept: Kept, host: Host): Keeper {
  const pair = new Int32Array(2);
  if (libc().pipe2(new Uint8Array(pair.buffer), 0) < 0) {
    throw new CordonError(`Cannot make a pipe to the keeper: ${errnoText(lastErrno())}`);
  }
  const [read, write] = pair as unknown as [number, number];
  const program = keeperProgram({
    arch: host.arch,
    oldKernel: isOldKernel(),
    line: { read, write },
    reap: endArguments(kept),
    reapLater: endArguments(kept, ["--awaited"]),
    env: Object.entries(host.env).map(([name, value]) => `${name}=${value}`),
  });
  startBeside(writeImage(program));
  libc().close(read);
  let container = false;
  const tell = (word: string) => void libc().write(write, encodeOs(word), 1n);
  return {
    fd: write,
    asked: () => (container = true, tell(TELL.asked)),
    created: () => tell(TELL.created),
    none: () => void (container = false),
    dismiss: () => container || tell(TELL.dismissed),
  };
}
