/** The container of a request: what was asked for, checked and made again, and what every container gets. Pure. */
import type { ContainerConfig } from "../../docker/containers.ts";
import { compareVersions } from "../../docker/request.ts";
import { cut } from "../../dockerargs/csv.ts";
import { parseRamSize } from "../../dockerargs/numbers.ts";
import type { DockerRun } from "../../dockerargs/run.ts";
import type { ApiMount } from "../../dockerargs/volumes.ts";
import type { Policy } from "../config/types.ts";
import { checkFields } from "./fields.ts";
import { limitsFor } from "./limits.ts";
import { isIn, mountSource, mountTarget } from "./mounts.ts";
import { at, quoted, refused } from "./refuse.ts";
import { containerCommand } from "./shell.ts";
import type { Asked, DockerVerdict, Enforceable, PolicyFacts } from "./verdict.ts";

/** The label by which a container is its tenant's. */
const TENANT_LABEL = "cordon.serve.tenant";

const NANO = 1e9;
/** Where programs write although the root is read-only, beside /tmp. */
const SCRATCH = ["/var/tmp", "/run"];
export const SCRATCH_BYTES = 64 * 2 ** 20;
export const MOST_MOUNTS = 32;
const NOT_ROOT = /^[1-9]\d*:[1-9]\d*$/;

type Fields = Record<string, unknown>;

/** @throws Refused */
export function containerOf(
  run: DockerRun,
  { image, asked, facts, enforceable }: {
    image: string;
    asked: Asked;
    facts: PolicyFacts;
    enforceable: Enforceable;
  },
): DockerVerdict {
  const { tenant, cmd } = asked;
  const { policy } = tenant;
  const { config, client } = run;
  checkFields(config, policy);
  const host = (config.HostConfig ?? {}) as Fields;
  const { limits, dropped, notes } = limitsFor(policy, {
    memory: number(host["Memory"]),
    cpus: number(host["NanoCpus"], NANO),
    pids: number(host["PidsLimit"]),
  }, enforceable);
  const user = config.User ?? policy.containerUser;
  const mounts = mountsOf(host, { policy, facts, user });
  const tmpfs = tmpfsOf(host, policy);
  checkPlaces([...mounts.map(({ Target }) => Target), ...Object.keys(tmpfs)]);
  const readOnly = policy.readOnly || host["ReadonlyRootfs"] === true;
  const final: ContainerConfig = {
    ...pick(config, [
      "Entrypoint",
      "Env",
      "Hostname",
      "Domainname",
      "WorkingDir",
      "StopSignal",
      "StopTimeout",
    ]),
    Image: image,
    Cmd: containerCommand(cmd),
    ...(user !== undefined && { User: user }),
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    Healthcheck: { Test: ["NONE"] },
    Labels: config.Labels ?? {},
    HostConfig: {
      ...pick(host, [
        "CpuShares",
        "CpusetCpus",
        "DeviceRequests",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "ExtraHosts",
        "GroupAdd",
        "Init",
        "ShmSize",
      ]),
      NetworkMode: networkOf(host["NetworkMode"], policy),
      IpcMode: host["IpcMode"] ?? "private",
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      ReadonlyRootfs: readOnly,
      ...(mounts.length > 0 && { Mounts: mounts }),
      Tmpfs: { ...scratch({ readOnly, limits, taken: mounts.map(({ Target }) => Target) }), ...tmpfs },
      LogConfig: { Type: "none" }, // the engine's own copy of the output would fill its disk
      ...ulimitsOf(host, facts),
      ...(limits.memoryBytes !== undefined && { Memory: limits.memoryBytes, MemorySwap: limits.memoryBytes }),
      ...(limits.cpus !== undefined && { NanoCpus: Math.round(limits.cpus * NANO) }),
      ...(limits.pids !== undefined && { PidsLimit: limits.pids }),
    },
  };
  // What is sent is held against the same list, whatever was made of it above.
  checkFields(final, policy);
  final.Labels = { ...final.Labels, [TENANT_LABEL]: tenant.name };
  return {
    engine: "docker",
    image,
    pull: policy.pull,
    ...(client.platform !== undefined && { platform: client.platform }),
    config: final,
    limits,
    dropped,
    notes,
  };
}

function number(value: unknown, unit = 1): number | undefined {
  return typeof value === "number" ? value / unit : undefined;
}

function pick(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(names.flatMap((name) => name in fields ? [[name, fields[name]]] : []));
}

function networkOf(asked: unknown, policy: Policy): string {
  if (asked === undefined) return policy.network[0] ?? "none";
  return asked === "default" ? "bridge" : String(asked);
}

/**
 * A core file goes where the host's own settings say, outside of the container. Podman raises every limit that is not in
 * a list to its own idea of the most, which fails where it may not: there the shell forbids core files alone.
 */
function ulimitsOf(host: Fields, { engineName }: PolicyFacts): { Ulimits?: Fields[] } {
  const asked = ((host["Ulimits"] ?? []) as Fields[]).filter(({ Name }) => Name !== "core");
  if (engineName === "podman" && asked.length === 0) return {};
  return { Ulimits: [...asked, { Name: "core", Soft: 0, Hard: 0 }] };
}

/** `-v` becomes what `--mount` is: it makes no directories of the host, and has one notation. */
function mountsOf(
  host: Fields,
  { policy, facts, user }: { policy: Policy; facts: PolicyFacts; user: string | undefined },
): ApiMount[] {
  const binds = ((host["Binds"] ?? []) as string[]).map(bindOf);
  const all = [...binds, ...(host["Mounts"] ?? []) as ApiMount[]].filter(({ Type }) => Type !== "tmpfs");
  return all.map((mount) => {
    const { Type, Source = "", ReadOnly = false, Target } = mount;
    if (Type !== "bind") throw noSuchType(mount);
    const writable = !ReadOnly;
    plainBind(mount);
    const Source_ = mountSource(Source, { writable, policy, places: facts.places });
    if (writable && !NOT_ROOT.test(user ?? "")) {
      throw refused("mount", `a writable mount of ${quoted(Source)}`, {
        why: "What a container's root leaves there could be run by users of the server; " +
          "wanted -u with numbers above 0, such as 1000:1000, or :ro",
        configuredAt: at(policy, "user"),
      });
    }
    return {
      Type,
      Source: Source_,
      Target: mountTarget(Target),
      ReadOnly,
      ...(!writable && below(Source_, facts)),
    };
  });
}

function bindOf(text: string): ApiMount {
  const [Source = "", Target = "", options, more] = text.split(":");
  const no = (why: string) => refused("mount", `-v ${quoted(text)}`, { why });
  if (more !== undefined || Target === "") throw no("It is not SOURCE:DIR[:ro]");
  const words = options === undefined ? [] : options.split(",");
  const other = words.find((word) => !["ro", "rw", "rprivate"].includes(word));
  if (other !== undefined) {
    throw no(
      other === "z" || other === "Z"
        ? "It changes the security labels of the server's files"
        : `There is ro and rw, not ${quoted(other)}`,
    );
  }
  return { Type: "bind", Source, Target, ReadOnly: words.includes("ro") };
}

function noSuchType({ Type, VolumeOptions }: ApiMount) {
  const disguised = VolumeOptions?.DriverConfig !== undefined;
  return refused("mount", `a mount of type ${quoted(Type)}`, {
    why: disguised
      ? "With a driver's options a volume is whatever they say, a directory of the server too"
      : "There are mounts of type bind and tmpfs",
  });
}

function plainBind({ BindOptions = {}, Consistency: _, ...mount }: ApiMount): void {
  const { Propagation, ...flags } = BindOptions;
  const named = Object.keys(flags).length > 0
    ? Object.keys(flags)[0]
    : ![undefined, "", "rprivate"].includes(Propagation)
    ? `propagation ${Propagation}`
    : undefined;
  if (named !== undefined) {
    throw refused("mount", `a mount with ${named}`, { why: "How mounts spread is the server's to say" });
  }
  const other = Object.keys(mount).find((key) => !["Type", "Source", "Target", "ReadOnly"].includes(key));
  if (other !== undefined) throw refused("mount", `a mount with ${other}`, { why: "A bind has none" });
}

/** File systems mounted below a read-only source stay writable with engines before API 1.44. */
function below(source: string, { places, apiVersion }: PolicyFacts): Pick<ApiMount, "BindOptions"> {
  const mounted = places.mountsBelow(source)[0];
  if (mounted === undefined) return {};
  if (apiVersion !== undefined && compareVersions(apiVersion, "1.44") < 0) {
    throw refused("mount", `a mount of ${quoted(source)}`, {
      why: `This engine would leave ${mounted}, which is mounted below it, writable`,
    });
  }
  return { BindOptions: { Propagation: "rprivate", ReadOnlyForceRecursive: true } };
}

/** What was asked for by --tmpfs and by --mount type=tmpfs, in one notation and each with a size. */
function tmpfsOf(host: Fields, policy: Policy): Record<string, string> {
  const asked = Object.entries((host["Tmpfs"] ?? {}) as Record<string, string>).map(([place, options]) =>
    [mountTarget(place), tmpfsOptions(place, options)] as const
  );
  const mounted = ((host["Mounts"] ?? []) as ApiMount[]).filter(({ Type }) => Type === "tmpfs").map(
    (mount) => {
      const { Type: _, Target, ReadOnly, TmpfsOptions, Consistency: __, ...others } = mount;
      const other = Object.keys(others)[0];
      if (other !== undefined) throw refused("mount", `a tmpfs with ${other}`, { why: "A tmpfs has none" });
      const { SizeBytes, Mode } = TmpfsOptions ?? {};
      return [mountTarget(Target), {
        ...(SizeBytes !== undefined && SizeBytes > 0 && { size: SizeBytes }),
        ...(Mode !== undefined && { mode: Mode.toString(8) }),
        readOnly: ReadOnly === true,
      }] as const;
    },
  );
  const { most } = policy.limits.tmp;
  return Object.fromEntries([...asked, ...mounted].map(([place, { size, mode = "1777", readOnly }]) => {
    if (size !== undefined && size > most) {
      throw refused("limit", `a tmpfs of ${size} bytes`, {
        why: `There are at most ${most}`,
        configuredAt: at(policy, "limits.tmp"),
      });
    }
    return [place, tmpfsText({ size: size ?? policy.limits.tmp.value, mode, readOnly })];
  }));
}

interface TmpfsOptions {
  size?: number;
  /** Octal digits. */
  mode?: string;
  readOnly: boolean;
}

export function tmpfsText({ size, mode = "1777", readOnly }: TmpfsOptions & { size: number }): string {
  return `${readOnly ? "ro" : "rw"},exec,nosuid,nodev,mode=${mode},size=${size}`;
}

function tmpfsOptions(place: string, text: string): TmpfsOptions {
  const options: TmpfsOptions = { readOnly: false };
  for (const option of text === "" ? [] : text.split(",")) {
    const [name, value] = cut(option, "=");
    if (name === "size" && value !== undefined) options.size = parseRamSize("size of --tmpfs", value);
    else if (name === "mode" && value !== undefined && /^[0-7]{1,4}$/.test(value)) {
      options.mode = value.slice(-4);
    } else if (option === "ro") options.readOnly = true;
    else if (!["rw", "exec", "nosuid", "nodev", "noexec"].includes(option)) {
      throw refused("mount", `--tmpfs ${quoted(`${place}:${text}`)}`, {
        why: `There is size, mode, ro and rw, not ${quoted(option)}`,
      });
    }
  }
  if (options.size !== undefined && !(options.size > 0)) delete options.size;
  return options;
}

function scratch(
  { readOnly, limits, taken }: {
    readOnly: boolean;
    limits: { tmpBytes: number };
    taken: readonly string[];
  },
): Record<string, string> {
  const all = [
    { place: "/tmp", size: limits.tmpBytes },
    ...(readOnly ? SCRATCH : []).map((place) => ({ place, size: Math.min(SCRATCH_BYTES, limits.tmpBytes) })),
  ];
  const free = all.filter(({ place }) => !taken.some((one) => isIn(place, one)));
  return Object.fromEntries(free.map(({ place, size }) => [place, tmpfsText({ size, readOnly: false })]));
}

function checkPlaces(places: readonly string[]): void {
  const twice = places.find((place, index) => places.indexOf(place) !== index);
  if (twice !== undefined) {
    throw refused("mount", `a second mount at ${quoted(twice)}`, { why: "There is one" });
  }
  if (places.length > MOST_MOUNTS) {
    throw refused("mount", `${places.length} mounts`, { why: `There are at most ${MOST_MOUNTS}` });
  }
}
