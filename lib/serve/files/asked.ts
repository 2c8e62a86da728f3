/** From what was asked about files to the working directory of a job. */
import { Buffer } from "node:buffer";
import type { Tenant } from "../config/types.ts";
import type { Job } from "../execution.ts";
import { isIn } from "../policy/mounts.ts";
import { Problem } from "../problem.ts";
import type { CreateExecution } from "../schemas-v1.ts";
import type { Session } from "../sessions/sessions.ts";
import { WORK } from "./run.ts";
import type { FileStore } from "./store.ts";
import type { FileIn, Work } from "./work.ts";

/** What the policy's sandbox begins in when nothing was said. */
const HOME = "/tmp";

/** The job with its working directory, when the request has to do with files. @throws Problem */
export function withWork(
  job: Job,
  asked: Pick<CreateExecution, "files" | "results" | "workdir">,
  { tenant, store, session }: { tenant: Tenant; store: FileStore; session: Session | undefined },
): Job {
  const { files: given, results = [] } = asked;
  if (given === undefined && asked.results === undefined) return job;
  const files = (given ?? []).map(({ path, text, base64, file, mode }): FileIn => ({
    path,
    mode: parseInt(mode, 8),
    from: file !== undefined
      ? { id: file }
      : { bytes: text !== undefined ? new TextEncoder().encode(text) : Buffer.from(base64!, "base64") },
  }));
  const { files: limits } = tenant.policy;
  const sizes = files.map(({ from }, index) => {
    if ("bytes" in from) return from.bytes.length;
    const row = store.get(from.id, tenant.name);
    if (row) return row.size;
    throw new Problem("invalid", { detail: `/files/${index}/file: There is no such file` });
  });
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  if (bytes > limits.workBytes) {
    const detail = `The files have ${bytes} bytes; a working directory has ${limits.workBytes}`;
    throw new Problem("refused", { detail });
  }
  const work: Work = { tenant: tenant.name, limits, files, results, ...(session && { session }) };
  return job.engine === "docker" ? inContainer(job, work) : inSandbox(job, work, asked.workdir);
}

/** @throws Problem */
function inContainer(job: Job & { engine: "docker" }, work: Work): Job {
  const { Mounts = [], Tmpfs = {} } = (job.config.HostConfig ?? {}) as {
    Mounts?: { Target: string }[];
    Tmpfs?: Record<string, string>;
  };
  refuseTaken([...Mounts.map(({ Target }) => Target), ...Object.keys(Tmpfs)]);
  return { ...job, work };
}

/** @throws Problem */
function inSandbox(job: Job & { engine: "namespaces" }, work: Work, asked: string | undefined): Job {
  const { spec } = job;
  // A working directory that is not there otherwise is made as a file system of its own.
  const mounts = spec.mounts.filter(({ dest, kind }) =>
    !(kind === "tmp" && dest === spec.workdir.path && isIn(dest, WORK))
  );
  refuseTaken(mounts.map(({ dest }) => dest));
  const { path } = spec.workdir;
  const workdir = asked ?? (path === HOME ? undefined : path);
  return {
    ...job,
    spec: { ...spec, mounts },
    work: { ...work, ...(workdir !== undefined && { workdir }) },
  };
}

function refuseTaken(places: readonly string[]): void {
  const taken = places.find((place) => isIn(place, WORK) || isIn(WORK, place));
  if (taken === undefined) return;
  throw new Problem("invalid", { detail: `A mount at ${taken} excludes files, results and sessions` });
}
