/** One execution: policy, Spec, captured output. */
import type { Engine, Result } from "../engine/engine.ts";
import type { Host } from "../host/host.ts";
import { userOf } from "../spec/defaults.ts";
import type { Limits, Spec } from "../spec/spec.ts";
import type { ExecuteRequest } from "./request.ts";

/** The answer of Dockyter's contract, and what cordon adds. */
export interface Answer {
  stdout: string;
  stderr: string;
  /** 128 + N after signal N, 124 after the time limit; null when nothing ran. */
  exit_code: number | null;
  duration_ms: number;
  truncated: boolean;
  id: string;
}

/** Bytes of stdout and stderr together that are kept. */
export const MOST_OUTPUT = 2 ** 20;

/** Why these docker-run arguments are refused; undefined when they are not. Only what is named here is allowed. */
export function refusal(args: string): string | undefined {
  const words = args.split(/\s+/).filter((word) => word !== "");
  if (words.length === 1 && words[0] === "host") return undefined;
  if (words.length === 0) {
    return "no image is named: this server runs programs of its host, under the image name host";
  }
  return `${
    JSON.stringify(words.find((word) => word !== "host") ?? args)
  } is not allowed: this server takes the image name host and nothing else`;
}

export function toSpec(cmd: string, host: Host, limits: Limits): Spec {
  return {
    command: [bash(), "-lc", cmd],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/tmp", LANG: "C.UTF-8" },
    workdir: { path: "/tmp", required: true },
    user: { ...userOf(host, "user"), group: "user", home: "/tmp", shell: bash() },
    mapRoot: false,
    hostname: "cordon",
    root: { assembleAt: "/tmp", etc: true },
    mounts: [],
    network: { mode: "none", allow: [] },
    limits,
    keepFds: [],
    rawStdio: true,
    nested: false,
    verbose: false,
  };
}

function bash(): string {
  try {
    return Deno.statSync("/bin/bash").isFile ? "/bin/bash" : "/bin/sh";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "/bin/sh";
    throw error;
  }
}

/** Keeps the first bytes of both outputs; what comes later is read and dropped. */
export class Captured {
  readonly #parts: Record<"stdout" | "stderr", Uint8Array[]> = { stdout: [], stderr: [] };
  #room: number;
  truncated = false;

  constructor(room: number) {
    this.#room = room;
  }

  take(stream: "stdout" | "stderr", chunk: Uint8Array): void {
    if (chunk.length > this.#room) this.truncated = true;
    const kept = chunk.slice(0, this.#room);
    this.#room -= kept.length;
    if (kept.length > 0) this.#parts[stream].push(kept);
  }

  text(stream: "stdout" | "stderr"): string {
    const decoder = new TextDecoder();
    return this.#parts[stream].map((part) => decoder.decode(part, { stream: true })).join("") +
      decoder.decode();
  }
}

export interface Surroundings {
  engine: Engine;
  host: Host;
  limits: Limits;
}

export async function execute(
  request: ExecuteRequest,
  { engine, host, limits }: Surroundings,
  { id, signal }: { id: string; signal: AbortSignal },
): Promise<Answer> {
  const captured = new Captured(MOST_OUTPUT);
  const result = await engine.run(toSpec(request.cmd, host, limits), host, {
    stdout: (chunk) => captured.take("stdout", chunk),
    stderr: (chunk) => captured.take("stderr", chunk),
    signal,
  });
  return {
    stdout: captured.text("stdout"),
    stderr: captured.text("stderr") + remark(result, limits),
    exit_code: statusOf(result),
    duration_ms: result.wallMs,
    truncated: captured.truncated,
    id,
  };
}

function remark(result: Result, limits: Limits): string {
  if (result.reason === "timeout") {
    return `cordon: the time limit of ${limits.wallSeconds} s ended the command\n`;
  }
  if (result.reason === "memory") return "cordon: the memory limit ended the command\n";
  return "";
}

function statusOf({ reason, exitCode, signal }: Result): number | null {
  if (reason === "timeout") return 124;
  if (reason === "cordon") return 125;
  return exitCode ?? (signal === null ? null : 128 + signal);
}
