/**
 * Connections that are closed and still there. The runtime (checked on 2.4.2) keeps the socket of one that is closed
 * while a write waits for a client that takes nothing, and with TLS also within its handshake, until the *client* does
 * something: silent clients would fill memory and the table of descriptors. The front ends them by their descriptor,
 * which it finds as the kernel shows it. Of Unix sockets the kernel does not show which is whose: those stay, and count,
 * until the end of the server.
 */
import { abortConnection } from "../../../ffi/sockets.ts";
import { asInProc } from "./addresses.ts";

/** An orderly close has said its last by then. */
const GRACE_MS = 2000;

export interface Orphans {
  /** This connection is closed as far as the runtime is concerned. */
  add(conn: Deno.Conn): void;
  /** This one is open: the client used the port of an earlier one again. */
  forget(conn: Deno.Conn): void;
  /** Ends what should be gone by now. */
  sweep(now: number): void;
  /** Ends everything, and connections of Unix sockets of these names: nothing may keep the process. */
  end(names: readonly string[]): void;
}

export function watchOrphans(): Orphans {
  /** By its two ends, when it was closed. */
  const closed = new Map<string, number>();
  return {
    add: (conn) => void closed.set(endsOf(conn), performance.now()),
    forget: (conn) => void closed.delete(endsOf(conn)),
    sweep(now) {
      const due = new Set<string>();
      for (const [ends, at] of closed) {
        if (now - at < GRACE_MS) break;
        due.add(ends);
        closed.delete(ends);
      }
      if (due.size > 0) abortAll(inodesOf(due));
    },
    end(names) {
      const inodes = inodesOf(new Set(closed.keys()));
      for (const inode of inodesOfNamed(new Set(names))) inodes.add(inode);
      closed.clear();
      abortAll(inodes);
    },
  };
}

function endsOf(conn: Deno.Conn): string {
  return [conn.localAddr, conn.remoteAddr].map((addr) => {
    const { hostname, port } = addr as Deno.NetAddr;
    return `${asInProc(hostname)}:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  }).join(" ");
}

/** Of the sockets with these ends. The columns are sl, local, remote, st, queues, tr, retrnsmt, uid, timeout, inode. */
function inodesOf(ends: ReadonlySet<string>): Set<string> {
  const inodes = new Set<string>();
  if (ends.size === 0) return inodes;
  for (const table of ["tcp", "tcp6"]) {
    for (const line of readLines(`/proc/self/net/${table}`)) {
      const columns = line.trim().split(/ +/);
      if (ends.has(`${columns[1]} ${columns[2]}`)) inodes.add(`socket:[${columns[9]}]`);
    }
  }
  return inodes;
}

/** Of Unix sockets. The columns are num, refcount, protocol, flags, type, state, inode, path. */
function inodesOfNamed(names: ReadonlySet<string>): string[] {
  if (names.size === 0) return [];
  return readLines("/proc/self/net/unix").map((line) => /^(?:\S+ +){6}(\d+) (.*)$/.exec(line))
    .filter((match) => match !== null && names.has(match[2]!)).map((match) => `socket:[${match![1]}]`);
}

function readLines(path: string): string[] {
  try {
    return Deno.readTextFileSync(path).split("\n");
  } catch (error) {
    // A kernel without IPv6 has no tcp6.
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function abortAll(inodes: ReadonlySet<string>): void {
  if (inodes.size === 0) return;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    let link: string;
    try {
      link = Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch (error) {
      // The descriptor of the listing itself.
      if (error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    if (inodes.has(link)) abortConnection(Number(name));
  }
}
