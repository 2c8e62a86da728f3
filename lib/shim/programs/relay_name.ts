/** Where a relay's connections go inside: the name of a socket, and connecting to it. */
import { AF, O, openFlags } from "../../../ffi/constants.ts";
import { encodeOs } from "../../host/bytes.ts";
import type { Label, Program, Slot } from "../program.ts";

/** The descriptor whose hang-up says that the monitor is gone. */
export const ALIVE = 0;
/** A file at the end of a path, before it is connected to; another copy of {@link ALIVE} keeps its place. */
const FOUND = 1;

/** A socket's address as connect(2) takes it. */
export interface Name {
  family: Slot;
  address: Slot;
  length: Slot;
}

/** The directory of {@link Names.guarded}. */
export const DIRECTORY = 2;

export interface Names {
  /**
   * The sockets are named in a directory where somebody inside may put another file: a symlink there could lead to any
   * socket of the host that its owner may use (the container engine's, say), and is not followed.
   */
  guarded: boolean;
}

/** Appends: connect a socket to a name. */
export function connectTo(
  p: Program,
  socket: Slot,
  { name, guarded, fail }: Names & { name: Name; fail: Label },
): void {
  const { family, address, length } = name;
  if (!guarded) return p.sys("connect", [socket, address, length], { fail });
  const found = p.slot(), path = p.slot(), connected = p.label(), direct = p.label();
  p.when([family, "!=", AF.UNIX], direct);
  p.add(path, address, 2); // behind sun_family
  const flags = O.PATH | O.CLOEXEC | openFlags(p.arch).NOFOLLOW;
  p.sys("openat", [DIRECTORY, path, flags, 0], { into: found, fail });
  p.sys("dup3", [found, FOUND, O.CLOEXEC]);
  p.sys("close", [found]);
  const itself = unixAddress(`/proc/self/fd/${FOUND}`); // of a symlink this is the symlink: no socket
  p.sys("connect", [socket, p.bytes(itself), itself.length], { fail });
  p.goto(connected);
  p.place(direct);
  p.sys("connect", [socket, address, length], { fail });
  p.place(connected);
}

/** struct sockaddr_un, unix(7). */
export function unixAddress(path: string): Uint8Array {
  const name = encodeOs(path);
  const address = new Uint8Array(2 + name.length + 1);
  address[0] = AF.UNIX;
  address.set(name, 2);
  return address;
}
