/**
 * What the configuration of `cordon serve` comes to once it is read: every default filled in, every value checked. The
 * file's own form is in `schema.ts`. Times in seconds, sizes in bytes.
 */

/** Where it listens. */
export type ListenAddress = { hostname: string; port: number } | { unix: string };

export type EngineName = "namespaces" | "docker";

export interface ServeConfig {
  /** The file it was read from; absent when there is none. */
  path?: string;
  listen: ListenAddress[];
  /** Mode of the Unix sockets among them. */
  socketMode: number;
  /** Names that a Host header may hold beside the addresses that are listened on: those of the proxy in front. */
  hosts: string[];
  /** Origins of pages that may call it besides its own: `https://hub.example.org`. */
  origins: string[];
  /** Files in PEM. */
  tls?: { certificate: string; key: string };
  /** False: everybody is the tenant `default`. Then `listen` has nothing but loopback addresses and Unix sockets. */
  auth: boolean;
  /** Absolute path of the file with the tenants' token hashes; absent when there is no configuration file. */
  tokens?: string;
  /** `auto`: namespaces, and Docker when its socket answers. */
  engine: EngineName | "auto";
  /** Address of the container engine, as `cordon run --host` takes it; absent means as docker finds it. */
  dockerHost?: string;
  /** The account whose user the namespaces engine runs as when the server is root. */
  user?: string;
  /** Directory of the record and what must survive a restart; absent means the usual one of this user. */
  state?: string;
  /** How long the record of an execution is kept. */
  retentionSeconds: number;
  /** Executions at once; absent means one for each processor. */
  concurrency?: number;
  /** Executions that may wait. */
  queue: number;
  /** How long SIGTERM lets what runs go on. */
  drainSeconds: number;
  connections: Connections;
  pool: Pool;
  policies: Policy[];
  tenants: Tenant[];
}

export interface Connections {
  most: number;
  /** From one client address; 0 is no limit of its own. */
  mostPerAddress: number;
  /** Until the head of a request is complete. */
  headerSeconds: number;
  /** Until its body is complete. */
  bodySeconds: number;
  /** Between the requests of one connection. */
  idleSeconds: number;
  /** Without a byte that a client sends of a body, or takes of a response. */
  stallSeconds: number;
}

/** What is made ready before anybody asks. */
export interface Pool {
  /** Started containers by image, as it stands in the policy that allows it. */
  containers: { image: string; count: number }[];
}

export interface Tenant {
  name: string;
  /** SHA-256 of each of its tokens, 32 bytes. */
  tokens: Uint8Array[];
  policy: Policy;
  /** Executions of this tenant at once; absent means the server's own number. */
  concurrency?: number;
  /** Executions of this tenant that may wait; absent means the server's own number. */
  queue?: number;
  /** Requests to execute; absent means any number. */
  rate?: Rate;
}

/** A bucket that holds `count` and is filled again evenly within `seconds`. */
export interface Rate {
  count: number;
  seconds: number;
}

/** A limit: what holds when nothing is asked, and the most that may be asked for. */
export interface Ceiling {
  value: number;
  most: number;
  /** It is written in the configuration: that this host cannot enforce it is an error, not a note. */
  configured: boolean;
}

export type LimitName = "time" | "memory" | "cpus" | "pids" | "output" | "tmp";

export interface AllowedMount {
  /** A real path of the host, without symlinks. It and what is below it may be mounted. */
  host: string;
  /** May be mounted writable; then only itself, nothing below it. */
  write: boolean;
}

export interface Policy {
  name: string;
  /** Patterns of images; `host` stands for the programs of this machine (the namespaces engine). */
  images: string[];
  /** Names that a request may use, and the image each stands for. */
  aliases: Record<string, string>;
  /** `missing` lets a request pull an allowed image that is not here. */
  pull: "never" | "missing";
  /** Flags of docker run that are allowed, without dashes. */
  flags: string[];
  /** Of a flag named here only these values. */
  values: Record<string, string[]>;
  /** `none`, `bridge` and names of networks; the first is what a container gets when nothing is asked. */
  network: string[];
  mounts: AllowedMount[];
  /** User and group inside a container when nothing is asked; absent means the image's. */
  containerUser?: string;
  /** The container's root is read-only, with tmpfs at /tmp and a few other places. */
  readOnly: boolean;
  limits: Record<LimitName, Ceiling>;
  files: FileLimits;
  sessions: SessionLimits;
}

/** Of each tenant. */
export interface FileLimits {
  /** Size of the directory that an execution works in. */
  workBytes: number;
  /** All stored files together. */
  storeBytes: number;
  /** Stored files. */
  most: number;
  /** How long a stored file is kept. */
  ttlSeconds: number;
}

/** Of each tenant. */
export interface SessionLimits {
  most: number;
  /** The longest a session stays without a command. */
  idleSeconds: number;
}
