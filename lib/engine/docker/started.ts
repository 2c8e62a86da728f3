/** A container up to the moment it runs: create, attach, wait for the next exit, start, in an order without a race. */
import type { Attached } from "../../docker/attached.ts";
import {
  attachContainer,
  type ContainerConfig,
  createContainer,
  type Created,
  short,
  startContainer,
  waitContainer,
  type Waiting,
} from "../../docker/containers.ts";
import { BrokenConnectionError, EngineError, NotFoundError } from "../../docker/errors.ts";
import { inspectImage } from "../../docker/images.ts";
import { within } from "../../docker/pump.ts";
import { asStart } from "../../docker/starterror.ts";
import type { TerminalSize } from "../engine.ts";
import type { DockerClient } from "./client.ts";
import { labelsOf } from "./identity.ts";
import { completed } from "./ulimits.ts";

/** A running container with its streams. Whoever has one must {@link end} it. */
export interface Started {
  id: string;
  attached: Attached;
  waiting: Promise<Waiting>;
  /** Resolves when the engine says that it has ended; rejects when the engine is no longer there to say so. */
  exited: Promise<unknown>;
  /** Ends every request of this container. */
  session: AbortController;
  /** What the engine warned of on creation, limits it dropped among it. */
  warnings: string[];
}

/** The configuration as it is sent: streams, labels and no log that nobody reads. */
export function complete(
  client: DockerClient,
  config: ContainerConfig,
  options: { stdin: boolean; terminal?: TerminalSize | undefined; labels?: Record<string, string> },
): ContainerConfig {
  const { stdin, terminal, labels } = options;
  const Ulimits = completed(config.HostConfig?.["Ulimits"], client.facts.ulimits);
  return {
    ...config,
    Tty: terminal !== undefined,
    AttachStdin: stdin,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: stdin,
    StdinOnce: stdin,
    Labels: { ...config.Labels, ...labels, ...labelsOf(client.identity) },
    HostConfig: {
      LogConfig: { Type: "none" },
      ...config.HostConfig,
      ...Ulimits !== undefined && { Ulimits },
      ...(terminal && { ConsoleSize: [terminal.rows, terminal.columns] }),
      AutoRemove: false,
    },
  };
}

/**
 * @throws EngineError, with an `exit` of 127, 126 or 125 when the container could not be started; the signal's reason.
 * Nothing is left then, or will be as soon as the engine answers.
 */
export async function startNew(
  client: DockerClient,
  config: ContainerConfig,
  signal?: AbortSignal,
): Promise<Started> {
  signal?.throwIfAborted();
  const session = new AbortController();
  const stop = () => session.abort(signal?.reason);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    config = await amended(client, config, session.signal);
    const { Id: id, Warnings } = await createNamed(client, config, session.signal);
    try {
      const connected = await connectAndStart(client, id, { config, session });
      client.usage.learn(id);
      return { id, session, warnings: Warnings ?? [], ...connected };
    } catch (error) {
      session.abort(error);
      await client.removals.remove(id);
      throw error;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Gives the streams up and has the container removed, running or not. See {@link Removals.remove} for how long it takes. */
export async function end(client: DockerClient, started: Started): Promise<void> {
  started.session.abort(new EngineError("The run is over"));
  await client.removals.remove(started.id);
}

/** An image that is not there is the creation's to complain of. */
async function amended(
  { amend, engine, timing }: DockerClient,
  config: ContainerConfig,
  signal: AbortSignal,
): Promise<ContainerConfig> {
  if (!amend) return config;
  try {
    const looking = inspectImage(engine, config.Image, { signal });
    const image = await within(looking, { ms: timing.createMs, signal });
    if (image) return amend(config, image);
    looking.catch(() => undefined);
    throw new EngineError(`Cannot create a container from image ${config.Image}`, {
      why: `The engine did not tell of it within ${timing.createMs} ms`,
    });
  } catch (error) {
    if (error instanceof NotFoundError) return config;
    throw error;
  }
}

/** Creation is never broken off, which could leave a container that nobody knows of: it is removed when it is there. */
async function createNamed(
  client: DockerClient,
  config: ContainerConfig,
  signal: AbortSignal,
): Promise<Created> {
  const { engine, removals, timing } = client;
  const name = `cordon-${crypto.randomUUID()}`;
  const creating = createContainer(engine, config, { name });
  const clean = async () => {
    try {
      const { Id } = await creating;
      await removals.remove(Id);
    } catch (error) {
      // Unanswered is not undone. A refusal is.
      if (error instanceof BrokenConnectionError) await removals.remove(name, { mayAppear: true });
    }
  };
  try {
    const created = await within(creating, { ms: timing.createMs, signal });
    if (created) return created;
    throw new EngineError(`Cannot create a container from image ${config.Image}`, {
      why: `The engine did not answer within ${timing.createMs} ms`,
    });
  } catch (error) {
    removals.follow(clean());
    throw error;
  }
}

interface Parts {
  config: ContainerConfig;
  session: AbortController;
}

async function connectAndStart(
  client: DockerClient,
  id: string,
  { config, session }: Parts,
): Promise<Pick<Started, "attached" | "waiting" | "exited">> {
  const { engine, timing } = client;
  const { signal } = session;
  const late = () =>
    session.abort(
      new EngineError(`Cannot start container ${short(id)}`, {
        why: `The engine did not answer within ${timing.startMs} ms`,
      }),
    );
  const timer = setTimeout(late, timing.startMs);
  try {
    signal.throwIfAborted();
    const waiting = waitContainer(engine, id, { condition: "next-exit", signal });
    const exited = waiting.then(({ result }) => result);
    exited.catch(() => undefined);
    const [attached] = await Promise.all([
      // Podman sets the container up here, so that its start errors can come from attach.
      asStart(
        attachContainer(engine, id, { tty: config.Tty === true, stdin: config.OpenStdin === true, signal }),
        id,
      ),
      // An engine that does not confirm has most likely registered it all the same; the status is asked for then.
      within(waiting, { ms: timing.confirmMs, signal }),
    ]);
    await asStart(startContainer(engine, id, { signal }), id);
    return { attached, waiting, exited };
  } finally {
    clearTimeout(timer);
  }
}
