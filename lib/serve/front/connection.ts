/** One client's connection: request after request, each with deadlines, until one side has enough. */
import { Body, Malformed } from "./chunks.ts";
import { Exchange, type Shared } from "./exchange.ts";
import type { Peer } from "./handler.ts";
import { findHead, type Head, parseHead, type Refusal } from "./head.ts";
import { refusedSender } from "./hosts.ts";
import { Input } from "./input.ts";
import { CONTINUE, failure, refusalReply } from "./reply.ts";
import { sendReply } from "./send.ts";
import { serveSocket, Upgrade } from "./websocket.ts";

/** Bytes of further requests that are read while one is in work (pipelining); the rest waits in the socket. */
const AHEAD = 32 * 1024;
/**
 * Between a client's close and the end of what it asked for. A client that only closed its sending side (rare) still
 * gets an answer that comes within that time; to wait longer would be to work for those who are gone, for the two look
 * the same. nginx waits not at all.
 */
const HALF_CLOSED_MS = 300;
/** When no more is accepted: for the first request on a connection, which may be on its way already. */
const FIRST_MS = 500;
/** When no more is accepted: for what a WebSocket still carries, once the handler has nothing more to say. */
const LAST_MS = 1000;
/** After a refusal, for the client to read it: to close with unread bytes around would destroy it on its way. */
const LINGER_MS = 2000;
const MOST_LINGER_BYTES = 8 * 2 ** 20;

/** What becomes of a connection, for whoever counts them. */
export interface Life {
  /** Nothing more is done for it. `stuck`: the runtime holds its descriptor until the client takes what is written. */
  closed(how: { stuck: boolean }): void;
  /** It holds nothing any more. May come twice. */
  released(): void;
}

export class Connection {
  readonly peer: Peer;
  readonly #conn: Deno.Conn;
  readonly #input: Input;
  readonly #shared: Shared;
  readonly #life: Life;
  #isClosed = false;
  /** Writes that the socket has not taken. */
  #writes = 0;
  /** No request was read yet. */
  #fresh = true;
  #current: Exchange | undefined;
  #stage: "idle" | "head" | "body" | "linger" | "socket" = "idle";
  #readBy = Infinity;
  #writeBy = Infinity;
  #ending: Promise<void> | undefined;

  constructor(conn: Deno.Conn, peer: Peer, { shared, life }: { shared: Shared; life: Life }) {
    this.#conn = conn;
    this.peer = peer;
    this.#input = new Input(conn);
    this.#shared = shared;
    this.#life = life;
  }

  /** Answers until the connection ends. Never rejects. */
  async serve(): Promise<void> {
    try {
      let wait = this.#shared.deadlines.header;
      while (await this.#next(wait)) wait = this.#shared.deadlines.idle;
    } catch (error) {
      if (!this.#isClosed) this.#shared.log({ event: "connection failed", error: String(error) });
    }
    await this.#ending;
    this.close();
  }

  /** Looks at the deadlines; called now and then, so that thousands of connections need no timers. */
  tick(now: number): void {
    if (now > this.#writeBy) return this.close();
    if (now <= this.#readBy) return;
    this.#readBy = Infinity;
    if (this.#stage !== "head" && this.#stage !== "body") return this.close();
    const what = this.#stage === "head" ? "request line and headers" : "body";
    this.#end({ status: 408, detail: `the ${what} did not come in time` });
  }

  /** No further request: what is in work is answered. */
  drain(): void {
    if (this.#stage === "socket") {
      this.#readBy = performance.now() + LAST_MS;
    } else if (!this.#current && this.#input.length === 0) {
      if (this.#fresh) this.#readBy = Math.min(this.#readBy, performance.now() + FIRST_MS);
      else this.close();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#conn.close();
    } catch (error) {
      // A TLS connection that failed has closed itself.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    const exchange = this.#current;
    if (exchange && !exchange.done) {
      exchange.gone.abort(new DOMException("the client is gone", "AbortError"));
      exchange.reader?.cancel().catch((error) => this.#shared.log({ event: "failed", error: String(error) }));
    }
    this.#life.closed({ stuck: this.#writes > 0 });
    if (this.#writes === 0) this.#life.released();
  }

  get closed(): boolean {
    return this.#isClosed || this.#ending !== undefined;
  }

  /** Writes all of it. A client that takes nothing for the stall time is closed. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#writes++;
    try {
      for (let at = 0; at < bytes.length;) {
        this.#writeBy = performance.now() + this.#shared.deadlines.stall;
        at += await this.#conn.write(at === 0 ? bytes : bytes.subarray(at));
      }
    } catch (error) {
      this.close();
      throw error;
    } finally {
      this.#writes--;
      this.#writeBy = Infinity;
      if (this.#isClosed && this.#writes === 0) this.#life.released();
    }
  }

  /** One request and its answer; false when it was the last. */
  async #next(wait: number): Promise<boolean> {
    const text = await this.#readHead(wait);
    if (text === undefined || this.#ending) return false;
    const head = typeof text === "string" ? parseHead(text) : text;
    const refused = "status" in head
      ? head
      : refusedSender(head, this.#shared.names, { unix: this.peer.transport === "unix" });
    if (refused || "status" in head) {
      this.#end(refused!);
      return false;
    }
    return await this.#exchange(head);
  }

  async #readHead(wait: number): Promise<string | Refusal | undefined> {
    const input = this.#input;
    this.#stage = "idle";
    this.#readBy = performance.now() + wait;
    let from = 0;
    for (;;) {
      // RFC 9112 2.2: an empty line before a request is skipped; old clients send one after a body.
      if (from === 0 && input.length >= 2 && input.view()[0] === 13 && input.view()[1] === 10) input.take(2);
      if (input.length > 0) {
        if (this.#stage === "idle") {
          this.#stage = "head";
          this.#readBy = performance.now() + this.#shared.deadlines.header;
        }
        const found = findHead(input.view(), from);
        if ("status" in found) return found;
        if ("end" in found) {
          this.#readBy = Infinity;
          return String.fromCharCode(...input.take(found.end));
        }
        from = found.from;
      }
      if (this.#shared.draining && !this.#fresh && input.length === 0) return undefined;
      if (!await input.more()) return undefined;
    }
  }

  async #exchange(head: Head): Promise<boolean> {
    this.#fresh = false;
    const exchange = this.#current = new Exchange(head, new Body(this.#input, head.body));
    const request = this.#request(exchange);
    this.#watch(exchange);
    try {
      const response = await this.#handle(request, exchange);
      if (response instanceof Upgrade && head.webSocket) {
        exchange.done = true;
        try {
          await this.#socket(request, response);
        } finally {
          // One that never came about is told of by this alone.
          exchange.gone.abort(new DOMException("the client is gone", "AbortError"));
        }
        return false;
      }
      const keepAlive = await sendReply(this, exchange, { response, draining: this.#shared.draining });
      exchange.done = true;
      if (!keepAlive && !this.closed && (!exchange.body.done || this.#input.length > 0)) await this.#linger();
      return keepAlive;
    } finally {
      exchange.done = true;
      this.#current = undefined;
    }
  }

  async #socket(request: Request, upgrade: Upgrade): Promise<void> {
    this.#current = undefined;
    this.#stage = "socket";
    if (this.#isClosed) return;
    const silenceMs = this.#shared.deadlines.stall;
    await serveSocket(request, upgrade, { client: this, input: this.#input, silenceMs });
  }

  async #handle(request: Request, { gone }: Exchange): Promise<Response> {
    try {
      return await this.#shared.handler(request, { peer: this.peer, signal: gone.signal });
    } catch (error) {
      if (!gone.signal.aborted) this.#shared.log({ event: "failed", error: String(error) });
      return failure();
    }
  }

  #request(exchange: Exchange): Request {
    const { head, body } = exchange;
    const scheme = this.peer.transport === "tls" ? "https" : "http";
    const url = `${scheme}://${head.host ?? "localhost"}${head.target}`;
    const init = { method: head.method, headers: head.headers, signal: exchange.gone.signal };
    // A body of GET or HEAD means nothing; it is skipped before the next request.
    if (body.done || head.method === "GET" || head.method === "HEAD") return new Request(url, init);
    return new Request(url, { ...init, body: body.here ? body.next()! : this.#stream(exchange) });
  }

  #stream(exchange: Exchange): ReadableStream<Uint8Array> {
    const begun = performance.now();
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          await this.#pull(exchange, { controller, begun });
        } catch (error) {
          if (error instanceof Malformed) this.#end({ status: 400, detail: error.message });
          throw error;
        }
      },
    }, { highWaterMark: 0 });
  }

  async #pull(
    exchange: Exchange,
    { controller, begun }: { controller: ReadableStreamDefaultController<Uint8Array>; begun: number },
  ): Promise<void> {
    const { body, head } = exchange;
    for (;;) {
      const piece = body.next();
      if (piece) controller.enqueue(piece);
      if (body.done) {
        controller.close();
        this.#watch(exchange);
      }
      if (piece || body.done) return;
      if (head.expectsContinue && !exchange.continued && !exchange.replied) {
        exchange.continued = true;
        await this.write(CONTINUE);
      }
      const { body: whole, stall } = this.#shared.deadlines;
      this.#stage = "body";
      this.#readBy = Math.min(performance.now() + stall, begun + whole);
      const came = await this.#input.more();
      this.#readBy = Infinity;
      if (!came) throw new Error("the client closed before the end of the body");
    }
  }

  /** Notices that the client is gone while its request is in work. Reads ahead for that, within bounds. */
  async #watch(exchange: Exchange): Promise<void> {
    if (exchange.watched) return;
    exchange.watched = true;
    while (!exchange.done && this.#input.length < AHEAD) {
      if (await this.#input.more()) continue;
      if (exchange.done) return;
      if (this.#input.ended === "reset") return this.close();
      setTimeout(() => {
        if (!exchange.done) this.close();
      }, HALF_CLOSED_MS);
      return;
    }
    exchange.watched = false;
  }

  /** Refuses what the client sends, and closes. */
  #end(refusal: Refusal): void {
    this.#ending ??= (async () => {
      this.#shared.log({
        event: "refused",
        status: refusal.status,
        reason: refusal.detail,
        peer: this.peer.address,
      });
      try {
        if (this.#current?.replied) return;
        await this.write(refusalReply(refusal));
        await this.#linger();
      } catch (error) {
        if (!this.#isClosed) throw error;
      } finally {
        this.close();
      }
    })();
  }

  async #linger(): Promise<void> {
    try {
      await this.#conn.closeWrite();
    } catch {
      // Gone already: the reads below tell.
    }
    this.#stage = "linger";
    this.#readBy = performance.now() + LINGER_MS;
    for (let room = MOST_LINGER_BYTES; room > 0; room -= this.#input.take(room).length) {
      if (this.#input.length === 0 && !await this.#input.more()) return;
    }
  }
}
