/**
 * TLS connections that are closed and still there. The runtime keeps the socket of one that is closed within its
 * handshake until the *client* closes (checked on 2.4.2): silent clients would fill the table of descriptors, and no
 * limit would see them. The front ends them by their descriptor, which it finds as the kernel shows it.
 */
import { shutDown } from "../../../ffi/sockets.ts";
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
      if (due.size > 0) end(inodesOf(due));
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
  for (const table of ["tcp", "tcp6"]) {
    for (const line of readLines(`/proc/self/net/${table}`)) {
      const columns = line.trim().split(/ +/);
      if (ends.has(`${columns[1]} ${columns[2]}`)) inodes.add(`socket:[${columns[9]}]`);
    }
  }
  return inodes;
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

function end(inodes: ReadonlySet<string>): void {
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
    if (inodes.has(link)) shutDown(Number(name));
  }
}
