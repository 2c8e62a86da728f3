/** Containers with a working directory: one for an execution with files, one for all commands of a session. */
import type { Result, Streams } from "../../engine/engine.ts";
import { Box } from "../../engine/docker/box.ts";
import type { DockerClient } from "../../engine/docker/client.ts";
import { CordonError } from "../../errors.ts";
import { type FileStore, TooMuch } from "../files/store.ts";
import { WORK } from "../files/run.ts";
import type { FileIn, ResultFile, Work } from "../files/work.ts";
import { containerCommand } from "../policy/shell.ts";
import type { DockerVerdict } from "../policy/verdict.ts";

export interface BoxWork {
  id: string;
  job: DockerVerdict & { argv?: string[] };
  work: Work;
  script: string;
  client: DockerClient;
  files: FileStore;
  streams: Streams;
}

const MOST_RESULTS = 256;
/** Of names of results. */
const MOST_LISTED = 2 ** 20;
const KINDS = { link: "a symbolic link", directory: "a directory", other: "no regular file" };

/** @throws CordonError */
export async function runInBox(asked: BoxWork): Promise<Result> {
  const { work: { session } } = asked;
  if (!session) {
    const box = await begin(asked);
    try {
      return await inBox(box, asked);
    } finally {
      await box.end();
    }
  }
  return await session.run(async () => {
    const box = await session.box(() => begin(asked));
    if (box.dead) throw new CordonError("The container of the session has ended");
    return await inBox(box, asked);
  });
}

function begin({ client, job: { config }, work: { limits }, streams: { signal } }: BoxWork): Promise<Box> {
  const host = config.HostConfig ?? {};
  const tmpfs = { ...host["Tmpfs"] ?? {}, [WORK]: `rw,exec,nosuid,nodev,mode=1777,size=${limits.workBytes}` };
  return Box.start(client, { ...config, WorkingDir: WORK, HostConfig: { ...host, Tmpfs: tmpfs } }, {
    directory: WORK,
    signal,
  });
}

async function inBox(box: Box, { id, job, work, script, files, streams }: BoxWork): Promise<Result> {
  for (const file of work.files) {
    await box.put(file.path, { mode: file.mode, source: await sourceOf(file, work.tenant, files) });
  }
  const { config, argv = containerCommand(script), limits } = job;
  const result = await box.run({
    argv: [...config.Entrypoint ?? [], ...argv],
    // As engines set it for a container.
    env: [...streams.terminal ? ["TERM=xterm"] : [], ...config.Env ?? []],
    workdir: config.WorkingDir ?? WORK,
    wallSeconds: limits.wallSeconds,
  }, streams);
  if (result.reason !== "aborted") files.keepResults(id, await collect(box, { id, work, files }));
  return result;
}

async function sourceOf(
  { from }: FileIn,
  tenant: string,
  files: FileStore,
): Promise<AsyncIterable<Uint8Array>> {
  if ("bytes" in from) {
    return (async function* () {
      yield from.bytes;
    })();
  }
  const stored = await files.open(from.id, tenant);
  if (!stored) throw new CordonError(`The stored file ${from.id} is gone`);
  return stored.file.readable;
}

/** What is followed here is followed inside, where the command could as well. */
async function collect(
  box: Box,
  { id, work: { results, tenant, limits }, files }: Pick<BoxWork, "id" | "work" | "files">,
): Promise<ResultFile[]> {
  const kept: ResultFile[] = [];
  if (results.length === 0) return kept;
  const none = (path: string, problem: string) => kept.push({ path, size: null, file: null, problem });
  if (box.dead) {
    for (const pattern of results) none(pattern, "The container has ended");
    return kept;
  }
  const seen = new Set<string>();
  for (const [index, entries] of (await box.list(results, MOST_LISTED)).entries()) {
    if (entries.length === 0) none(results[index]!, "There is no such file");
    for (const { path, kind, size } of entries) {
      if (seen.has(path)) continue;
      seen.add(path);
      if (kept.length >= MOST_RESULTS) {
        none(results[index]!, `There are more than ${MOST_RESULTS} results`);
        return kept;
      }
      if (kind !== "file") {
        none(path, `It is ${KINDS[kind]}`);
        continue;
      }
      try {
        if (size > limits.storeBytes) throw new TooMuch(`It has more than ${limits.storeBytes} bytes`);
        const name = path.split("/").at(-1)!;
        const row = await files.add({ tenant, limits, name, execution: id, source: box.read(path) });
        kept.push({ path, size: row.size, file: row.id, problem: null });
      } catch (error) {
        if (!(error instanceof TooMuch)) throw error;
        kept.push({ path, size, file: null, problem: error.message });
      }
    }
  }
  return kept;
}
