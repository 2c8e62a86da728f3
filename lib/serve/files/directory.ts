/**
 * The working directory of a sandbox, held from outside by a descriptor. It is a file system in memory of its own, so
 * that its size is the kernel's to enforce, and it is gone when the descriptor is closed or this process ends. What
 * is done here is done while nothing untrusted runs inside: before the command begins, and when the sandbox is gone.
 * Only therefore may a name be looked at first and used afterwards.
 */
import { O, openFlags } from "../../../ffi/constants.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { lastErrno, libc } from "../../../ffi/libc.ts";
import { CordonError, reasonOf } from "../../errors.ts";
import { cString } from "../../host/bytes.ts";
import { type FileStore, TooMuch } from "./store.ts";
import { fits, isPattern } from "./paths.ts";
import type { FileIn, ResultFile, Work } from "./work.ts";
import { writeAll } from "../../host/pieces.ts";

/** Results of one execution. */
const MOST_RESULTS = 256;

export class WorkDirectory implements Disposable {
  readonly #fd: number;

  /** @param path of a directory. @throws CordonError */
  constructor(path: string) {
    const { DIRECTORY, NOFOLLOW } = openFlags(Deno.build.arch);
    // A link of proc(5) is followed all the same: it is the last but one part of the path.
    this.#fd = libc().open(cString(`${path}/.`), O.RDONLY | O.CLOEXEC | DIRECTORY | NOFOLLOW, 0);
    if (this.#fd < 0) throw new CordonError(`Cannot open ${path}`, { why: errnoText(lastErrno()) });
  }

  /** By which this process reaches it. */
  get path(): string {
    return `/proc/self/fd/${this.#fd}`;
  }

  [Symbol.dispose](): void {
    libc().close(this.#fd);
  }

  /** Puts files into it, in place of what has their names. @throws CordonError */
  async place(
    files: readonly FileIn[],
    { store, tenant }: { store: FileStore; tenant: string },
  ): Promise<void> {
    for (const { path, mode, from } of files) {
      try {
        await this.#makeWay(path);
        using file = await Deno.open(`${this.path}/${path}`, { write: true, createNew: true, mode: 0o600 });
        if ("bytes" in from) await writeAll(file, from.bytes);
        else {
          const stored = await store.open(from.id, tenant);
          if (!stored) throw new CordonError(`The stored file ${from.id} is gone`);
          await stored.file.readable.pipeTo(file.writable, { preventClose: true });
        }
        await Deno.chmod(`${this.path}/${path}`, mode);
      } catch (cause) {
        if (cause instanceof CordonError) throw cause;
        throw new CordonError(`Cannot put ${JSON.stringify(path)} into the working directory`, {
          why: reasonOf(cause),
          cause,
        });
      }
    }
  }

  /** Directories above a path that are none of another kind, and nothing at the path itself. */
  async #makeWay(path: string): Promise<void> {
    const names = path.split("/");
    for (let count = 1; count < names.length; count++) {
      const place = names.slice(0, count).join("/");
      const there = await this.#look(place);
      if (!there) await Deno.mkdir(`${this.path}/${place}`, { mode: 0o755 });
      else if (!there.isDirectory) {
        throw new CordonError(`Cannot put ${JSON.stringify(path)} into the working directory`, {
          why: `${JSON.stringify(place)} is ${kindOf(there)}`,
        });
      }
    }
    const there = await this.#look(path);
    if (there?.isDirectory) {
      throw new CordonError(`Cannot put ${JSON.stringify(path)} into the working directory`, {
        why: "There is a directory",
      });
    }
    if (there) await Deno.remove(`${this.path}/${path}`);
  }

  /** Keeps what was asked for. Never follows a symbolic link. */
  async collect(
    { results, tenant, limits }: Work,
    store: FileStore,
    execution: string,
  ): Promise<ResultFile[]> {
    const kept: ResultFile[] = [];
    const seen = new Set<string>();
    for (const pattern of results) {
      let count = 0;
      for await (const { path, info, problem } of this.#matching(pattern.split("/"))) {
        count++;
        if (seen.has(path)) continue;
        seen.add(path);
        if (kept.length >= MOST_RESULTS) {
          kept.push(none(pattern, `There are more than ${MOST_RESULTS} results`));
          return kept;
        }
        if (!info?.isFile) {
          kept.push(none(path, problem ?? `It is ${kindOf(info!)}`));
          continue;
        }
        // Of a sparse file it can be more than a number tells apart: then it comes as a bigint.
        const size = Math.min(Number(info.size), Number.MAX_SAFE_INTEGER);
        try {
          if (size > limits.storeBytes) throw new TooMuch(`It has more than ${limits.storeBytes} bytes`);
          using file = await Deno.open(`${this.path}/${path}`, { read: true });
          const name = path.split("/").at(-1)!;
          const { id } = await store.add({ tenant, limits, name, execution, source: chunks(file) });
          kept.push({ path, size, file: id, problem: null });
        } catch (error) {
          const told = error instanceof TooMuch || error instanceof CordonError;
          if (!told && !(error instanceof Deno.errors.PermissionDenied)) throw error;
          kept.push({ path, size, file: null, problem: told ? error.message : "It cannot be read" });
        }
      }
      if (count === 0) kept.push(none(pattern, "There is no such file"));
    }
    return kept;
  }

  async *#matching(
    [part = "", ...rest]: string[],
    above = "",
  ): AsyncGenerator<{ path: string; info?: Deno.FileInfo; problem?: string }> {
    const names = isPattern(part) ? await this.#names(above, part) : [part];
    for (const name of names) {
      const path = `${above}${name}`;
      const info = await this.#look(path);
      if (!info) continue;
      if (rest.length === 0) yield { path, info };
      else if (info.isDirectory) yield* this.#matching(rest, `${path}/`);
      else if (!isPattern(part)) {
        yield { path: [path, ...rest].join("/"), problem: `${JSON.stringify(path)} is ${kindOf(info)}` };
      }
    }
  }

  async #names(above: string, pattern: string): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const { name } of Deno.readDir(`${this.path}/${above}`)) {
        if (fits(name, pattern)) names.push(name);
      }
    } catch (error) {
      // The command took its own permission to read it away, or dug too deep.
      if (!(error instanceof Deno.errors.PermissionDenied || isTooLong(error))) throw error;
    }
    return names.sort();
  }

  async #look(path: string): Promise<Deno.FileInfo | undefined> {
    try {
      return await Deno.lstat(`${this.path}/${path}`);
    } catch (error) {
      const absent = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
        error instanceof Deno.errors.NotADirectory || isTooLong(error);
      if (absent) return undefined;
      throw error;
    }
  }
}

/** ENAMETOOLONG: each name fits, all of them together do not. */
function isTooLong(error: unknown): boolean {
  return /\(os error 36\)/.test(String(error));
}

function none(path: string, problem: string): ResultFile {
  return { path, size: null, file: null, problem };
}

function kindOf({ isSymlink, isDirectory, isFifo, isSocket, isFile }: Deno.FileInfo): string {
  if (isSymlink) return "a symbolic link";
  if (isDirectory) return "a directory";
  if (isFifo) return "a FIFO";
  if (isSocket) return "a socket";
  return isFile ? "a file" : "a device";
}

const CHUNK_BYTES = 64 * 1024;

async function* chunks(file: Deno.FsFile): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let got = await file.read(buffer); got !== null; got = await file.read(buffer)) {
    yield buffer.subarray(0, got);
  }
}
