/**
 * An attached stream as a plain descriptor, to be handed to a program that takes our place. The runtime gives out no
 * descriptor of its sockets, so this one connection is made with libc.
 */
import { AF, SOCK } from "../../ffi/constants.ts";
import { errnoText } from "../../ffi/errno.ts";
import { lastErrno, libc } from "../../ffi/libc.ts";
import { sockets } from "../../ffi/sockets.ts";
import { encodeOs } from "../host/bytes.ts";
import { EngineError, messageOf, statusError } from "./errors.ts";
import type { Engine } from "./system.ts";

export interface AttachedDescriptor {
  /** Not close-on-exec. */
  fd: number;
  /** What followed the head of the answer already. */
  early: Uint8Array;
}

const MOST_HEAD = 16384;

/**
 * Attaches to stdin, stdout and stderr of a container (Engine API, "Attach to a container"). Blocks until the engine
 * has switched over. Throws {@link EngineError}; Unix sockets only.
 */
export function attachDescriptor(engine: Engine, id: string): AttachedDescriptor {
  const { endpoint } = engine;
  const what = `attach to container ${id.slice(0, 12)}`;
  if (endpoint.kind !== "unix") {
    throw new EngineError(`Cannot ${what}`, {
      why: "kernels need an engine on a Unix socket of this machine",
    });
  }
  const fd = connected(endpoint.path, what);
  const query = "stream=1&stdin=1&stdout=1&stderr=1";
  const request = `POST /v${engine.apiVersion}/containers/${id}/attach?${query} HTTP/1.1\r\n` +
    "Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n";
  for (let rest = encodeOs(request); rest.length > 0;) {
    const n = Number(libc().write(fd, rest, BigInt(rest.length)));
    if (n <= 0) throw new EngineError(`Cannot ${what}: ${errnoText(lastErrno())}`);
    rest = rest.subarray(n);
  }
  const buffer = new Uint8Array(MOST_HEAD);
  let length = 0;
  const more = () => {
    const n = Number(libc().read(fd, buffer.subarray(length), BigInt(buffer.length - length)));
    length += Math.max(n, 0);
    return n > 0;
  };
  const text = () => new TextDecoder("latin1").decode(buffer.subarray(0, length));
  let end = -1;
  while (end < 0) {
    if (!more()) throw new EngineError(`Cannot ${what}: the engine closed the connection`);
    end = text().indexOf("\r\n\r\n");
  }
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text())?.[1]);
  if (status === 101 || status === 200) return { fd, early: buffer.slice(end + 4, length) };
  const size = Number(/^content-length: *(\d+)/im.exec(text().slice(0, end))?.[1] ?? 0);
  while (length < Math.min(end + 4 + size, buffer.length) && more());
  libc().close(fd);
  const body = new TextDecoder().decode(buffer.subarray(end + 4, length));
  throw statusError(what, { status, engineMessage: messageOf(body) });
}

function connected(path: string, what: string): number {
  const name = encodeOs(path);
  const address = new Uint8Array(2 + name.length + 1);
  address[0] = AF.UNIX;
  address.set(name, 2);
  const fd = sockets().socket(AF.UNIX, SOCK.STREAM, 0);
  if (fd < 0 || sockets().connect(fd, address, address.length) < 0) {
    throw new EngineError(`Cannot ${what}: ${errnoText(lastErrno())}`, {
      why: `connecting to ${path} failed`,
    });
  }
  return fd;
}
