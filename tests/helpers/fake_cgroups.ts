/**
 * A recorded machine for the cgroup code: a tree of control files in memory that answers as the kernel does where
 * the code depends on it (new groups get their files, groups with processes cannot be removed).
 */
import type { CgroupSystem } from "../../lib/host/cgroups.ts";

export interface FakeMachine {
  files: Record<string, string>;
  /** Files that cannot be opened for writing; by default all can. */
  readOnly?: (path: string) => boolean;
  owners?: Record<string, number>;
  uid?: number;
  env?: Record<string, string>;
  programs?: Record<string, string>;
  pidNamespace?: string;
}

export const OWN_PID = 500;

export function statLine(pid: number, startTime: number, state = "S"): string {
  const between = Array.from({ length: 18 }, () => "0").join(" ");
  return `${pid} (a (name) here) ${state} ${between} ${startTime} 0 0`;
}

export class FakeCgroups implements CgroupSystem {
  /** Every change, in order. */
  readonly log: string[] = [];
  /** Called before a change; throw to make it fail. */
  fail: (action: string) => void = () => {};
  readonly files: Map<string, string>;
  readonly #machine: FakeMachine;

  constructor(machine: FakeMachine) {
    this.#machine = machine;
    this.files = new Map(
      Object.entries({ [`/proc/${OWN_PID}/stat`]: statLine(OWN_PID, 77), ...machine.files }),
    );
  }

  #change(action: string) {
    this.fail(action);
    this.log.push(action);
  }

  read(path: string): string {
    const text = this.files.get(path);
    if (text === undefined) throw new Deno.errors.NotFound(path);
    return text;
  }

  write(path: string, text: string): void {
    if (!this.files.has(path)) throw new Deno.errors.NotFound(path);
    this.#change(`write ${path} ${text}`);
    if (path.endsWith("/cgroup.procs")) return this.#move(path, text);
    if (path.endsWith("/cgroup.kill")) return this.#killAll(path.slice(0, -"/cgroup.kill".length));
    const before = this.files.get(path)!;
    this.files.set(path, path.endsWith("subtree_control") ? `${before} ${text.replaceAll("+", "")}` : text);
  }

  #move(path: string, pid: string): void {
    for (const [name, text] of this.files) {
      if (!name.endsWith("/cgroup.procs")) continue;
      this.files.set(name, text.split(/\s+/).filter((word) => word && word !== pid).join("\n"));
    }
    this.files.set(path, `${this.files.get(path)}\n${pid}`);
  }

  #killAll(dir: string): void {
    this.files.set(`${dir}/cgroup.procs`, "");
  }

  mkdir(path: string): void {
    this.#change(`mkdir ${path}`);
    if (this.exists(path)) throw new Deno.errors.AlreadyExists(path);
    const parent = path.slice(0, path.lastIndexOf("/"));
    for (const name of [...this.files.keys()]) {
      const file = name.slice(parent.length + 1);
      if (name.startsWith(`${parent}/`) && !file.includes("/")) this.files.set(`${path}/${file}`, "");
    }
  }

  rmdir(path: string): void {
    if (!this.exists(path)) throw new Deno.errors.NotFound(path);
    if (this.files.get(`${path}/cgroup.procs`)?.trim()) {
      throw Object.assign(new Error("busy"), { code: "EBUSY" });
    }
    this.#change(`rmdir ${path}`);
    for (const name of [...this.files.keys()]) if (name.startsWith(`${path}/`)) this.files.delete(name);
  }

  list(path: string): string[] {
    const names = new Set<string>();
    for (const name of this.files.keys()) {
      const rest = name.startsWith(`${path}/`) ? name.slice(path.length + 1) : "";
      if (rest.includes("/")) names.add(rest.slice(0, rest.indexOf("/")));
    }
    return [...names];
  }

  exists(path: string): boolean {
    return this.files.has(path) || [...this.files.keys()].some((name) => name.startsWith(`${path}/`));
  }

  writable(path: string): boolean {
    return this.files.has(path) && !(this.#machine.readOnly?.(path) ?? false);
  }

  owner(path: string): number {
    return this.#machine.owners?.[path] ?? this.uid();
  }

  pidNamespace = () => this.#machine.pidNamespace ?? "4026531836";

  kill(pid: number): void {
    this.#change(`kill ${pid}`);
    for (const [name, text] of this.files) {
      if (name.endsWith("/cgroup.procs")) {
        this.files.set(name, text.split(/\s+/).filter((word) => word && word !== String(pid)).join("\n"));
      }
    }
  }

  pause(): void {}
  which = (program: string) => this.#machine.programs?.[program];
  uid = () => this.#machine.uid ?? 1000;
  pid = () => OWN_PID;
  env = (name: string) => this.#machine.env?.[name];
}

/** A directory of a v2 tree with the files that matter. */
export function v2Group(dir: string, group: { controllers: string; procs?: string; subtree?: string }) {
  return {
    [`${dir}/cgroup.controllers`]: group.controllers,
    [`${dir}/cgroup.subtree_control`]: group.subtree ?? "",
    [`${dir}/cgroup.procs`]: group.procs ?? "",
    [`${dir}/cgroup.type`]: "domain",
    [`${dir}/cgroup.kill`]: "",
    [`${dir}/memory.max`]: "max",
    [`${dir}/memory.swap.max`]: "max",
    [`${dir}/memory.oom.group`]: "0",
    [`${dir}/memory.events`]: "oom_kill 0",
    [`${dir}/pids.max`]: "max",
    [`${dir}/cpu.max`]: "max 100000",
  };
}

export const V2_MOUNT =
  "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
