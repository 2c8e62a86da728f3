/** A made-up file system for planning, and a model of what a list of steps makes of it. Nothing real is touched. */
import { posix } from "node:path";
import type { FileSystem, FileType } from "../../lib/host/fs.ts";
import type { Step } from "../../lib/engine/namespaces/steps.ts";
import { isBelow } from "../../lib/engine/namespaces/tree.ts";

const ENOENT = 2, EACCES = 13, ELOOP = 40;
const MAX_SYMLINKS = 40;

/**
 * A file system of these entries: a path ending in `/` is a directory, `path -> target` a symlink, `path!` a device,
 * `path?` a directory that may not be searched; anything else is a file. Parents come by themselves.
 */
export function madeUpFs(entries: string[]): FileSystem {
  const types = new Map<string, FileType>([["/", "directory"]]);
  const links = new Map<string, string>();
  const closed = new Set<string>();
  for (const entry of entries) {
    const [name, target] = entry.split(" -> ") as [string, string?];
    const path = name.replace(/[/!?]$/, "");
    for (let at = posix.dirname(path); !types.has(at); at = posix.dirname(at)) types.set(at, "directory");
    if (target !== undefined) links.set(path, target);
    if (name.endsWith("?")) closed.add(path);
    types.set(
      path,
      target !== undefined
        ? "symlink"
        : /[/?]$/.test(name)
        ? "directory"
        : name.endsWith("!")
        ? "other"
        : "file",
    );
  }
  /** The real path, or an errno. */
  function walk(path: string, followLast: boolean): string | number {
    const pending = path.split("/").filter(Boolean);
    let at = "/", followed = 0;
    while (pending.length > 0) {
      const part = pending.shift()!;
      if (closed.has(at)) return EACCES;
      const next = part === "." ? at : part === ".." ? posix.dirname(at) : posix.join(at, part);
      const type = types.get(next);
      if (type === undefined) return ENOENT;
      if (type === "symlink" && (followLast || pending.length > 0)) {
        if (++followed > MAX_SYMLINKS) return ELOOP;
        const target = links.get(next)!;
        pending.unshift(...target.split("/").filter(Boolean));
        if (target.startsWith("/")) at = "/";
      } else at = next;
    }
    return at;
  }
  const typeOf = (real: string | number) => typeof real === "string" ? types.get(real) : undefined;
  return {
    lstat: (path) => typeOf(walk(path, false)),
    stat: (path) => typeOf(walk(path, true)),
    realpath: (path) => walk(path, true),
    readlink: (path) => {
      const real = walk(path, false);
      return typeof real === "string" ? links.get(real) : undefined;
    },
    readable: (path) => typeof walk(path, true) === "string",
    closedToRoot: () => undefined,
  };
}

interface Layer {
  at: string;
  /** Host path that shows here; without it the layer is an empty file system of our own. */
  source?: string;
  nodes: Map<string, { type: FileType; target?: string; content?: string; mode?: number }>;
  readOnly: boolean;
  devices: boolean;
  how: Step["do"];
}

/** What stands at a path inside. */
export interface Sight {
  type: FileType | undefined;
  /** Where it really is, inside. */
  path: string;
  /** The host path that shows there. */
  host?: string;
  content?: string | undefined;
  mode?: number | undefined;
  readOnly: boolean;
  devices: boolean;
  /** The kind of the mount it lies in; `root` for the root's own memory. */
  how: Step["do"];
}

/** Carries steps out in a model. Throws where a step would fail, or would make something on the host. */
export class Inside {
  readonly #layers: Layer[] = [];
  readonly #fs: FileSystem;

  constructor(steps: Step[], fs: FileSystem) {
    this.#fs = fs;
    this.#mount("/", { readOnly: false, devices: false, how: "root" });
    for (const step of steps) {
      try {
        this.#apply(step);
      } catch (error) {
        throw new Error(`${JSON.stringify(step)}: ${(error as Error).message}`);
      }
    }
  }

  #mount(at: string, layer: Omit<Layer, "at" | "nodes">): void {
    this.#layers.push({ ...layer, at, nodes: new Map([[at, { type: "directory" }]]) });
  }

  #layer(path: string): Layer {
    return this.#layers.findLast((layer) => isBelow(path, layer.at))!;
  }

  /** One name, no symlink followed. */
  #see(path: string): Sight & { target?: string | undefined } {
    const layer = this.#layer(path);
    const { readOnly, devices, how, source } = layer;
    if (source === undefined) {
      const node = layer.nodes.get(path);
      return { ...node, type: node?.type, path, readOnly, devices, how };
    }
    const host = posix.join(source, path.slice(layer.at === "/" ? 0 : layer.at.length));
    return {
      type: this.#fs.lstat(host),
      target: this.#fs.readlink(host),
      path,
      host,
      readOnly,
      devices,
      how,
    };
  }

  /** What a path inside leads to, symlinks followed within the root. */
  look(path: string): Sight {
    const pending = path.split("/").filter(Boolean);
    let at = "/", followed = 0;
    while (pending.length > 0) {
      const part = pending.shift()!;
      const next = part === "." ? at : part === ".." ? posix.dirname(at) : posix.join(at, part);
      const { type, target } = this.#see(next);
      if (type === "symlink") {
        if (++followed > MAX_SYMLINKS) throw new Error(`${path} runs in circles`);
        pending.unshift(...target!.split("/").filter(Boolean));
        if (target!.startsWith("/")) at = "/";
      } else if (type === undefined || (type !== "directory" && pending.length > 0)) {
        return { ...this.#see(next), type: undefined };
      } else at = next;
    }
    const { target: _, ...sight } = this.#see(at) as Sight & { target?: string };
    return sight;
  }

  #make(path: string, node: { type: FileType; target?: string; content?: string; mode?: number }): void {
    const parent = this.look(posix.dirname(path));
    if (parent.type !== "directory") throw new Error(`no directory ${parent.path}`);
    if (parent.host !== undefined) throw new Error(`it would be made on the host, in ${parent.host}`);
    const at = posix.join(parent.path, posix.basename(path));
    if (this.#see(at).type !== undefined) throw new Error(`${at} exists`);
    this.#layer(at).nodes.set(at, node);
  }

  #cover(step: { dest: string }, type: "directory" | "file", layer: Omit<Layer, "at" | "nodes">): void {
    const place = this.look(step.dest);
    if (place.type === undefined) throw new Error(`no mount point ${place.path}`);
    if ((place.type === "directory") !== (type === "directory")) {
      throw new Error(`a ${type} onto a ${place.type}`);
    }
    this.#mount(place.path, layer);
  }

  #apply(step: Step): void {
    switch (step.do) {
      case "root":
        return this.#mount("/", {
          source: step.source,
          readOnly: step.readOnly,
          devices: false,
          how: "bind",
        });
      case "directory":
        return this.#make(step.path, { type: "directory", mode: step.mode });
      case "file":
        return this.#make(step.path, { type: "file", content: step.content });
      case "symlink":
        return this.#make(step.path, { type: "symlink", target: step.target });
      case "bind":
      case "copy":
      case "overlay": {
        const found = this.#fs.stat(step.source);
        if (found === undefined) throw new Error(`no source ${step.source}`);
        if (this.#fs.realpath(step.source) !== step.source) throw new Error("the source is no real path");
        return this.#cover(step, found === "directory" ? "directory" : "file", {
          source: step.source,
          readOnly: "readOnly" in step && step.readOnly,
          devices: step.do === "bind" && step.devices,
          how: step.do,
        });
      }
      case "tmpfs": {
        this.#cover(step, "directory", { readOnly: step.readOnly, devices: false, how: "tmpfs" });
        const { at, nodes } = this.#layers.at(-1)!;
        nodes.set(at, { type: "directory", mode: step.mode });
        return;
      }
      case "devpts":
      case "proc":
        return this.#cover(step, "directory", { readOnly: false, devices: false, how: step.do });
      case "console":
        return this.#cover(step, "file", {
          source: "/dev/null",
          readOnly: false,
          devices: true,
          how: step.do,
        });
    }
  }
}
