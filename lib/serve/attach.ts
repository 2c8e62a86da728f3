/** Somebody at the keyboard of an execution, by WebSocket: input, signals and resizing one way, output the other. */
import * as z from "zod";
import {
  clientMessage,
  cutMessage,
  inputMessage,
  offered,
  PROTOCOL,
  serverMessage,
  takenMessage,
} from "./attach-messages.ts";
import { check } from "./body.ts";
import type { Tenant } from "./config/types.ts";
import type { Execution } from "./execution.ts";
import { Violation } from "./front/frames.ts";
import { asksForWebSocket, type Socket, Upgrade } from "./front/websocket.ts";
import { ID } from "./ids.ts";
import type { Interaction } from "./interaction.ts";
import { checkPosition, find, held, type Known } from "./past.ts";
import { Problem } from "./problem.ts";
import { Bucket } from "./rate.ts";
import type { Call, Route } from "./route.ts";
import { AttachQuery } from "./schemas-v1.ts";
import { until } from "./until.ts";

/** Taken from the output at once; so much is held for a client that does not read. */
const MOST_AT_ONCE = 16 * 1024;
/** Signals and resizes of one client. */
const ORDERS = { count: 100, seconds: 2 };
/** Of the private codes (RFC 6455 7.4.2): somebody else writes now. */
const TAKEN_OVER = 4001;

export const attachRoute: Route = {
  method: "GET",
  path: "/v1/executions/{id}/attach",
  id: "attachExecution",
  summary: "An execution's input, signals and terminal, and its output, by WebSocket (subprotocol cordon.v1)",
  params: { id: z.string().regex(ID) },
  query: AttachQuery,
  answers: { 101: { description: "What is said then is described in docs/serve-http.md" } },
  problems: ["bad-request", "not-found", "conflict", "upgrade-required", "tenant-busy", "capacity"],
  answer: attach,
};

function attach(call: Call, tenant: Tenant): Response {
  const { request, service, params: { id = "" } } = call;
  const { after, write } = check(AttachQuery, Object.fromEntries(call.query));
  service.outgoing.check(tenant.name);
  const known = ID.test(id) ? find(service, id, tenant.name) : undefined;
  if (!known) throw new Problem("not-found", { detail: "There is no such execution" });
  const protocol = agreed(request);
  checkPosition(after, known);
  const live = known.live?.over ? undefined : known.live;
  const interaction = live?.interaction;
  if (write === "no" || !live) {
    return new Upgrade(async (socket) => {
      using _held = held(known, service.outgoing);
      await Promise.race([tell(known, socket, after), hear(socket)]);
    }, protocol);
  }
  if (!interaction) throw new Problem("conflict", { detail: "It was created without interactive" });
  let socket: Socket | undefined;
  let mine = true;
  const taken = () => {
    mine = false;
    socket?.close(TAKEN_OVER, "somebody else writes now");
  };
  if (!interaction.take(taken, { force: write === "take" })) {
    throw new Problem("conflict", { detail: "Somebody else writes to it; write=take takes it over" });
  }
  const gone = () => {
    if (!interaction.leave(taken) || live.over) return;
    if (interaction.onDetach === "eof") interaction.end();
    if (interaction.onDetach === "cancel") service.executor.cancel(live, "client");
  };
  // Of one who does not wait for the answer.
  request.signal.addEventListener("abort", gone, { once: true });
  return new Upgrade(async (opened) => {
    socket = opened;
    using _held = held(known, service.outgoing);
    // Since it was asked for.
    if (!mine) return await socket.close(TAKEN_OVER, "somebody else writes now");
    const { stallSeconds } = service.situation.config.connections;
    try {
      if (!await socket.send(inputMessage(interaction))) return;
      await Promise.race([
        tell(known, socket, after),
        obey(socket, { interaction, live, stallSeconds, mine: () => mine }),
        tellTaken(socket, interaction),
      ]);
    } finally {
      gone();
    }
  }, protocol);
}

/** The subprotocol to answer with. @throws Problem */
function agreed(request: Request): string | undefined {
  const asked = asksForWebSocket(request);
  if (asked === "key") throw new Problem("bad-request", { detail: "Sec-WebSocket-Key is not 16 bytes" });
  if (asked !== "yes") {
    throw new Problem("upgrade-required", {
      headers: { upgrade: "websocket", "sec-websocket-version": "13" },
    });
  }
  const names = offered(request);
  // Who asks for none gets this one too; who asks for others alone would not understand it.
  if (names.includes(PROTOCOL)) return PROTOCOL;
  if (names.length === 0) return undefined;
  throw new Problem("bad-request", { detail: `The subprotocols do not include ${PROTOCOL}` });
}

/** Output and states, up to the end of either side. */
async function tell(known: Known, socket: Socket, after: number): Promise<void> {
  let at = after;
  let cut = false;
  while (!socket.over.aborted) {
    // In this order: what comes between the two is not missed.
    const more = known.more();
    const events = known.read(at, MOST_AT_ONCE);
    for (const event of events) {
      if (!await socket.send(serverMessage(event))) return;
      at = event.id;
    }
    if (events.length > 0) continue;
    if (!more) return await socket.close(1000, "it has ended");
    if (!cut && known.live?.output.truncated) {
      cut = true;
      if (!await socket.send(cutMessage())) return;
    }
    await until(more, socket.over);
  }
}

/** A client that may only listen. */
async function hear(socket: Socket): Promise<void> {
  if (await socket.receive() !== undefined) throw new Violation(1008, "this one may only listen");
}

interface Obeyed {
  interaction: Interaction;
  live: Execution;
  /** A command that takes none of its input for so long while more comes is left alone with what it has. */
  stallSeconds: number;
  /** Nobody has taken over. */
  mine(): boolean;
}

async function obey(socket: Socket, { interaction, live, stallSeconds, mine }: Obeyed): Promise<void> {
  const orders = new Bucket(ORDERS, performance.now());
  for (let message = await socket.receive(); message !== undefined; message = await socket.receive()) {
    const order = typeof message === "string" ? clientMessage(message) : { type: "input" as const, message };
    if (order.type !== "input" && orders.take(performance.now()) > 0) {
      throw new Violation(1008, "too many signals and resizes");
    }
    if (order.type === "input" || order.type === "eof") {
      if (!await interaction.roomWithin(stallSeconds * 1000, socket.over)) {
        throw new Violation(1013, "the command does not read its input");
      }
      if (!mine()) return;
    }
    if (order.type === "input") {
      if (!interaction.write(order.message)) throw new Violation(1008, "input came after its end");
    } else if (order.type === "eof") interaction.end();
    else if (order.type === "signal") {
      await until(Promise.race([interaction.signal(`SIG${order.signal}`), live.ended]), socket.over);
    } else if (!interaction.terminal) throw new Violation(1008, "it has no terminal to resize");
    else await interaction.resize({ rows: order.rows, columns: order.columns });
  }
}

async function tellTaken(socket: Socket, interaction: Interaction): Promise<void> {
  let told = 0;
  while (!socket.over.aborted) {
    const { given } = interaction;
    if (given > told) {
      if (!await socket.send(takenMessage(given))) return;
      told = given;
    } else await until(interaction.changed(), socket.over);
  }
}
