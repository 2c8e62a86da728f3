/**
 * Listening sockets as plain descriptors: they are made here, in the host's network, and handed to a program that takes
 * our place. Not close-on-exec.
 */
import { AF, E, SO_REUSEADDR, SOCK, SOL_SOCKET } from "../../ffi/constants.ts";
import { errnoText } from "../../ffi/errno.ts";
import { lastErrno, libc } from "../../ffi/libc.ts";
import { sockets } from "../../ffi/sockets.ts";
import { CordonError } from "../errors.ts";
import { socketAddress } from "./address.ts";
import { encodeOs } from "./bytes.ts";

/** Connections the kernel queues for us (it caps this at net.core.somaxconn). */
const BACKLOG = 1024;
const IN_USE = 98, RETRY_MS = 20;
const SUN_PATH = 108;

export interface ListenOptions {
  /** How long to wait for a port to become free: the one before us may still be ending. */
  patienceMs?: number;
}

/** Listens on an IPv4 or IPv6 address; port 0 picks a free one. Throws {@link CordonError} with the address. */
export function listenTcp(
  address: string,
  port: number,
  options: ListenOptions = {},
): { fd: number; port: number } {
  const [family, bytes] = socketAddress(address, port);
  const fd = bound(family, bytes, { what: `${address} port ${port}`, reuse: true, ...options });
  return { fd, port: port || boundPort(fd) };
}

/** Listens on a Unix socket at a path where nothing is yet. */
export function listenUnix(path: string): number {
  const name = encodeOs(path);
  if (name.length >= SUN_PATH) {
    throw new CordonError(`Socket path ${path} is ${name.length} bytes long`, {
      why: `unix(7) allows ${SUN_PATH - 1}`,
    });
  }
  const address = new Uint8Array(2 + name.length + 1);
  address[0] = AF.UNIX;
  address.set(name, 2);
  return bound(AF.UNIX, address, { what: path, reuse: false });
}

interface Binding extends ListenOptions {
  what: string;
  reuse: boolean;
}

function bound(
  family: number,
  address: Uint8Array<ArrayBuffer>,
  { what, reuse, patienceMs = 0 }: Binding,
): number {
  const fd = sockets().socket(family, SOCK.STREAM, 0);
  if (fd < 0) throw new CordonError(`Cannot make a socket for ${what}: ${errnoText(lastErrno())}`);
  const until = Date.now() + patienceMs;
  for (;;) {
    // Connections of an earlier listener do not matter, only another listener does. Somebody who binds the port too
    // before we listen makes listen(2) fail.
    if (reuse) setReuse(fd);
    if (
      sockets().bind(fd, address, address.length) === 0 && sockets().listen(fd, BACKLOG) === 0
    ) return fd;
    const errno = lastErrno();
    if (errno !== IN_USE || Date.now() >= until) {
      libc().close(fd);
      throw cannotListen(what, errno);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
  }
}

function setReuse(fd: number): void {
  sockets().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, new Uint8Array(Int32Array.of(1).buffer), 4);
}

function cannotListen(what: string, errno: number): CordonError {
  const why = errno === IN_USE
    ? "another process listens there"
    : errno === -E.ACCES
    ? "ports below 1024 need a privilege that this user does not have"
    : errno === 99
    ? "no interface of this machine has that address"
    : errno === -E.INVAL
    ? "an address that means something on one interface only cannot be listened on"
    : undefined;
  return new CordonError(`Cannot listen on ${what}: ${errnoText(errno)}`, { why });
}

function boundPort(fd: number): number {
  const address = new Uint8Array(28), length = new Uint8Array(Int32Array.of(28).buffer);
  if (sockets().getsockname(fd, address, length) < 0) {
    throw new CordonError(`Cannot tell the port of descriptor ${fd}: ${errnoText(lastErrno())}`);
  }
  return address[2]! << 8 | address[3]!;
}
