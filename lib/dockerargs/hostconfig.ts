/** The part of the request that is about the container on its host: `HostConfig` of the Engine API. No I/O of its own. */
import { refuse } from "../cli/values.ts";
import { UsageError } from "../errors.ts";
import { parseExtraHost, parseIp, parseSearchDomain } from "./addresses.ts";
import { cut } from "./csv.ts";
import {
  isCdiName,
  parseDevice,
  parseDeviceRule,
  parseGpus,
  parseOperations,
  parseRate,
  parseWeight,
} from "./devices.ts";
import { compact, type GivenFlags } from "./given.ts";
import { pairs, parseSysctl, parseUlimit, type ReadFile } from "./keyvalue.ts";
import { parseDecimal, parseSwapSize } from "./numbers.ts";
import { addPublished, type PortBindings } from "./ports.ts";
import { capabilities, parseSecurity } from "./security.ts";
import { parseMount, parseVolume } from "./volumes.ts";

export interface HostConfigFacts {
  /** Where relative sources of mounts begin. */
  cwd: string;
  readFile: ReadFile;
}

type Fields = Record<string, unknown>;

/** `HostConfig` but for the network mode. Only what was asked for is in it. */
export function hostConfig(given: GivenFlags, facts: HostConfigFacts): Fields {
  const init = given.flag("init");
  const swappiness = given.int("memory-swappiness", { least: -1, most: 100 }) ?? -1;
  const security = securityOf(given, facts.readFile);
  return {
    ...compact({
      ...storage(given, facts.cwd),
      ...resources(given),
      ...modes(given),
      ...names(given),
      AutoRemove: given.flag("rm"),
      RestartPolicy: restart(given),
      LogConfig: logging(given),
      ContainerIDFile: given.text("cidfile"),
    }),
    ...security,
    // Both mean something when they are false or 0.
    ...(init !== undefined && { Init: init }),
    ...(swappiness >= 0 && { MemorySwappiness: swappiness }),
  };
}

function storage(given: GivenFlags, cwd: string): Fields {
  const volumes = given.each("volume", (option, value) => parseVolume(option, value, cwd));
  return {
    Binds: [...new Set(volumes.flatMap((volume) => "bind" in volume ? [volume.bind] : []))],
    Mounts: given.each("mount", (option, value) => parseMount(option, value, cwd)),
    Tmpfs: Object.fromEntries(
      given.all("tmpfs").map((text) => {
        const [place, options = ""] = cut(text, ":");
        return [place, options];
      }),
    ),
    VolumesFrom: given.all("volumes-from"),
    VolumeDriver: given.text("volume-driver"),
    StorageOpt: pairs(given.each("storage-opt", (option, value) => {
      if (!value.includes("=")) throw refuse(option, value, "NAME=VALUE");
      return value;
    })),
    ReadonlyRootfs: given.flag("read-only"),
    ShmSize: given.size("shm-size"),
  };
}

function resources(given: GivenFlags): Fields {
  const devices = given.typed("device");
  const cdi = devices.filter(({ value }) => isCdiName(value)).map(({ value }) => value);
  const requests = [
    ...given.each("gpus", parseGpus),
    ...(cdi.length > 0 ? [{ Driver: "cdi", DeviceIDs: cdi }] : []),
  ];
  const ulimits = new Map(given.each("ulimit", parseUlimit).map((limit) => [limit.Name, limit]));
  return {
    Memory: given.size("memory"),
    MemoryReservation: given.size("memory-reservation"),
    MemorySwap: given.last("memory-swap", parseSwapSize),
    KernelMemory: given.size("kernel-memory"),
    OomKillDisable: given.flag("oom-kill-disable"),
    OomScoreAdj: given.int("oom-score-adj"),
    PidsLimit: given.int("pids-limit"),
    NanoCpus: given.cpus("cpus"),
    CpuShares: given.int("cpu-shares"),
    CpuPeriod: given.int("cpu-period"),
    CpuQuota: given.int("cpu-quota"),
    CpuRealtimePeriod: given.int("cpu-rt-period"),
    CpuRealtimeRuntime: given.int("cpu-rt-runtime"),
    CpusetCpus: given.text("cpuset-cpus"),
    CpusetMems: given.text("cpuset-mems"),
    BlkioWeight: given.int("blkio-weight", { least: 0, most: 65535 }),
    BlkioWeightDevice: given.each("blkio-weight-device", parseWeight),
    BlkioDeviceReadBps: given.each("device-read-bps", parseRate),
    BlkioDeviceWriteBps: given.each("device-write-bps", parseRate),
    BlkioDeviceReadIOps: given.each("device-read-iops", parseOperations),
    BlkioDeviceWriteIOps: given.each("device-write-iops", parseOperations),
    Ulimits: [...ulimits.values()].sort((a, b) => a.Name < b.Name ? -1 : 1),
    Devices: devices.filter(({ value }) => !isCdiName(value)).map(({ as, value }) => parseDevice(as, value)),
    DeviceCgroupRules: given.each("device-cgroup-rule", parseDeviceRule),
    DeviceRequests: requests,
  };
}

/** Namespaces. `container:NAME` shares another container's. */
function modes(given: GivenFlags): Fields {
  const choice = (name: string, words: readonly string[], shared = false) =>
    given.last(name, (option, value) => {
      if (value === "" || words.includes(value) || (shared && /^container:./s.test(value))) return value;
      throw refuse(option, value, [...words, ...(shared ? ["container:NAME"] : [])].join(" or "));
    });
  return {
    PidMode: choice("pid", ["host"], true),
    UTSMode: choice("uts", ["host"]),
    UsernsMode: choice("userns", ["host"]),
    CgroupnsMode: choice("cgroupns", ["host", "private"]),
    IpcMode: given.text("ipc"),
    Isolation: given.text("isolation"),
    Runtime: given.text("runtime"),
    CgroupParent: given.text("cgroup-parent"),
    Sysctls: pairs(given.each("sysctl", parseSysctl)),
    Annotations: pairs(given.all("annotation")),
  };
}

function names(given: GivenFlags): Fields {
  const portBindings: PortBindings = {};
  given.each("publish", (option, value) => addPublished(portBindings, option, value));
  return {
    Links: given.each("link", (option, value) => {
      if (value === "" || value.split(":").length > 2) throw refuse(option, value, "NAME[:ALIAS]");
      return value;
    }),
    ExtraHosts: given.each("add-host", parseExtraHost),
    Dns: given.each("dns", parseIp),
    DnsOptions: given.all("dns-option"),
    DnsSearch: given.each("dns-search", parseSearchDomain),
    PortBindings: portBindings,
    PublishAllPorts: given.flag("publish-all"),
    GroupAdd: given.all("group-add"),
  };
}

function securityOf(given: GivenFlags, readFile: ReadFile): Fields {
  const { options, openPaths } = parseSecurity("--security-opt", given.all("security-opt"), readFile);
  return {
    ...compact({
      Privileged: given.flag("privileged"),
      CapAdd: capabilities(given.all("cap-add")),
      CapDrop: capabilities(given.all("cap-drop")),
      SecurityOpt: options,
    }),
    // Empty is not the same as absent here: absent means the engine's own lists.
    ...(openPaths && { MaskedPaths: [], ReadonlyPaths: [] }),
  };
}

function restart(given: GivenFlags): { Name: string; MaximumRetryCount?: number } | undefined {
  const policy = given.last("restart", (option, value) => {
    const [Name, count] = cut(value, ":");
    if (Name === "" && count !== undefined) throw refuse(option, value, "a policy before the colon");
    const retries = count ? parseDecimal(`the retries of ${option}`, count) : 0;
    return { Name, ...(retries !== 0 && { MaximumRetryCount: retries }) };
  });
  if (policy && policy.Name !== "" && policy.Name !== "no") {
    if (given.flag("rm")) throw new UsageError("Options --restart and --rm cannot be given together");
    return policy;
  }
  return undefined;
}

function logging(given: GivenFlags): Fields | undefined {
  const driver = given.text("log-driver");
  const options = pairs(given.all("log-opt"));
  if (driver === "none" && Object.keys(options).length > 0) {
    throw new UsageError("Options --log-driver none and --log-opt cannot be given together");
  }
  return compact({ Type: driver, Config: options });
}
