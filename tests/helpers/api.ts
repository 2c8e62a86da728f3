/** APIs for the tests of `cordon run --api`: one that behaves, and one that sends whatever it is told. */

export interface Asked {
  method: string;
  path: string;
  authorization: string | null;
  body: unknown;
}

export interface TinyApi extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** What it was asked, in order. */
  readonly asked: Asked[];
}

export interface TinyOptions {
  /** Certificate and key as PEM texts. */
  tls?: { cert: string; key: string };
  /** Listen on this socket instead. */
  socket?: string;
}

/** Answers each request as `answer` says; what is not of Dockyter's contract, with 404. */
export function tinyApi(
  answer: (asked: Asked, request: Request) => Response | Promise<Response>,
  { tls, socket }: TinyOptions = {},
): TinyApi {
  const asked: Asked[] = [];
  const handler = async (request: Request): Promise<Response> => {
    // It has no more than Dockyter's contract.
    if (new URL(request.url).pathname.includes("/v1/")) return new Response(null, { status: 404 });
    const text = await request.text();
    const one = {
      method: request.method,
      path: new URL(request.url).pathname,
      authorization: request.headers.get("authorization"),
      body: text === "" ? undefined : JSON.parse(text),
    };
    asked.push(one);
    return await answer(one, request);
  };
  const common = { onListen() {}, onError: () => new Response(null, { status: 500 }) };
  const server = socket !== undefined
    ? Deno.serve({ ...common, path: socket }, handler)
    : Deno.serve({ ...common, hostname: "127.0.0.1", port: 0, ...tls }, handler);
  const { addr } = server;
  const url = "port" in addr ? `${tls ? "https" : "http"}://127.0.0.1:${addr.port}` : `unix:${socket}`;
  return { url, asked, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** Sends these bytes to whoever has sent a request's head, and closes; with `hold`, it does not close. */
export function rawApi(bytes: string, { hold = false }: { hold?: boolean } = {}): TinyApi {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const serve = async (connection: Deno.Conn) => {
    open.add(connection);
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65536);
    try {
      for (let head = ""; !head.includes("\r\n\r\n");) {
        const count = await connection.read(buffer);
        if (count === null) return;
        head += decoder.decode(buffer.subarray(0, count), { stream: true });
      }
      await connection.write(new TextEncoder().encode(bytes));
      // Whoever holds is waited for.
      if (hold) { while (await connection.read(buffer) !== null); }
    } catch (error) {
      // It went away, or the test is over.
      if (!(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BadResource)) {
        throw error;
      }
    } finally {
      if (open.delete(connection)) connection.close();
    }
  };
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) serving.push(serve(connection));
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    asked: [],
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of open) if (open.delete(connection)) connection.close();
      await accepting;
      await Promise.all(serving);
    },
  };
}
