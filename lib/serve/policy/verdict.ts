/** What the policy says about one request, and the facts it says it from. Types only; `judge.ts` has the function. */
import type { ContainerConfig } from "../../docker/containers.ts";
import type { Host } from "../../host/host.ts";
import type { Spec } from "../../spec/spec.ts";
import type { EngineName, LimitName, Tenant } from "../config/types.ts";

export interface Asked {
  tenant: Tenant;
  /** Docker's flags and the image, one string as Dockyter sends it. */
  args: string;
  /** A shell script. */
  cmd: string;
}

/** What one engine can hold an execution to; a text is the reason why it cannot. */
export type Enforceable = Record<"memory" | "cpus" | "pids", true | string>;

export interface PolicyFacts {
  /** Of the user that executions run as: with the namespaces engine their files are its own. */
  host: Host;
  /** The engines that are there. */
  engines: Partial<Record<EngineName, Enforceable>>;
  /** Of the container engine, such as 1.41. */
  apiVersion?: string;
  /** Which container engine it is; Docker when absent. */
  engineName?: "docker" | "podman";
  /** The shell that runs `cmd` in the namespaces engine: /bin/bash where it is, else /bin/sh. */
  shell: string;
  places: Places;
}

/** What the policy asks about paths of the host. */
export interface Places {
  /** Absolute and without symlinks; undefined when nothing is there or it cannot be seen. */
  realpath(path: string): string | undefined;
  /**
   * The first place on the way to a real path, itself included, that somebody else than root and this server could
   * exchange; undefined when there is none.
   */
  exchangeable(path: string): string | undefined;
  /** The paths of Unix sockets that something on this host is bound to. */
  sockets(): string[];
  /** Mount points below a real path. */
  mountsBelow(path: string): string[];
}

/** What holds for this one execution; what is absent is not limited. */
export interface ExecutionLimits {
  wallSeconds: number;
  /** Bytes of stdout and stderr together that are kept. */
  outputBytes: number;
  memoryBytes?: number;
  cpus?: number;
  pids?: number;
  /** Size of /tmp. */
  tmpBytes: number;
}

/** Why a request is not executed. */
export interface Refusal {
  /** For the client: what is refused and why, one line without a final period. */
  refused: string;
  /** Which rule said so; stable, for logs and metrics: `flag`, `image`, `mount`, … */
  rule: Rule;
  /** Where an administrator changes it: `policies.class.images` of the configuration. Absent: it cannot be changed. */
  configuredAt?: string;
}

export type Rule =
  | "args"
  | "flag"
  | "value"
  | "image"
  | "engine"
  | "mount"
  | "network"
  | "limit"
  | "environment"
  | "field";

interface Allowed {
  limits: ExecutionLimits;
  /** Default limits that this engine cannot enforce here and so were dropped; for the result. */
  dropped: LimitName[];
  /** The same in words, and what else the client should know; each one line. */
  notes: string[];
}

export interface DockerVerdict extends Allowed {
  engine: "docker";
  /** The image by its full name or id, as `config.Image` has it. */
  image: string;
  pull: "never" | "missing";
  platform?: string;
  /** Body of `POST /containers/create`, complete with `Cmd`. */
  config: ContainerConfig;
}

export interface NamespacesVerdict extends Allowed {
  engine: "namespaces";
  /** Complete; `limits.wallSeconds` is in it, `limits.outputBytes` is not: the server counts output itself. */
  spec: Spec;
}

export type Verdict = Refusal | DockerVerdict | NamespacesVerdict;
