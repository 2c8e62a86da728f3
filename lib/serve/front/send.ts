/** A response onto a connection: as fast as the client takes it, and no faster. */
import type { Connection } from "./connection.ts";
import type { Exchange } from "./exchange.ts";
import { chunk, chunkSize, CRLF, framingOf, LAST_CHUNK, latin1, replyHead } from "./reply.ts";
import { afterTurn } from "../turn.ts";
import { concat } from "../../host/pieces.ts";

/** Of a body whose pieces are all there at once, so that its length can be told and one write carries it. */
const MOST_AT_ONCE = 64 * 1024;
/** A chunk up to this size is put together for one write; to copy a larger one costs more than it saves. */
const MOST_COPIED = 8 * 1024;

/**
 * Sends it.
 *
 * @returns whether another request may follow on this connection
 * @throws when the client is gone, or the response breaks off: then the connection must be closed
 */
export async function sendReply(
  connection: Connection,
  exchange: Exchange,
  { response, draining }: { response: Response; draining: boolean },
): Promise<boolean> {
  const { head, body } = exchange;
  const reader = exchange.reader = response.body?.getReader();
  if (connection.closed) {
    await reader?.cancel();
    return false;
  }
  const there = head.method === "HEAD" ? nothing(reader) : await gather(reader);
  // What the handler did not want to know, where it is here already.
  while (there.ended && !body.done && body.next());
  const framing = framingOf(head, response, there.ended ? there.size : undefined);
  const keepAlive = head.keepAlive && body.done && !draining && framing !== "close";
  exchange.replied = true;
  const parts: Uint8Array[] = [latin1(replyHead(response, { framing, keepAlive }))];
  let left = typeof framing === "object" ? framing.length : framing === "none" ? 0 : Infinity;
  for (const piece of there.pieces) {
    left -= piece.length;
    parts.push(framing === "chunked" ? chunk(piece) : piece);
  }
  if (left < 0) throw new Error("the response is longer than its content-length, or must not have a body");
  if (there.ended && framing === "chunked") parts.push(LAST_CHUNK);
  await connection.write(parts.length === 1 ? parts[0]! : concat(parts));
  if (there.next) {
    for (let next = await there.next; !next.done; next = await reader!.read()) {
      left -= next.value.length;
      if (left < 0) throw new Error("the response is longer than its content-length");
      await sendPiece(connection, next.value, framing === "chunked");
    }
    if (framing === "chunked") await connection.write(LAST_CHUNK);
  }
  if (left > 0 && left < Infinity) throw new Error("the response is shorter than its content-length");
  return keepAlive;
}

async function sendPiece(connection: Connection, piece: Uint8Array, chunked: boolean): Promise<void> {
  if (piece.length === 0) return;
  if (!chunked) return await connection.write(piece);
  if (piece.length <= MOST_COPIED) return await connection.write(chunk(piece));
  await connection.write(chunkSize(piece));
  await connection.write(piece);
  await connection.write(CRLF);
}

type Read = Promise<ReadableStreamReadResult<Uint8Array>>;
type Reader = ReadableStreamDefaultReader<Uint8Array>;

interface Gathered {
  pieces: Uint8Array[];
  size: number;
  ended: boolean;
  /** What is read next; undefined when it has ended. */
  next: Read | undefined;
}

function nothing(reader: Reader | undefined): Gathered {
  reader?.cancel();
  return { pieces: [], size: 0, ended: true, next: undefined };
}

/** What the body has ready. A stream that waits for something must not hold back the head. */
async function gather(reader: Reader | undefined): Promise<Gathered> {
  const found: Gathered = { pieces: [], size: 0, ended: reader === undefined, next: undefined };
  while (!found.ended) {
    found.next = reader!.read();
    if (found.size >= MOST_AT_ONCE) break;
    const read = await soon(found.next);
    if (read === undefined) break;
    if (read.done) return { ...found, ended: true, next: undefined };
    found.pieces.push(read.value);
    found.size += read.value.length;
  }
  return found;
}

/** What it resolves with, if it does so without waiting for anything outside. */
async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  const late = new Promise<undefined>((resolve) => afterTurn(() => resolve(undefined)));
  return await Promise.race([promise, late]);
}
