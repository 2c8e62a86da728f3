/**
 * Images for a daemon, where one execution differs from the last in its script and in random names alone: such an image
 * is made once and filled in anew each time, which takes a tenth of the time.
 */
import { Buffer } from "node:buffer";
import { randomId } from "../../host/cgroups.ts";
import type { Spec } from "../../spec/spec.ts";

/** So long what was looked at on this machine counts as unchanged. */
const FRESH_MS = 1000;
/** Longer scripts are rare, and pay for themselves. */
const LONGEST_SCRIPT = 32 * 1024;
const SHORTEST_ROOM = 1024;
const MOST_TEMPLATES = 32;
const ID_LENGTH = randomId().length;

interface Template {
  image: Uint8Array<ArrayBuffer>;
  made: number;
  /** Where the script stands, and bytes there, its NUL among them. */
  script: number;
  room: number;
  /** Where each random name stands. */
  ids: number[][];
}

export interface Wanted {
  spec: Spec;
  /** Paths that end in a name from {@link randomId}, and occur in the image. */
  paths: readonly string[];
  build(spec: Spec): Uint8Array<ArrayBuffer>;
}

export class Templates {
  readonly #kept = new Map<string, Template>();

  /** The image. It is this object's own: good until the next call. */
  image(wanted: Wanted, now: number = performance.now()): Uint8Array<ArrayBuffer> {
    const { spec, paths, build } = wanted;
    const script = spec.command.at(-1) ?? "";
    const room = roomFor(script);
    // A program without arguments is looked up by its name, and what binds is looked at each time.
    if (room === undefined || spec.command.length < 2 || spec.mounts.length > 0 || spec.seccomp) {
      return build(spec);
    }
    const rest = { ...spec, result: undefined, command: spec.command.slice(0, -1) };
    const key = JSON.stringify([room, paths.map((path) => path.slice(0, -ID_LENGTH)), rest]);
    let template = this.#kept.get(key);
    if (!template || now - template.made > FRESH_MS) {
      template = make(wanted, room, now);
      if (!template) return build(spec);
      this.#keep(key, template);
    }
    return fill(template, script, paths.map(idOf));
  }

  #keep(key: string, template: Template): void {
    this.#kept.delete(key);
    this.#kept.set(key, template);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_TEMPLATES) this.#kept.delete(oldest!);
  }
}

/** Bytes for a script and its NUL, in few sizes; undefined for what is not to be filled in. */
function roomFor(script: string): number | undefined {
  // Lone surrogates are bytes that are no UTF-8, see lib/host/bytes.ts.
  if (!script.isWellFormed() || script.includes("\0")) return undefined;
  const needed = Buffer.byteLength(script) + 1;
  if (needed > LONGEST_SCRIPT) return undefined;
  return Math.max(SHORTEST_ROOM, 2 ** Math.ceil(Math.log2(needed)));
}

/** Undefined when a name or the script does not stand in it as expected. */
function make({ spec, paths, build }: Wanted, room: number, now: number): Template | undefined {
  const mark = randomId().padEnd(room - 1, "-");
  const image = build({ ...spec, command: [...spec.command.slice(0, -1), mark] });
  const bytes = Buffer.from(image.buffer);
  const [script, ...more] = places(bytes, `\0${mark}\0`);
  const found = paths.map((path) => places(bytes, idOf(path)));
  if (script === undefined || more.length > 0 || found.some(({ length }) => length === 0)) return undefined;
  return { image, made: now, script: script + 1, room, ids: found };
}

function fill(
  { image, script, room, ids }: Template,
  text: string,
  names: readonly string[],
): Uint8Array<ArrayBuffer> {
  const place = image.subarray(script, script + room);
  const { written } = new TextEncoder().encodeInto(text, place);
  // Nothing of the script before.
  place.fill(0, written);
  ids.forEach((places, index) => {
    for (const at of places) new TextEncoder().encodeInto(names[index]!, image.subarray(at));
  });
  return image;
}

function idOf(path: string): string {
  return path.slice(-ID_LENGTH);
}

function places(bytes: Buffer, text: string): number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) found.push(at);
  return found;
}
