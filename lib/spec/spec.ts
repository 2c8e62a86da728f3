/**
 * The Spec: what to run and in what surroundings, as plain JSON. Every command builds one, every engine takes one,
 * `--explain` prints it and the daemon accepts it. Building a Spec does no I/O.
 *
 * Strings that come from the system (paths, arguments, environment) may hold bytes that are not UTF-8; such a byte B
 * stands in the string as the lone surrogate U+DC00+B (see `lib/host/bytes.ts`).
 */

/** What a mount puts at its destination. */
export type MountKind = "bind" | "hide" | "tmp" | "copy" | "overlay";

export interface Mount {
  /** Where it appears inside: absolute, normalised, as typed (symlinks not resolved). */
  dest: string;
  /** It appears at its source's real path instead (names typed relative, as the original did). */
  atRealPath?: boolean;
  /** What appears there: a path outside. Absent for `hide` and `tmp`. */
  source?: string;
  kind: MountKind;
  readOnly: boolean;
  /** Device nodes in it work (otherwise mounted nodev). */
  devices: boolean;
  /** A missing source is skipped instead of being an error. */
  optional: boolean;
  /** Mode of the directory that a `tmp` mount makes; otherwise it is open to all. */
  mode?: number;
  /** Size of a `tmp` mount; otherwise that of the root. */
  bytes?: number;
}

/** Where the connections of a listener go. */
export interface Forward {
  /** Descriptor of a listening socket that was made outside. */
  listenFd: number;
  /**
   * `or` is tried when nothing is at the first: kernels differ in how they name ipc sockets, servers in what `localhost`
   * is to them. Addresses are numbers.
   */
  to: { unix: string; or?: string } | { host: string; port: number; or?: string };
  /**
   * While nothing listens inside: `hold` keeps the caller and tries again (a kernel that is starting), `reset` refuses
   * (a server that the Hub asks again).
   */
  absent: "hold" | "reset";
}

/** `none`: loopback only. `host`: the caller's network. The others: outbound through a user-mode stack. */
export type NetworkMode = "none" | "host" | "auto" | "pasta" | "slirp4netns";

export interface Network {
  mode: NetworkMode;
  /** Destinations reachable from inside although the network is closed. */
  allow: string[];
}

/** Limits; absent means none. Sizes in bytes, times in seconds. */
export interface Limits {
  memoryBytes?: number;
  pids?: number;
  /** Processors' worth of time, 0.5 is half of one. */
  cpus?: number;
  /** Largest file that may be written (RLIMIT_FSIZE). */
  fileBytes?: number;
  /** Wall-clock time for the whole run. */
  wallSeconds?: number;
  /** Processor time for each process (RLIMIT_CPU). */
  cpuSeconds?: number;
  /** Bytes on stdout and stderr together. */
  outputBytes?: number;
  /** Size of the root tmpfs, /tmp included. */
  tmpBytes: number;
  /** Size of core files; 0 forbids them. */
  coreBytes?: number;
  /** Accept limits that hold for each process only where no cgroup can be had. */
  bestEffort: boolean;
}

export interface Spec {
  /** Program and arguments. */
  command: string[];
  /** Complete environment inside. */
  env: Record<string, string>;
  /** Working directory inside. `required` makes its absence an error; otherwise HOME, then / is used. */
  workdir: { path: string; required: boolean };
  user: {
    uid: number;
    gid: number;
    groups: number[];
    name: string;
    group: string;
    home: string;
    shell: string;
  };
  /** Show uid 0 inside. */
  mapRoot: boolean;
  hostname: string;
  /** Directory the root is assembled over, and whether it gets an /etc. A mount at `/` takes the root's place. */
  root: {
    assembleAt: string;
    etc: boolean;
    /** Nothing outside of mounts can be written, /tmp included. */
    readOnly?: boolean;
  };
  mounts: Mount[];
  network: Network;
  limits: Limits;
  /** Descriptors above 2 that the target keeps. */
  keepFds: number[];
  /** Give regular files on descriptors 0–2 to the target as they are. */
  rawStdio: boolean;
  /** Let the target create sandboxes of its own. */
  nested: boolean;
  /** Filter made of a Docker/OCI profile (struct sock_filter array); absent means the built-in one. */
  seccomp?: Uint8Array;
  /** Where the result object goes: an absolute path, or a descriptor. */
  result?: { path: string } | { fd: number };
  /** Print each set-up step on stderr. */
  verbose: boolean;
  /** Files made inside, readable by the user alone. */
  files?: { path: string; content: string }[];
  /** Connections carried from listeners outside to sockets inside. */
  forwards?: Forward[];
  /** Say on stderr which limit ended it. */
  tellLimits?: boolean;
  /** End when the process that started us ends; its pid. */
  endWithParent?: number;
  /** Descriptors of both ends of a pseudo-terminal: it becomes the session's own and stands on 0–2. With `ownSession`. */
  pty?: { master: number; slave: number };
  /**
   * How long the program has to end after it was asked to by SIGTERM or SIGINT; then everything inside is killed. Absent:
   * as long as it likes. A signal that the caller has set to be ignored asks nothing.
   */
  graceSeconds?: number;
  /** In a session of its own: signals for our process group and terminal do not reach it. */
  ownSession?: boolean;
  /** Container image; the namespaces engine takes none. */
  image?: string;
}
