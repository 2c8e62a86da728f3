/**
 * Every flag of docker run, by what the policy may do with it: usual ones are allowed where a policy does not list its
 * own, others can be allowed by name, and the rest never, each for the reason that the client is told. A test holds it
 * against the parser's table.
 */

/** Allowed when a policy says nothing. What they ask for is checked all the same. */
export const USUAL_FLAGS: readonly string[] = [
  "attach",
  "cap-drop",
  "cgroupns",
  "cpus",
  "disable-content-trust",
  "entrypoint",
  "env",
  "hostname",
  "init",
  "interactive",
  "ipc",
  "memory",
  "mount",
  "network",
  "no-healthcheck",
  "pids-limit",
  "pull",
  "quiet",
  "read-only",
  "rm",
  "security-opt",
  "shm-size",
  "sig-proxy",
  "tmpfs",
  "tty",
  "user",
  "volume",
  "workdir",
];

/** Allowed only where a policy names them. */
export const FURTHER_FLAGS: readonly string[] = [
  "add-host",
  "cpu-shares",
  "cpuset-cpus",
  "dns",
  "dns-option",
  "dns-search",
  "domainname",
  "gpus",
  "group-add",
  "label",
  "platform",
  "stop-signal",
  "stop-timeout",
  "ulimit",
];

const OTHERS = "It reaches into another container";
const DEVICE = "It reaches a device of the server";
const ADDRESS = "Addresses and names in a network are the server's to give";
const QUOTA = "Processor time is asked for with --cpus";
const FILE = "It reads a file of the server";
const HEALTH = "Nothing watches the health of a command";
const OUTPUT = "The output is the server's to keep";
const OUTLIVES = "Nothing outlives its request";
const OPENS = "It opens a port of the server";

/** Never allowed, and why. */
export const NEVER_FLAGS: Readonly<Record<string, string>> = {
  "annotation": "It changes how the runtime isolates the container",
  "blkio-weight": DEVICE,
  "blkio-weight-device": DEVICE,
  "cap-add": "Containers have no capabilities here",
  "cgroup-parent": "It leaves the control group that the server's limits are set in",
  "cidfile": "It writes a file of the server",
  "cpu-count": QUOTA,
  "cpu-percent": QUOTA,
  "cpu-period": QUOTA,
  "cpu-quota": QUOTA,
  "cpu-rt-period": QUOTA,
  "cpu-rt-runtime": QUOTA,
  "cpuset-mems": QUOTA,
  "detach": OUTLIVES,
  "detach-keys": OUTLIVES,
  "device": DEVICE,
  "device-cgroup-rule": DEVICE,
  "device-read-bps": DEVICE,
  "device-read-iops": DEVICE,
  "device-write-bps": DEVICE,
  "device-write-iops": DEVICE,
  "env-file": FILE,
  "expose": OPENS,
  "health-cmd": HEALTH,
  "health-interval": HEALTH,
  "health-retries": HEALTH,
  "health-start-interval": HEALTH,
  "health-start-period": HEALTH,
  "health-timeout": HEALTH,
  "help": "It runs nothing",
  "io-maxbandwidth": DEVICE,
  "io-maxiops": DEVICE,
  "ip": ADDRESS,
  "ip6": ADDRESS,
  "isolation": "How a container is isolated is the server's to say",
  "kernel-memory": "Memory is asked for with --memory",
  "label-file": FILE,
  "link": OTHERS,
  "link-local-ip": ADDRESS,
  "log-driver": OUTPUT,
  "log-opt": OUTPUT,
  "mac-address": ADDRESS,
  "memory-reservation": "Memory is asked for with --memory",
  "memory-swap": "Memory is asked for with --memory; there is no swap",
  "memory-swappiness": "Memory is asked for with --memory; there is no swap",
  "name": "Names are shared by all who use the server",
  "network-alias": ADDRESS,
  "oom-kill-disable": "A container that is out of memory would hang instead of ending",
  "oom-score-adj": "Which process ends when memory runs out is the server's to say",
  "pid": "It shares the processes of the server or of another container",
  "privileged": "It takes all isolation away",
  "publish": OPENS,
  "publish-all": OPENS,
  "restart": OUTLIVES,
  "runtime": "How a container is isolated is the server's to say",
  "storage-opt": "Storage is the server's to give",
  "sysctl": "Kernel parameters are the server's to set",
  "use-api-socket": "It gives the engine's socket away",
  "userns": "It leaves the user namespace that the engine gives",
  "uts": "It shares the server's host name",
  "volume-driver": "Volumes of the engine are not given; host paths are mounted with type=bind",
  "volumes-from": OTHERS,
};

/** Words of docker's that are networks of its own and never given, with the reason. */
export function networkNeverGiven(name: string): string | undefined {
  if (name === "host") return "It reaches whatever listens on the server's own loopback interface";
  if (/^container(:|$)/.test(name)) return OTHERS;
  if (/^(ns:|pod$|private$|pasta(:|$)|slirp4netns(:|$))/.test(name)) {
    return "It is a mode of the engine, not a network";
  }
  return undefined;
}

/** Directories that are never mounted, nor what is below them, nor what holds them. */
export const SYSTEM_DIRECTORIES: readonly string[] = [
  "/boot",
  "/dev",
  "/etc",
  "/proc",
  "/root",
  "/run",
  "/sys",
  "/var/lib/containerd",
  "/var/lib/containers",
  "/var/lib/docker",
  "/var/lib/kubelet",
  "/var/log",
  "/var/run",
  "/var/spool",
];

/** The same, for writing. */
export const PROGRAM_DIRECTORIES: readonly string[] = [
  "/bin",
  "/lib",
  "/lib32",
  "/lib64",
  "/libx32",
  "/opt",
  "/sbin",
  "/usr",
  "/var/lib",
];
