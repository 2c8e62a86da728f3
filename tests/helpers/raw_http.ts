/** HTTP as bytes on a socket, for what no proper client would send. */
import { writeAll } from "../../lib/host/pieces.ts";

const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");

export class Raw implements AsyncDisposable {
  readonly conn: Deno.Conn;
  /** What came and was not taken. */
  held = "";
  /** The other side has closed, in order or not. */
  ended: "end" | "reset" | undefined;

  private constructor(conn: Deno.Conn) {
    this.conn = conn;
  }

  /** @param to port on 127.0.0.1, or the path of a Unix socket */
  static async open(to: number | string, first = ""): Promise<Raw> {
    const raw = new Raw(
      typeof to === "number"
        ? await Deno.connect({ hostname: "127.0.0.1", port: to })
        : await Deno.connect({ transport: "unix", path: to }),
    );
    await raw.send(first);
    return raw;
  }

  async send(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string" ? encoder.encode(text) : text;
    await writeAll(this.conn, bytes);
  }

  /** Sends as much as is taken, however that ends: the server may have closed. */
  async sendAsFarAsTaken(text: string | Uint8Array): Promise<void> {
    try {
      await this.send(text);
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) {
        throw error;
      }
    }
  }

  /** Reads on until `wanted` fits what is held, and takes that away. */
  async until(wanted: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = wanted.exec(this.held);
      if (found) {
        this.held = this.held.slice(found.index + found[0].length);
        return found;
      }
      if (!await this.more()) throw new Error(`it closed (${this.ended}) before ${wanted}: ${this.held}`);
    }
  }

  /** Everything until the other side closes. */
  async rest(): Promise<string> {
    while (await this.more());
    return this.held;
  }

  /** The status of the next response with a body of told length, and that body. */
  async response(): Promise<{ status: number; head: string; body: string }> {
    const [head, status] = await this.until(/^HTTP\/1\.1 (\d{3})[^]*?\r\n\r\n/);
    const length = Number(/^content-length: (\d+)\r$/m.exec(head)?.[1] ?? 0);
    while (this.held.length < length && await this.more());
    const body = this.held.slice(0, length);
    this.held = this.held.slice(length);
    return { status: Number(status), head, body };
  }

  async more(): Promise<boolean> {
    if (this.ended) return false;
    const bytes = new Uint8Array(65536);
    try {
      const count = await this.conn.read(bytes);
      if (count === null) this.ended = "end";
      else this.held += latin1.decode(bytes.subarray(0, count));
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
      this.ended = "reset";
    }
    return this.ended === undefined;
  }

  close(): void {
    try {
      this.conn.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
