/** A fake engine with containers that do what a test tells them to, for runs and pools. */
import { Buffer } from "node:buffer";
import { clientOf, type ClientOptions, type DockerClient } from "../../../lib/engine/docker/client.ts";
import { type FakeCall, type FakeEngine, frame, gate, type Routes } from "../../helpers/fake-engine.ts";

const UPGRADED = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
const WAITING = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const DONE = "HTTP/1.1 204 No Content\r\n\r\n";

/** What a container does once it runs, its attached connection in hand. It has ended when this returns. */
export type Behaviour = (call: FakeCall, container: FakeContainer) => Promise<void>;

export class FakeContainer {
  readonly id: string;
  readonly name: string;
  readonly config: Record<string, unknown>;
  readonly started = gate();
  readonly ended = gate();
  running = false;
  code = 0;
  oom = false;

  constructor(number: number, { name, config }: { name: string; config: Record<string, unknown> }) {
    this.id = number.toString(16).padStart(64, "c");
    this.name = name;
    this.config = config;
  }

  end(code = this.code): void {
    this.code = code;
    this.running = false;
    this.started.resolve();
    this.ended.resolve();
  }
}

/** Sends frames as an engine would. */
export const stdout = (text: string) => frame(1, text);
export const stderr = (text: string) => frame(2, text);

export class FakeContainers {
  /** Those not removed, by id. */
  readonly all = new Map<string, FakeContainer>();
  /** All there ever were. */
  made = 0;
  readonly #behave: Behaviour;

  constructor(behave: Behaviour) {
    this.#behave = behave;
  }

  routes(overrides: Routes = {}): Routes {
    return {
      ...overrides,
      "POST /containers/create": async (call) => {
        const config = JSON.parse((await call.body()).toString());
        const container = new FakeContainer(++this.made, { name: call.query.get("name") ?? "", config });
        this.all.set(container.id, container);
        await call.json(201, { Id: container.id, Warnings: null });
      },
      "POST /containers/*/attach": async (call) => {
        const container = this.#of(call);
        await call.send(UPGRADED);
        await container.started.promise;
        await this.#behave(call, container);
        container.end();
      },
      "POST /containers/*/wait": async (call) => {
        const container = this.#of(call);
        await call.send(WAITING);
        await container.ended.promise;
        const text = JSON.stringify({ StatusCode: container.code });
        await call.send(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`);
      },
      "POST /containers/*/start": async (call) => {
        const container = this.#of(call);
        container.running = true;
        container.started.resolve();
        await call.send(DONE);
      },
      "POST /containers/*/kill": async (call) => {
        this.#of(call).end(137);
        await call.send(DONE);
      },
      "GET /containers/*/json": async (call) => {
        const container = this.all.get(idOf(call));
        if (!container) return await call.json(404, { message: "No such container" });
        const { id, running, code, oom } = container;
        const Status = running ? "running" : "exited";
        await call.json(200, {
          Id: id,
          State: { Status, Running: running, ExitCode: code, OOMKilled: oom, Error: "" },
        });
      },
      "DELETE /containers/*": async (call) => {
        const container = this.all.get(idOf(call));
        if (!container) return await call.json(404, { message: "No such container" });
        this.all.delete(container.id);
        container.end();
        await call.send(DONE);
      },
      ...overrides,
    };
  }

  /** Lets every handler come to its end. */
  endAll(): void {
    for (const container of this.all.values()) container.end();
  }

  #of(call: FakeCall): FakeContainer {
    const container = this.all.get(idOf(call));
    if (!container) throw new Error(`${call.method} ${call.path}: there is none`);
    return container;
  }
}

/** By id or name. */
function idOf(call: FakeCall): string {
  return call.path.split("/")[2] ?? "";
}

const QUICK: NonNullable<ClientOptions["timing"]> = {
  createMs: 300,
  startMs: 300,
  confirmMs: 20,
  killMs: 100,
  statusMs: 20,
  silenceMs: 50,
  patienceMs: 100,
  attemptMs: 100,
  pauseMs: [5, 20],
  appearMs: 200,
};

/** A client of the fake engine that is quick to lose patience; closed at the end of the block. */
export function quickClient(fake: FakeEngine, timing: ClientOptions["timing"] = {}): DockerClient {
  return clientOf(fake.engine(), {
    enforces: { memory: true, pids: true, cpus: true },
    cgroupVersion: "2",
    cgroupDriver: "systemd",
    rootless: false,
    ulimits: [],
  }, { timing: { ...QUICK, ...timing } });
}

/** Collects what a run prints. */
export function collector() {
  const text = { out: "", err: "" };
  const decoder = new TextDecoder();
  return {
    text,
    streams: {
      stdout: (bytes: Uint8Array) => void (text.out += decoder.decode(bytes, { stream: true })),
      stderr: (bytes: Uint8Array) => void (text.err += decoder.decode(bytes, { stream: true })),
    },
  };
}
