/** HTTP clients of bench/serve: one that costs little, for many requests, and one for event streams. */
import { writeAll } from "../lib/host/pieces.ts";

const encoder = new TextEncoder(), latin1 = new TextDecoder("latin1");
const MOST_HEAD = 16_384;

/** One connection that is kept. Answers are read to their end; of their bodies only the length is told. */
export class Requests implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #piece = new Uint8Array(256 * 1024);

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  static async open(port: number): Promise<Requests> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay();
    return new Requests(conn);
  }

  /** Gives the bytes of the body. @throws when the status is not 200 or the body holds none of `wanted` */
  async execute(json: { cmd: string; args: string }, { token, wanted }: ExecuteOptions): Promise<number> {
    const body = JSON.stringify(json);
    const head = `POST /execute HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${encoder.encode(body).length}\r\n\r\n`;
    await write(this.#conn, head + body);
    let held = "";
    let end = -1;
    for (; end < 0; end = held.indexOf("\r\n\r\n")) {
      if (held.length > MOST_HEAD) throw new Error(`no end of the head: ${held.slice(0, 200)}`);
      held += latin1.decode(await this.#read());
    }
    const answer = held.slice(0, end).toLowerCase();
    if (!answer.startsWith("http/1.1 200")) throw new Error(held);
    const length = /\r\ncontent-length: (\d+)/.exec(answer)?.[1];
    let size = held.length - end - 4, last = held.slice(-wanted.length - 1024);
    const over = () => length === undefined ? last.endsWith("\r\n0\r\n\r\n") : size >= Number(length);
    while (!over()) {
      const bytes = await this.#read();
      size += bytes.length;
      last = (last + latin1.decode(bytes.subarray(-1024))).slice(-2048);
    }
    if (!last.includes(wanted)) throw new Error(`without ${wanted}: ${last}`);
    return size;
  }

  async #read(): Promise<Uint8Array> {
    const count = await this.#conn.read(this.#piece);
    if (count === null) throw new Error("the server closed the connection");
    return this.#piece.subarray(0, count);
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

interface ExecuteOptions {
  token: string;
  /** Stands near the end of every good answer. */
  wanted: string;
}

async function write(conn: Deno.Conn, text: string): Promise<void> {
  await writeAll(conn, encoder.encode(text));
}

export interface Told {
  type: string;
  // deno-lint-ignore no-explicit-any
  data: any;
}

/** The events of a stream. */
export async function* events(response: Response): AsyncGenerator<Told> {
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  let held = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (held + text).split("\n\n");
    held = blocks.pop()!;
    for (const block of blocks) {
      const type = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (type !== undefined && data !== undefined) yield { type, data: JSON.parse(data) };
    }
  }
}
