/** Further processes in a running container (Engine API, "Exec"). */

import { Attached } from "./attached.ts";
import { type Call, short } from "./containers.ts";
import { command, request, segment } from "./request.ts";
import type { Engine } from "./system.ts";

export interface ExecConfig {
  Cmd: string[];
  Env?: string[];
  User?: string;
  WorkingDir?: string;
  Tty?: boolean;
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  Privileged?: boolean;
}

export interface ExecDetails {
  ID: string;
  Running: boolean;
  /** Null while it runs. */
  ExitCode: number | null;
  Pid: number;
  ContainerID: string;
}

/** Prepares a process in a running container; returns the exec's id. Output is attached unless said otherwise. */
export async function createExec(
  engine: Engine,
  container: string,
  options: Call & { config: ExecConfig },
): Promise<string> {
  const reply = await request(engine, {
    method: "POST",
    path: `/containers/${segment(container)}/exec`,
    what: `execute ${options.config.Cmd[0] ?? "nothing"} in container ${short(container)}`,
    json: { AttachStdout: true, AttachStderr: true, ...options.config },
    signal: options.signal,
  });
  return (await reply.json<{ Id: string }>()).Id;
}

/** Starts a prepared process and connects to its streams. */
export async function startExec(
  engine: Engine,
  exec: string,
  options: Call & { tty: boolean },
): Promise<Attached> {
  const reply = await request(engine, {
    method: "POST",
    path: `/exec/${segment(exec)}/start`,
    what: `start exec ${short(exec)}`,
    json: { Detach: false, Tty: options.tty },
    accept: [101],
    hijack: true,
    signal: options.signal,
  });
  return new Attached(reply, { tty: options.tty });
}

export async function inspectExec(engine: Engine, exec: string, options: Call = {}): Promise<ExecDetails> {
  const path = `/exec/${segment(exec)}/json`;
  return await (await request(engine, {
    method: "GET",
    path,
    what: `inspect exec ${short(exec)}`,
    ...options,
  })).json();
}
/** Tells an exec's terminal its size in characters. */
export async function resizeExec(
  engine: Engine,
  exec: string,
  options: Call & { rows: number; columns: number },
): Promise<void> {
  await command(engine, {
    method: "POST",
    path: `/exec/${segment(exec)}/resize`,
    query: { h: options.rows, w: options.columns },
    what: `resize the terminal of exec ${short(exec)}`,
    accept: [201],
    signal: options.signal,
  });
}
