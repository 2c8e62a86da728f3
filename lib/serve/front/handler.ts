/** What a front hands requests to. */

/** Who asks. */
export interface Peer {
  transport: "tcp" | "tls" | "unix";
  /** IP address, a mapped IPv4 one as IPv4; empty for a Unix socket. */
  address: string;
  port: number;
}

export interface RequestInfo {
  peer: Peer;
  /** Aborted when the client is gone before it has the whole response. A response's stream is cancelled then too. */
  signal: AbortSignal;
}

/** A rejection is answered with 500. A WebSocket is answered with an `Upgrade`. */
export type Handler = (request: Request, info: RequestInfo) => Response | Promise<Response>;

export type Log = (event: Record<string, unknown>) => void;
