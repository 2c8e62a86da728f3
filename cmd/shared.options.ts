/** Options that several commands share: network and limits. One table and one reader for all of them. */
import type { OptionSpec, Parsed } from "../lib/cli/command.ts";
import {
  parseChoice,
  parseCount,
  parseCpus,
  parseDuration,
  parseHostPort,
  parseSize,
} from "../lib/cli/values.ts";
import type { Limits, Network, NetworkMode } from "../lib/spec/spec.ts";

export const NETWORK_MODES: readonly NetworkMode[] = ["none", "host", "auto", "pasta", "slirp4netns"];

/** Size of the root tmpfs when nothing else is said. */
export const DEFAULT_TMP_BYTES = 256 * 2 ** 20;
/** PID_MAX_LIMIT: the kernel refuses a larger pids.max. */
const MOST_PIDS = 2 ** 22;

export const NETWORK_OPTIONS: readonly OptionSpec[] = [
  {
    long: "network",
    value: "MODE",
    group: "Network",
    default: "none",
    complete: { words: NETWORK_MODES },
    description: "none, host, auto, pasta or slirp4netns",
    details: "none has the loopback alone; host is the caller's network; the others reach out through a " +
      "user-mode network stack, auto through whichever of the two is installed.",
  },
  {
    long: "allow",
    value: "HOST:PORT",
    repeat: true,
    group: "Network",
    complete: "none",
    description: "Reach this one address although the network is closed",
  },
];

export const LIMIT_OPTIONS: readonly OptionSpec[] = [
  { long: "memory", value: "SIZE", description: "Memory of the whole sandbox, such as 512M" },
  { long: "pids", value: "N", description: "Processes and threads at once" },
  { long: "cpus", value: "N", description: "Processors' worth of time, such as 0.5" },
  { long: "time", value: "TIME", description: "Wall-clock time, such as 10, 1.5 or 2m; then status 124" },
  { long: "cpu-time", value: "TIME", description: "Processor time of each process" },
  { long: "file-size", value: "SIZE", description: "Largest file that may be written" },
  { long: "output", value: "SIZE", description: "Bytes on stdout and stderr together" },
  {
    long: "tmp-size",
    value: "SIZE",
    default: "256M",
    description: "Size of the root file system in memory, /tmp included",
  },
  { long: "core", value: "SIZE", description: "Size of core files" },
  {
    long: "best-effort",
    description: "Accept limits that hold for each process alone where the whole cannot be limited",
  },
].map((option) => ({ group: "Limits", complete: "none" as const, ...option }));

export function readNetwork(parsed: Parsed): Network {
  return {
    mode: parseChoice("--network", parsed.one("network") ?? "none", NETWORK_MODES),
    allow: parsed.all("allow").map((text) => parseHostPort("--allow", text)),
  };
}

/** The limits typed. `tmpBytes` holds where `--tmp-size` is not given; `output: false` for a table without that one. */
export function readLimits(parsed: Parsed, options: { tmpBytes?: number; output?: boolean } = {}): Limits {
  /** The option's value through `parse`, as an object with one key, or none. */
  function limit<K extends keyof Limits>(
    key: K,
    name: string,
    parse: (option: string, text: string) => number,
  ): { [P in K]?: number } {
    const text = parsed.one(name);
    return text === undefined ? {} : { [key]: parse(`--${name}`, text) } as { [P in K]?: number };
  }
  // 0 would mean "no limit" to tmpfs.
  const tmp = limit("tmpBytes", "tmp-size", (option, text) => parseSize(option, text, { least: 1 }));
  return {
    ...limit("memoryBytes", "memory", (option, text) => parseSize(option, text, { least: 1 })),
    ...limit("pids", "pids", (option, text) => parseCount(option, text, { most: MOST_PIDS })),
    ...limit("cpus", "cpus", parseCpus),
    ...limit("fileBytes", "file-size", parseSize),
    ...limit("wallSeconds", "time", parseDuration),
    ...limit("cpuSeconds", "cpu-time", parseDuration),
    ...(options.output === false ? {} : limit("outputBytes", "output", parseSize)),
    ...limit("coreBytes", "core", parseSize),
    tmpBytes: tmp.tmpBytes ?? options.tmpBytes ?? DEFAULT_TMP_BYTES,
    bestEffort: parsed.flag("best-effort"),
  };
}
