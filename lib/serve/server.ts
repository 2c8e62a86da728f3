/** The daemon: its parts put together, and its life from the start to the end. */
import { buildInfo } from "../buildinfo.ts";
import { CordonError } from "../errors.ts";
import { type Account, becomeAccount, findAccount } from "../host/account.ts";
import { realCgroupSystem } from "../host/cgroups.ts";
import type { Host } from "../host/host.ts";
import { privateParents, sweepDirectories } from "../jupyter/leftovers.ts";
import { createApp } from "./app.ts";
import type { ServeConfig } from "./config/types.ts";
import { delegateGroups } from "./delegate.ts";
import { closeEngines, type Engines, keepReady, openEngines } from "./engines.ts";
import { Executor } from "./executor.ts";
import { FileStore } from "./files/store.ts";
import { type Front, openFront } from "./front/front.ts";
import type { Handler } from "./front/handler.ts";
import type { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Outgoing } from "./outgoing.ts";
import { performWith } from "./perform.ts";
import { judge } from "./policy/judge.ts";
import { checkAgainstHost } from "./policy/start.ts";
import { situationOf } from "./service.ts";
import type { SetUp } from "./setup.ts";
import { Sessions } from "./sessions/sessions.ts";
import { prepareState, stateDirectory } from "./state.ts";
import { Store } from "./store.ts";

/** How often what is too old is forgotten. */
const PRUNE_MS = 60_000;
/** Output of executions kept for those who come back for it. */
const MOST_KEPT_OUTPUT = 256 * 2 ** 20;

export interface Started {
  daemon: Daemon;
  addresses: string[];
  /** For whoever starts the server. */
  notes: string[];
}

/**
 * Starts the server. As root with a user: it listens and reads keys as root, and is the user before it answers.
 *
 * @throws CordonError
 */
export async function startServer(
  setUp: SetUp,
  { host, log }: { host: Host; log: Log },
): Promise<Started> {
  const { config } = setUp;
  const account = accountOf(config, host);
  const state = config.state ?? stateDirectory(host);
  prepareState(state, account);
  const handler = Promise.withResolvers<Handler>();
  const front = await openFront({
    listen: config.listen,
    tls: config.tls,
    socketMode: config.socketMode,
    connections: config.connections,
    hosts: config.hosts,
    origins: config.origins,
    socketOwner: account,
    log: ({ event, ...fields }) => log("warn", String(event), fields),
  }, async (request, info) => (await handler.promise)(request, info));
  try {
    if (account) delegateGroups(account);
    const self = account ? becomeAccount(account, host) : host;
    const engines = await openEngines(config, self, log);
    const notes = [...engines.notes, ...checkAgainstHost(config, engines.facts)];
    const daemon = new Daemon({ setUp, host: self, state, log, front, engines });
    keepReady(engines, config);
    handler.resolve(daemon.handler);
    return { daemon, addresses: front.addresses, notes };
  } catch (error) {
    await front.close();
    throw error;
  }
}

/** Whom to become; undefined to stay. */
function accountOf({ user, engine }: ServeConfig, { uid }: Host): Account | undefined {
  if (user === undefined) return undefined;
  const account = findAccount(user);
  if (account.uid === uid) return undefined;
  if (uid !== 0) {
    throw new CordonError(`Cannot become ${user}`, { why: "Only root can become another user" });
  }
  if (account.uid === 0 && engine !== "docker") {
    throw new CordonError("--user is to name somebody else than root");
  }
  return account;
}

interface Parts {
  setUp: SetUp;
  host: Host;
  state: string;
  log: Log;
  front: Front;
  engines: Engines;
}

export class Daemon {
  readonly handler: Handler;
  readonly #parts: Parts;
  readonly #executor: Executor;
  readonly #store: Store;
  readonly #files: FileStore;
  readonly #sessions = new Sessions();
  readonly #prunes: number;
  #situation: ReturnType<typeof situationOf>;

  /** @throws CordonError when the record cannot be opened */
  constructor(parts: Parts) {
    this.#parts = parts;
    const { setUp: { config }, host, state, log, engines } = parts;
    const store = this.#store = new Store(`${state}/executions.db`);
    const files = this.#files = new FileStore(state);
    const metrics = new Metrics(buildInfo.version);
    metrics.watchFront(parts.front);
    this.#recover(host, metrics);
    this.#situation = situationOf(config);
    const executor = this.#executor = new Executor({
      perform: performWith({ host, files, ...(engines.docker && { docker: engines.docker }) }),
      store,
      metrics,
      log,
      limits: queueLimits(config),
    });
    const situation = () => this.#situation;
    this.handler = createApp({
      get situation() {
        return situation();
      },
      executor,
      store,
      files,
      sessions: this.#sessions,
      outgoing: new Outgoing(),
      metrics,
      log,
      judge: (asked) => judge(asked, engines.facts),
    }, buildInfo.version);
    this.#prunes = setInterval(() => this.#prune(), PRUNE_MS);
    this.#prune();
  }

  /** Goes on with the configuration as it is now; with the old one when that is wrong. */
  async reload(): Promise<void> {
    const { setUp, front, log, engines } = this.#parts;
    try {
      const config = setUp.again();
      checkAgainstHost(config, engines.facts);
      await front.reload();
      front.rename(config);
      this.#situation = situationOf(config);
      this.#executor.change(queueLimits(config));
      keepReady(engines, config);
      log("info", "reloaded");
    } catch (error) {
      if (!(error instanceof CordonError)) throw error;
      log("error", "reload-refused", { error: error.message, ...(error.why && { why: error.why }) });
    }
  }

  /** Takes nothing more. Resolves when what runs has ended, or was ended because its time was up, and is answered. */
  async drain(): Promise<void> {
    const { front, log, engines } = this.#parts;
    const { drainSeconds } = this.#situation.config;
    const timer = setTimeout(() => {
      log("warn", "drain-over", { seconds: drainSeconds });
      this.cancelAll();
    }, drainSeconds * 1000);
    await this.#executor.drain();
    clearTimeout(timer);
    await front.drain();
    await this.#sessions.close();
    await closeEngines(engines);
    clearInterval(this.#prunes);
    const writes = this.#store.close();
    if (writes > 0) log("error", "unrecorded", { writes });
    this.#files.close();
  }

  /** Ends all that runs. */
  cancelAll(): void {
    this.#executor.cancelAll("shutdown");
  }

  /** What a dead server left: sandboxes ended with it, their directories and unfinished records did not. */
  #recover({ env }: Host, metrics: Metrics): void {
    const { log } = this.#parts;
    for (const id of this.#store.loseUnfinished(Date.now())) {
      log("warn", "lost", { execution: id });
      metrics.lost(1);
    }
    const { left } = sweepDirectories(["/dev/shm", ...privateParents(env)], realCgroupSystem);
    if (left.length > 0) log("warn", "left-over", { directories: left });
  }

  #prune(): void {
    const endedBefore = Date.now() - this.#situation.config.retentionSeconds * 1000;
    try {
      this.#store.prune({ endedBefore, outputBytes: MOST_KEPT_OUTPUT });
      this.#files.sweep({ now: Date.now(), resultsBefore: endedBefore });
    } catch (error) {
      this.#parts.log("error", "prune", { error: String(error) });
    }
  }
}

function queueLimits({ concurrency, queue }: ServeConfig): { concurrency: number; length: number } {
  return { concurrency: concurrency ?? navigator.hardwareConcurrency, length: queue };
}
