/**
 * Every option of `docker run` (docker/cli 28, `cli/command/container/opts.go` and `run.go`; aliases, hidden and
 * deprecated ones included) and what it becomes. What is not in this table is refused.
 */

/** How its text is read; `bool` alone never takes a separate value. A `list` may be given more than once. */
export type FlagType =
  | "bool"
  | "string"
  /** A whole number in any of Go's notations. */
  | "int"
  | "size"
  | "cpus"
  | "duration"
  | "list";

export interface DockerFlag {
  /** Long name without its dashes. */
  name: string;
  /** One letter. */
  short?: string;
  type: FlagType;
  /**
   * What it becomes in the body of `POST /containers/create`, as a path; `client` when it is the client's own affair.
   */
  field: string;
  /** One line, no final period. */
  description: string;
  /** The name of its value in help. */
  value?: string;
  /** The flag it is another name of. */
  aliasOf?: string;
  hidden?: true;
  /** The first Engine API version that has the field. */
  since?: string;
  /** Why it is not taken. */
  refused?: string;
}

type Extra = Partial<Pick<DockerFlag, "short" | "value" | "aliasOf" | "hidden" | "since" | "refused">>;

function flag(
  type: FlagType,
): (name: string, field: string, description: string, extra?: Extra) => DockerFlag {
  return (name, field, description, extra = {}) => ({ name, type, field, description, ...extra });
}

const bool = flag("bool");
const text = flag("string");
const int = flag("int");
const size = flag("size");
const cpus = flag("cpus");
const time = flag("duration");
const list = flag("list");

const H = "HostConfig.";
const WINDOWS = { hidden: true, refused: "It is for engines on Windows" } as const;
const ENDPOINT = "NetworkingConfig.EndpointsConfig";

/** In the order of their names. */
export const DOCKER_FLAGS: readonly DockerFlag[] = [
  list("add-host", H + "ExtraHosts", "Add a custom host-to-IP mapping", { value: "HOST:IP" }),
  list("annotation", H + "Annotations", "Add an annotation for the OCI runtime", {
    value: "NAME=VALUE",
    since: "1.43",
  }),
  list("attach", "client", "Attach to stdin, stdout or stderr", { short: "a", value: "STREAM" }),
  int("blkio-weight", H + "BlkioWeight", "Block IO weight, 10 to 1000, or 0 for none"),
  list("blkio-weight-device", H + "BlkioWeightDevice", "Block IO weight of a device", { value: "DEV:N" }),
  list("cap-add", H + "CapAdd", "Add a Linux capability", { value: "CAP" }),
  list("cap-drop", H + "CapDrop", "Drop a Linux capability", { value: "CAP" }),
  text("cgroup-parent", H + "CgroupParent", "Parent control group of the container", { value: "PATH" }),
  text("cgroupns", H + "CgroupnsMode", "Cgroup namespace: host or private", { value: "MODE", since: "1.41" }),
  text("cidfile", "client", "Write the container's id to this new file", { value: "FILE" }),
  int("cpu-count", H + "CpuCount", "CPU count", WINDOWS),
  int("cpu-percent", H + "CpuPercent", "CPU percent", WINDOWS),
  int("cpu-period", H + "CpuPeriod", "Period of the CPU quota in microseconds"),
  int("cpu-quota", H + "CpuQuota", "CPU quota within a period, in microseconds"),
  int("cpu-rt-period", H + "CpuRealtimePeriod", "Period of real-time scheduling in microseconds"),
  int("cpu-rt-runtime", H + "CpuRealtimeRuntime", "Real-time runtime in microseconds"),
  int("cpu-shares", H + "CpuShares", "CPU shares (relative weight)", { short: "c" }),
  cpus("cpus", H + "NanoCpus", "Processors' worth of time, such as 0.5"),
  text("cpuset-cpus", H + "CpusetCpus", "CPUs to run on, such as 0-3 or 0,1", { value: "LIST" }),
  text("cpuset-mems", H + "CpusetMems", "Memory nodes to use, such as 0-3 or 0,1", { value: "LIST" }),
  bool("detach", "client", "Leave the container running and print its id", { short: "d" }),
  text("detach-keys", "client", "Keys that leave a container running", { value: "KEYS" }),
  list("device", H + "Devices", "Add a host device: PATH[:PATH][:rwm], or a CDI name", { value: "DEVICE" }),
  list("device-cgroup-rule", H + "DeviceCgroupRules", "Allow devices, such as 'c 1:3 mr'", { value: "RULE" }),
  list("device-read-bps", H + "BlkioDeviceReadBps", "Limit reading, bytes per second", { value: "DEV:SIZE" }),
  list("device-read-iops", H + "BlkioDeviceReadIOps", "Limit reading, operations per second", {
    value: "DEV:N",
  }),
  list("device-write-bps", H + "BlkioDeviceWriteBps", "Limit writing, bytes per second", {
    value: "DEV:SIZE",
  }),
  list("device-write-iops", H + "BlkioDeviceWriteIOps", "Limit writing, operations per second", {
    value: "DEV:N",
  }),
  bool("disable-content-trust", "client", "Skip image verification (always so)", { hidden: true }),
  list("dns", H + "Dns", "DNS server", { value: "IP" }),
  list("dns-opt", H + "DnsOptions", "DNS option", { value: "OPTION", aliasOf: "dns-option", hidden: true }),
  list("dns-option", H + "DnsOptions", "DNS option", { value: "OPTION" }),
  list("dns-search", H + "DnsSearch", "DNS search domain", { value: "DOMAIN" }),
  text("domainname", "Domainname", "NIS domain name of the container", { value: "NAME" }),
  text("entrypoint", "Entrypoint", "Program instead of the image's entry point", { value: "PROG" }),
  list("env", "Env", "Set a variable; without a value it is the caller's", {
    short: "e",
    value: "NAME[=VALUE]",
  }),
  list("env-file", "Env", "Read variables from a file", { value: "FILE" }),
  list("expose", "ExposedPorts", "Expose a port or a range of ports", { value: "PORT" }),
  list("gpus", H + "DeviceRequests", "GPUs to add; all for every one", { value: "GPUS", since: "1.40" }),
  list("group-add", H + "GroupAdd", "Add a group", { value: "GROUP" }),
  text("health-cmd", "Healthcheck.Test", "Command that checks health", { value: "CMD" }),
  time("health-interval", "Healthcheck.Interval", "Time between checks (ms, s, m, h)"),
  int("health-retries", "Healthcheck.Retries", "Failures in a row until unhealthy"),
  time("health-start-interval", "Healthcheck.StartInterval", "Time between checks at the start", {
    since: "1.44",
  }),
  time("health-start-period", "Healthcheck.StartPeriod", "Time to start in before failures count"),
  time("health-timeout", "Healthcheck.Timeout", "Longest time of a check"),
  bool("help", "client", "Print help"),
  text("hostname", "Hostname", "Host name of the container", { short: "h", value: "NAME" }),
  bool("init", H + "Init", "Run an init that forwards signals and reaps processes"),
  bool("interactive", "OpenStdin", "Keep stdin open", { short: "i" }),
  size("io-maxbandwidth", H + "IOMaximumBandwidth", "IO bandwidth of the system drive", WINDOWS),
  int("io-maxiops", H + "IOMaximumIOps", "IO operations of the system drive", WINDOWS),
  text("ip", `${ENDPOINT}.*.IPAMConfig.IPv4Address`, "IPv4 address", { value: "IP" }),
  text("ip6", `${ENDPOINT}.*.IPAMConfig.IPv6Address`, "IPv6 address", { value: "IP" }),
  text("ipc", H + "IpcMode", "IPC namespace", { value: "MODE" }),
  text("isolation", H + "Isolation", "Isolation technology", { value: "NAME" }),
  size("kernel-memory", H + "KernelMemory", "Kernel memory limit (engines ignore it since API 1.42)", {
    hidden: true,
  }),
  list("label", "Labels", "Set a label", { short: "l", value: "NAME[=VALUE]" }),
  list("label-file", "Labels", "Read labels from a file", { value: "FILE" }),
  list("link", H + "Links", "Link to another container", { value: "NAME[:ALIAS]" }),
  list("link-local-ip", `${ENDPOINT}.*.IPAMConfig.LinkLocalIPs`, "Link-local address", { value: "IP" }),
  text("log-driver", H + "LogConfig.Type", "Logging driver", { value: "NAME" }),
  list("log-opt", H + "LogConfig.Config", "Option of the logging driver", { value: "NAME=VALUE" }),
  text("mac-address", `${ENDPOINT}.*.MacAddress`, "MAC address", { value: "MAC" }),
  size("memory", H + "Memory", "Memory limit", { short: "m" }),
  size("memory-reservation", H + "MemoryReservation", "Soft memory limit"),
  size("memory-swap", H + "MemorySwap", "Memory and swap together; -1 for unlimited swap"),
  int("memory-swappiness", H + "MemorySwappiness", "Swappiness, 0 to 100"),
  list("mount", H + "Mounts", "Mount: type=bind,source=…,target=…[,readonly]", { value: "MOUNT" }),
  text("name", "client", "Name of the container", { value: "NAME" }),
  list("net", H + "NetworkMode", "Network", { value: "NETWORK", aliasOf: "network", hidden: true }),
  list("net-alias", `${ENDPOINT}.*.Aliases`, "Name in the network", {
    value: "NAME",
    aliasOf: "network-alias",
    hidden: true,
  }),
  list(
    "network",
    H + "NetworkMode",
    "Network: none, bridge, host, container:NAME, a name, or name=…,alias=…",
    {
      value: "NETWORK",
    },
  ),
  list("network-alias", `${ENDPOINT}.*.Aliases`, "Name in the network", { value: "NAME" }),
  bool("no-healthcheck", "Healthcheck.Test", "Do not run the image's health check"),
  bool("oom-kill-disable", H + "OomKillDisable", "Do not kill when memory runs out"),
  int("oom-score-adj", H + "OomScoreAdj", "Preference when the host's memory runs out, -1000 to 1000"),
  text("pid", H + "PidMode", "PID namespace: host or container:NAME", { value: "MODE" }),
  int("pids-limit", H + "PidsLimit", "Most processes; -1 for unlimited"),
  text("platform", "client", "Platform, such as linux/arm64", { value: "PLATFORM" }),
  bool("privileged", H + "Privileged", "Give extended privileges"),
  list("publish", H + "PortBindings", "Publish a port: [[IP:]HOST:]PORT[/PROTO]", {
    short: "p",
    value: "PORT",
  }),
  bool("publish-all", H + "PublishAllPorts", "Publish all exposed ports to random ports", { short: "P" }),
  text("pull", "client", "When to pull the image: always, missing or never", { value: "WHEN" }),
  bool("quiet", "client", "Do not show the progress of a pull", { short: "q" }),
  bool("read-only", H + "ReadonlyRootfs", "Mount the root file system read-only"),
  text("restart", H + "RestartPolicy", "When to start it again", { value: "POLICY" }),
  bool("rm", H + "AutoRemove", "Remove the container and its anonymous volumes at the end"),
  text("runtime", H + "Runtime", "OCI runtime", { value: "NAME" }),
  list("security-opt", H + "SecurityOpt", "Security option", { value: "OPTION" }),
  size("shm-size", H + "ShmSize", "Size of /dev/shm"),
  bool("sig-proxy", "client", "Pass signals on to the process (the default)"),
  text("stop-signal", "StopSignal", "Signal that stops the container", { value: "SIGNAL" }),
  int("stop-timeout", "StopTimeout", "Seconds that stopping may take"),
  list("storage-opt", H + "StorageOpt", "Option of the storage driver", { value: "NAME=VALUE" }),
  list("sysctl", H + "Sysctls", "Kernel parameter", { value: "NAME=VALUE" }),
  list("tmpfs", H + "Tmpfs", "Mount a tmpfs", { value: "DIR[:OPTIONS]" }),
  bool("tty", "Tty", "Allocate a pseudo-terminal", { short: "t" }),
  list("ulimit", H + "Ulimits", "Resource limit", { value: "NAME=SOFT[:HARD]" }),
  bool("use-api-socket", H + "Mounts", "Give the container the engine's socket", {
    hidden: true,
    refused: "It hands the engine's socket and your registry credentials to the container",
  }),
  text("user", "User", "User: NAME|UID[:GROUP|GID]", { short: "u", value: "USER" }),
  text("userns", H + "UsernsMode", "User namespace: host", { value: "MODE" }),
  text("uts", H + "UTSMode", "UTS namespace: host", { value: "MODE" }),
  list("volume", H + "Binds", "Mount a directory or volume: SOURCE:DIR[:ro]", {
    short: "v",
    value: "VOLUME",
  }),
  text("volume-driver", H + "VolumeDriver", "Driver of the volumes of -v", { value: "NAME" }),
  list("volumes-from", H + "VolumesFrom", "Mount another container's volumes", { value: "CONTAINER" }),
  text("workdir", "WorkingDir", "Working directory inside", { short: "w", value: "DIR" }),
];
