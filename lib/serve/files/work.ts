/** A working directory of an execution: what goes into it and what comes out. Types only. */
import type { Session } from "../sessions/sessions.ts";
import type { FileLimits } from "../config/types.ts";

export interface Work {
  /** Whose stored files are meant. */
  tenant: string;
  limits: FileLimits;
  files: FileIn[];
  /** Names and patterns of files to keep after the end. */
  results: string[];
  /** Where the command begins, when it was said. */
  workdir?: string;
  /** Whose files are there before and stay afterwards. */
  session?: Session;
}

export interface FileIn {
  /** Checked: see `paths.ts`. */
  path: string;
  /** Permission bits. */
  mode: number;
  /** What is in it, or the stored file that has it. */
  from: { bytes: Uint8Array } | { id: string };
}

/** A file that was asked for. */
export interface ResultFile {
  path: string;
  /** Bytes; null when there is no such regular file. */
  size: number | null;
  /** Id of the stored file; null when it is not kept. */
  file: string | null;
  /** Why it is not. */
  problem: string | null;
}
