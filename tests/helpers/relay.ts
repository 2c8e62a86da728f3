/** Something between a client and a server that can cut all their connections. */
import { writeAll } from "../../lib/host/pieces.ts";

export interface Relay extends Disposable {
  /** For --api. */
  readonly url: string;
  /** Bytes that came from clients so far. */
  readonly sent: number;
  /** Connections that were made. */
  readonly made: number;
  /** All of them break off; new ones are taken. */
  cut(): void;
}

export interface RelayOptions {
  /** Listen on this socket. */
  socket?: string;
  /** Certificate and key as PEM texts. */
  tls?: { cert: string; key: string };
  /** Is told what clients sent so far. */
  watch?: (relay: Relay) => void;
}

export function relay(to: string, { socket, tls, watch }: RelayOptions = {}): Relay {
  const local = { hostname: "127.0.0.1", port: 0 };
  const listener = socket !== undefined
    ? Deno.listen({ transport: "unix", path: socket })
    : tls
    ? Deno.listenTls({ ...local, ...tls })
    : Deno.listen(local);
  const open = new Set<Deno.Conn>();
  const close = (one: Deno.Conn) => {
    if (open.delete(one)) one.close();
  };
  let sent = 0, made = 0;
  const pass = async (from: Deno.Conn, to: Deno.Conn, count: (bytes: number) => void) => {
    const buffer = new Uint8Array(16 * 1024);
    try {
      for (let read = await from.read(buffer); read !== null; read = await from.read(buffer)) {
        count(read);
        await writeAll(to, buffer.subarray(0, read));
      }
    } catch {
      // One of the two has gone, or was cut.
    }
    close(from);
    close(to);
  };
  const accept = async () => {
    for (;;) {
      let client: Deno.Conn;
      try {
        client = await listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        continue; // a handshake that failed
      }
      made++;
      open.add(client);
      const server = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(to).port) });
      open.add(server);
      void pass(client, server, (bytes) => {
        sent += bytes;
        watch?.(self);
      });
      void pass(server, client, () => {});
    }
  };
  const accepting = accept();
  const address = listener.addr as Deno.NetAddr;
  const self: Relay = {
    url: socket !== undefined ? `unix:${socket}` : `${tls ? "https" : "http"}://127.0.0.1:${address.port}`,
    get sent() {
      return sent;
    },
    get made() {
      return made;
    },
    cut: () => [...open].forEach(close),
    [Symbol.dispose]() {
      listener.close();
      self.cut();
      accepting.catch(() => undefined);
    },
  };
  return self;
}
