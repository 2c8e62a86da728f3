/** What the two sides of `/v1/executions/{id}/attach` say to each other, the subprotocol `cordon.v1`. Pure. */
import * as z from "zod";
import { Violation } from "./front/frames.ts";
import type { Interaction } from "./interaction.ts";
import type { Event } from "./output.ts";

export const PROTOCOL = "cordon.v1";
/** Before a token, among the subprotocols: browsers can send no header of their own. */
const TOKEN_PROTOCOL = "cordon.token.";

/** Those that both engines can pass on, and that do not end or stop what passes them on. */
export const SIGNALS = [
  "HUP",
  "INT",
  "QUIT",
  "USR1",
  "USR2",
  "ALRM",
  "TERM",
  "TSTP",
  "CONT",
  "WINCH",
] as const;

const extent = z.int().min(1).max(10_000);
export const TerminalSizeSchema = z.strictObject({ rows: extent, columns: extent });

const ClientMessage = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("resize"), rows: extent, columns: extent }),
  z.strictObject({ type: z.literal("signal"), signal: z.enum(SIGNALS) }),
  z.strictObject({ type: z.literal("eof") }),
]).meta({ id: "AttachClientMessage" });

type ClientMessage = z.output<typeof ClientMessage>;

/** A text from a client. @throws Violation */
export function clientMessage(text: string): ClientMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Violation(1007, "a text is no JSON; input comes as bytes");
  }
  const { success, data } = ClientMessage.safeParse(value);
  if (!success) {
    throw new Violation(1003, "a message is neither resize, signal nor eof as they are described");
  }
  return data;
}

/** States as text; output as bytes: 1 or 2 for stdout or stderr, the position after it as a 64-bit number, the output. */
export function serverMessage(event: Event): string | Uint8Array {
  if (event.type === "state") return JSON.stringify({ type: "state", id: event.id, ...event.state });
  const whole = new Uint8Array(9 + event.bytes.length);
  whole[0] = event.type === "stdout" ? 1 : 2;
  new DataView(whole.buffer).setBigUint64(1, BigInt(event.id));
  whole.set(event.bytes, 9);
  return whole;
}

/** The first to who writes: what came before, so that input that was cut off goes on where it was, and the terminal. */
export function inputMessage({ received, ended, terminal }: Interaction): string {
  return JSON.stringify({ type: "input", bytes: received, ended, terminal: terminal ?? null });
}

/** What it prints from here on is not kept, and not told: whoever sits there would think that it stands still. */
export function cutMessage(): string {
  return JSON.stringify({ type: "truncated" });
}

/** How far the command has taken the input: whoever has sent much waits for it. */
export function takenMessage(bytes: number): string {
  return JSON.stringify({ type: "taken", bytes });
}

/** The subprotocols that a client offers, in its order. */
export function offered(request: Request): string[] {
  const header = request.headers.get("sec-websocket-protocol") ?? "";
  return header.split(/[ \t]*,[ \t]*/).filter((name) => name !== "");
}

/** Tokens among them. */
export function offeredTokens(request: Request): string[] {
  return offered(request).filter((name) => name.startsWith(TOKEN_PROTOCOL))
    .map((name) => name.slice(TOKEN_PROTOCOL.length));
}
