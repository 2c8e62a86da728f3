/** `--ready`: tells whoever waits that the ports are bound. */
import { lastErrno, libc } from "../../ffi/libc.ts";
import { errnoText } from "../../ffi/errno.ts";
import { CordonError } from "../errors.ts";
import type { PortPair } from "./ports.ts";

/** Writes `{"pid":…,"ports":[{"host":…,"guest":…}]}`; a file appears whole, in place of one of that name. */
export function writeReady(
  to: { fd: number } | { path: string },
  pairs: (PortPair & { hostAddr: string })[],
): void {
  const ports = pairs.map(({ hostAddr, hostPort, guestPort }) => ({
    address: hostAddr,
    host: hostPort,
    guest: guestPort,
  }));
  const bytes = new TextEncoder().encode(JSON.stringify({ pid: Deno.pid, ports }) + "\n");
  if ("fd" in to) {
    if (Number(libc().write(to.fd, bytes, BigInt(bytes.length))) === bytes.length) return;
    throw new CordonError(`Readiness cannot be told on descriptor ${to.fd}: ${errnoText(lastErrno())}`);
  }
  const beside = `${to.path}.${crypto.randomUUID()}`;
  try {
    Deno.writeFileSync(beside, bytes, { createNew: true, mode: 0o644 });
    Deno.renameSync(beside, to.path);
  } catch (cause) {
    throw new CordonError(`Readiness cannot be told in ${to.path}`, {
      why: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}
