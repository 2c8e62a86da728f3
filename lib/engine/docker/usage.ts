/**
 * What a container used, from its control groups: engines tell it of running containers only. That takes an engine on
 * this machine; of others, and of rootless ones that make no groups, nothing is known.
 */
import { inspectContainer } from "../../docker/containers.ts";
import type { Engine } from "../../docker/system.ts";
import { ownDirectory, parseCgroupMounts, parseOwnGroups } from "../../host/cgroups.ts";

/** Null where it is not known. */
export interface Used {
  userMs: number | null;
  systemMs: number | null;
  /** The most that it held at once, page cache and file systems in memory included. */
  peakBytes: number | null;
}

/** What is read of the machine; tests put a tree of theirs here. */
export interface GroupFiles {
  /** Undefined when it cannot be read. */
  read(path: string): Promise<string | undefined>;
}

/** Where the engine puts the groups of a container: directories around its id. */
interface Layout {
  cpu?: Place;
  memory?: Place;
}

interface Place {
  version: 1 | 2;
  before: string;
  after: string;
}

export const UNKNOWN: Used = { userMs: null, systemMs: null, peakBytes: null };

/** Where engines put them if nobody says otherwise, for who may not look at other users' processes (proc(5), hidepid). */
const USUAL = [
  "/docker/ID",
  "/system.slice/docker-ID.scope",
  "/libpod_parent/libpod-ID",
  "/machine.slice/libpod-ID.scope",
];
/** Containers after which it is given up. */
const MOST_LOOKS = 5;
const INSPECT_MS = 2000;
const NS_PER_MS = 1e6, US_PER_MS = 1e3;
/** Pauses between two looks at a running container grow from the first to the second. */
const FIRST_LOOK_MS = 5, LONGEST_PAUSE_MS = 200;

export class Usage {
  readonly #engine: Engine;
  readonly #files: GroupFiles;
  /** The engine's, once it is known; null when there is none to be seen. */
  #layout: Layout | null | undefined;
  #learning: Promise<void> | undefined;
  #looks = 0;

  constructor(engine: Engine, files: GroupFiles = realFiles) {
    this.#engine = engine;
    this.#files = files;
    if (engine.endpoint.kind !== "unix") this.#layout = null;
  }

  /** Looks where the groups of a running container are, once for all of them and beside everything else. */
  learn(id: string): void {
    if (this.#layout !== undefined) return;
    // Nobody waits for it. What goes wrong there goes wrong for the next as well, or is not this one's to tell.
    this.#learning ??= this.#look(id).catch(() => {}).finally(() => this.#learning = undefined);
  }

  get learning(): boolean {
    return this.#learning !== undefined;
  }

  /** What it used until now. Never throws: groups go with their containers, at any moment. */
  async of(id: string): Promise<Used> {
    return this.#layout ? await this.#read(this.#layout, id) : UNKNOWN;
  }

  async #read({ cpu, memory }: Layout, id: string): Promise<Used> {
    const [times, peakBytes] = await Promise.all([
      cpu && this.#times(cpu, id),
      memory && this.#peak(memory, id),
    ]);
    return { ...UNKNOWN, ...times, peakBytes: peakBytes ?? null };
  }

  /** Looks at a running container now and then, for its groups may have gone when its end is told. */
  watch(id: string): Watch {
    return new Watch(() => this.of(id));
  }

  async #look(id: string): Promise<void> {
    const signal = AbortSignal.timeout(INSPECT_MS);
    const { State: { Pid: pid } } = await inspectContainer(this.#engine, id, { signal });
    // It has ended: another one will tell.
    if (!(pid > 0)) return;
    const [own, mounts] = await Promise.all([
      this.#files.read(`/proc/${pid}/cgroup`),
      this.#files.read("/proc/self/mountinfo"),
    ]);
    this.#layout = own === undefined
      ? await this.#usual(id, mounts ?? "")
      : layoutOf(id, { own, mounts: mounts ?? "" });
  }

  /** Undefined when there is nothing in any of these places: the container may have ended just now. */
  async #usual(id: string, mounts: string): Promise<Layout | null | undefined> {
    for (const usual of USUAL) {
      const path = usual.replace("ID", id);
      const layout = layoutOf(id, { own: `1:cpuacct,memory:${path}\n0::${path}\n`, mounts });
      const { userMs, peakBytes } = layout ? await this.#read(layout, id) : UNKNOWN;
      if (userMs !== null || peakBytes !== null) return layout;
    }
    return ++this.#looks < MOST_LOOKS ? undefined : null;
  }

  async #times({ version, ...place }: Place, id: string): Promise<Omit<Used, "peakBytes"> | undefined> {
    const directory = directoryOf(place, id);
    if (version === 2) {
      const text = await this.#files.read(`${directory}/cpu.stat`);
      const number = (name: string) => Number(new RegExp(`^${name}_usec (\\d+)$`, "m").exec(text ?? "")?.[1]);
      return times(number("user") / US_PER_MS, number("system") / US_PER_MS);
    }
    const [all, user, system] = await Promise.all(
      ["usage", "usage_user", "usage_sys"].map(async (name) =>
        Number(await this.#files.read(`${directory}/cpuacct.${name}`) || NaN) / NS_PER_MS
      ),
    ) as [number, number, number];
    if (Number.isNaN(user + system)) return undefined;
    // The parts are sampled, the whole is measured: it is shared out as for getrusage(2).
    return user + system > 0
      ? times(all * user / (user + system), all * system / (user + system))
      : times(all, 0);
  }

  async #peak({ version, ...place }: Place, id: string): Promise<number | undefined> {
    const name = version === 2 ? "memory.peak" : "memory.max_usage_in_bytes";
    const bytes = Number(await this.#files.read(`${directoryOf(place, id)}/${name}`) || NaN);
    return Number.isFinite(bytes) ? bytes : undefined;
  }
}

/** Whoever has one must {@link end} it. */
export class Watch {
  readonly #ask: () => Promise<Used>;
  #last: Used = UNKNOWN;
  #pause = FIRST_LOOK_MS;
  #timer: number | undefined;
  #over = false;

  constructor(ask: () => Promise<Used>) {
    this.#ask = ask;
    this.#later();
  }

  async look(): Promise<void> {
    const { userMs, systemMs, peakBytes } = await this.#ask();
    // Groups may go one after the other.
    if (userMs !== null) this.#last = { ...this.#last, userMs, systemMs };
    if (peakBytes !== null) this.#last = { ...this.#last, peakBytes };
  }

  /** What was used when it could last be seen: at the end, or at most a fifth of a second before. */
  async end(): Promise<Used> {
    this.#over = true;
    clearTimeout(this.#timer);
    await this.look();
    return this.#last;
  }

  #later(): void {
    this.#timer = setTimeout(async () => {
      await this.look();
      if (!this.#over) this.#later();
    }, this.#pause);
    this.#pause = Math.min(this.#pause * 1.5, LONGEST_PAUSE_MS);
  }
}

function times(userMs: number, systemMs: number): Omit<Used, "peakBytes"> | undefined {
  if (!Number.isFinite(userMs) || !Number.isFinite(systemMs)) return undefined;
  return { userMs: Math.round(userMs), systemMs: Math.round(systemMs) };
}

/** From proc_pid_cgroup(5) of a process in the container; null when its groups are not its own, or not in sight. */
function layoutOf(id: string, { own, mounts }: { own: string; mounts: string }): Layout | null {
  const groups = parseOwnGroups(own);
  const hierarchies = parseCgroupMounts(mounts);
  const place = (controller: string): Place | undefined => {
    const v1 = hierarchies.find(({ version, names }) => version === 1 && names.includes(controller));
    const hierarchy = v1 ?? hierarchies.find(({ version }) => version === 2);
    const directory = hierarchy && ownDirectory(hierarchy, groups.get(v1 ? controller : ""));
    // What runtimes make below the container's group counts there too.
    const [before, rest] = directory?.split(id) ?? [];
    if (!hierarchy || before === undefined || rest === undefined) return undefined;
    return { version: hierarchy.version, before, after: rest.replace(/\/.*/, "") };
  };
  const [cpu, memory] = [place("cpuacct"), place("memory")];
  return cpu || memory ? { ...(cpu && { cpu }), ...(memory && { memory }) } : null;
}

function directoryOf({ before, after }: Omit<Place, "version">, id: string): string {
  return before + id + after;
}

const realFiles: GroupFiles = {
  async read(path) {
    try {
      return await Deno.readTextFile(path);
    } catch (error) {
      // Not there, not for us, or (ENODEV) gone between opening and reading.
      if (error instanceof Error) return undefined;
      throw error;
    }
  },
};
