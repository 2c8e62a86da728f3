/**
 * From the words of a `docker run` command line to the request that creates the container, and to what its client has
 * to do. Behaves as docker/cli 28, whose checks are made here too; where that client does something different for an
 * older engine, `apiVersion` decides. No I/O: files come through a reader.
 */
import { refuse } from "../cli/values.ts";
import type { ContainerConfig } from "../docker/containers.ts";
import { compareVersions } from "../docker/request.ts";
import { parseReference } from "../docker/reference.ts";
import { UsageError } from "../errors.ts";
import { parseIp, parseMac } from "./addresses.ts";
import { DOCKER_FLAGS } from "./flags.ts";
import { compact, GivenFlags } from "./given.ts";
import { hostConfig } from "./hostconfig.ts";
import { pairs, pairsOfFile, parseLabel, parseVariable, type ReadFile } from "./keyvalue.ts";
import { type Endpoint, endpoints, parseNetwork } from "./network.ts";
import { addPublished, parseExposed, type PortBindings } from "./ports.ts";
import { scan } from "./scan.ts";
import { parseVolume } from "./volumes.ts";

export interface RunFacts {
  /** Where relative sources of mounts begin. */
  cwd: string;
  /** Gives the value of `-e NAME` and of names alone in `--env-file`. */
  env: Readonly<Record<string, string | undefined>>;
  /** Reads the files of --env-file, --label-file and --security-opt seccomp=…; throws for those that may not be. */
  readFile: ReadFile;
  /** Variables the container gets when -e does not set them: the proxies of docker's configuration. */
  proxies?: Readonly<Record<string, string>>;
  /** The engine's, such as 1.41; without it a new one is assumed. */
  apiVersion?: string;
}

export type Stream = "stdin" | "stdout" | "stderr";

/** What the client does; none of it is in the request's body. */
export interface ClientOptions {
  detach: boolean;
  /** Remove the container when it has ended. Also `HostConfig.AutoRemove`. */
  rm: boolean;
  name?: string;
  platform?: string;
  pull: "always" | "missing" | "never";
  quiet: boolean;
  cidfile?: string;
  /** Streams to carry. */
  attach: Stream[];
  /** stdin stays open in the container. */
  interactive: boolean;
  tty: boolean;
  sigProxy: boolean;
  detachKeys?: string;
}

export interface DockerRun {
  image: string;
  /** Command and arguments; empty means the image's. */
  command: string[];
  /** Body of `POST /containers/create`; what was not asked for is absent. */
  config: ContainerConfig;
  client: ClientOptions;
  /** Names of the flags given, each once, without dashes; aliases as the flag they stand for. */
  flags: string[];
}

/**
 * Reads `[FLAG…] IMAGE [COMMAND [ARG…]]`.
 *
 * @throws UsageError for whatever docker's client refuses, and a few notations that only look like something else
 */
export function parseRun(argv: readonly string[], facts: RunFacts): DockerRun {
  const { typed, rest } = scan(argv, DOCKER_FLAGS);
  const given = new GivenFlags(typed);
  checkVersions(given, facts.apiVersion);
  const [image, ...command] = rest;
  if (image === undefined) {
    throw new UsageError("cordon run needs an image", { hint: "cordon run --help" });
  }
  checkImage(image);
  const client = clientOptions(given);
  const host = hostConfig(given, facts);
  const { mode, settings } = network(given);
  if (!isOlder(facts.apiVersion, "1.42")) delete host["KernelMemory"]; // the field is no more
  const config: ContainerConfig = {
    Image: image,
    ...compact({
      ...identity(given),
      Cmd: command,
      Env: environment(given, facts),
      Labels: labels(given, facts),
      Volumes: anonymousVolumes(given, facts.cwd),
      ExposedPorts: exposedPorts(given),
    }),
    ...entrypoint(given),
    ...stopping(given),
    ...streams(client),
    HostConfig: { ...host, ...(mode !== undefined && { NetworkMode: mode }) },
  };
  const health = healthcheck(given);
  if (health) config["Healthcheck"] = health;
  placeEndpoints(config, settings, facts.apiVersion);
  const flags = [...new Set(typed.map(({ flag }) => flag.aliasOf ?? flag.name))];
  return { image, command, config, client, flags };
}

function checkVersions(given: GivenFlags, apiVersion: string | undefined): void {
  for (const { name, since } of DOCKER_FLAGS) {
    if (since !== undefined && given.has(name) && isOlder(apiVersion, since)) {
      throw new UsageError(`Option --${name} needs an engine with API ${since}`, {
        why: `This engine speaks ${apiVersion}`,
      });
    }
  }
}

function isOlder(apiVersion: string | undefined, than: string): boolean {
  return apiVersion !== undefined && compareVersions(apiVersion, than) < 0;
}

/** By name or by id. */
function checkImage(image: string): void {
  if (/^(sha256:)?[0-9a-f]{64}$/.test(image)) return;
  parseReference(image);
}

function clientOptions(given: GivenFlags): ClientOptions {
  const detach = given.flag("detach") ?? false;
  const interactive = given.flag("interactive") ?? false;
  const asked = given.each("attach", (option, value): Stream => {
    const stream = value.toLowerCase();
    if (stream === "stdin" || stream === "stdout" || stream === "stderr") return stream;
    throw refuse(option, value, "stdin, stdout or stderr");
  });
  if (detach && asked.length > 0) throw new UsageError("Options -a and -d cannot be given together");
  const attach = new Set<Stream>(asked.length > 0 ? asked : ["stdout", "stderr"]);
  if (interactive) attach.add("stdin");
  if (given.flag("disable-content-trust") === false) {
    throw new UsageError("Option --disable-content-trust=false is not taken", {
      why: "Signatures of Docker Content Trust are not verified here",
    });
  }
  const { name, platform, cidfile, "detach-keys": detachKeys } = Object.fromEntries(
    ["name", "platform", "cidfile", "detach-keys"].map((flag) => [flag, given.text(flag) || undefined]),
  );
  return {
    detach,
    rm: given.flag("rm") ?? false,
    pull: given.last("pull", pullPolicy) ?? "missing",
    quiet: given.flag("quiet") ?? false,
    attach: detach ? [] : (["stdin", "stdout", "stderr"] as const).filter((stream) => attach.has(stream)),
    interactive,
    tty: given.flag("tty") ?? false,
    sigProxy: given.flag("sig-proxy") ?? true,
    ...(name !== undefined && { name }),
    ...(platform !== undefined && { platform }),
    ...(cidfile !== undefined && { cidfile }),
    ...(detachKeys !== undefined && { detachKeys }),
  };
}

function pullPolicy(option: string, value: string): ClientOptions["pull"] {
  if (value === "") return "missing";
  if (value === "always" || value === "missing" || value === "never") return value;
  throw refuse(option, value, "always, missing or never");
}

function identity(given: GivenFlags): Record<string, unknown> {
  return {
    Hostname: given.text("hostname"),
    Domainname: given.text("domainname"),
    User: given.text("user"),
    WorkingDir: given.text("workdir"),
    Tty: given.flag("tty"),
    OpenStdin: given.flag("interactive"),
  };
}

/** An empty one clears the image's. */
function entrypoint(given: GivenFlags): { Entrypoint?: string[] } {
  const program = given.text("entrypoint");
  return program === undefined ? {} : { Entrypoint: [program] };
}

function stopping(given: GivenFlags): { StopSignal?: string; StopTimeout?: number } {
  const StopSignal = given.text("stop-signal"), StopTimeout = given.int("stop-timeout");
  return { ...(StopSignal && { StopSignal }), ...(StopTimeout !== undefined && { StopTimeout }) };
}

function streams({ attach, interactive }: ClientOptions): Partial<ContainerConfig> {
  const stdin = attach.includes("stdin");
  return compact({
    AttachStdin: stdin,
    AttachStdout: attach.includes("stdout"),
    AttachStderr: attach.includes("stderr"),
    StdinOnce: stdin && interactive,
  });
}

/** Files first, then proxies and -e, of which each name counts once. */
function environment(given: GivenFlags, facts: RunFacts): string[] {
  const lookup = (name: string) => Object.hasOwn(facts.env, name) ? facts.env[name] : undefined;
  const files = given.each(
    "env-file",
    (option, path) => pairsOfFile(option, path, { readFile: facts.readFile, lookup }),
  );
  const byName = new Map<string, string>();
  for (const [name, value] of Object.entries(facts.proxies ?? {})) byName.set(name, `${name}=${value}`);
  for (const text of given.each("env", (option, value) => parseVariable(option, value, facts.env))) {
    byName.set(text.split("=", 1)[0]!, text);
  }
  return [...files.flat(), ...byName.values()];
}

function labels(given: GivenFlags, { readFile }: RunFacts): Record<string, string> {
  const files = given.each("label-file", (option, path) => pairsOfFile(option, path, { readFile }));
  return pairs([...files.flat(), ...given.each("label", parseLabel)]);
}

function anonymousVolumes(given: GivenFlags, cwd: string): Record<string, object> {
  const volumes = given.each("volume", (option, value) => parseVolume(option, value, cwd));
  return Object.fromEntries(
    volumes.flatMap((volume) => "anonymous" in volume ? [[volume.anonymous, {}]] : []),
  );
}

function exposedPorts(given: GivenFlags): Record<string, object> {
  const published: PortBindings = {};
  given.each("publish", (option, value) => addPublished(published, option, value));
  const ports = [...Object.keys(published), ...given.each("expose", parseExposed).flat()];
  return Object.fromEntries(ports.map((port) => [port, {}]));
}

function healthcheck(given: GivenFlags): Record<string, unknown> | undefined {
  const command = given.text("health-cmd");
  const settings = compact({
    Test: command ? ["CMD-SHELL", command] : [],
    Interval: given.time("health-interval"),
    Timeout: given.time("health-timeout"),
    StartPeriod: given.time("health-start-period"),
    StartInterval: given.time("health-start-interval"),
    Retries: given.int("health-retries", { least: 0 }),
  });
  const some = Object.keys(settings).length > 0;
  if (!given.flag("no-healthcheck")) return some ? settings : undefined;
  if (some) throw new UsageError("Option --no-healthcheck and the --health options cannot be given together");
  return { Test: ["NONE"] };
}

function network(given: GivenFlags): { mode: string | undefined; settings: Record<string, Endpoint> } {
  const networks = given.each("network", parseNetwork);
  // As typed: docker sends what it checked.
  const ip = (name: string) =>
    given.last(name, (option, value) => value === "" ? undefined : (parseIp(option, value), value));
  const mac = given.last(
    "mac-address",
    (option, value) => value === "" ? undefined : parseMac(option, value),
  );
  const v4 = ip("ip"), v6 = ip("ip6");
  const settings = endpoints(networks, {
    aliases: given.all("network-alias"),
    links: given.all("link"),
    linkLocal: given.all("link-local-ip"),
    ...(v4 !== undefined && { ip: v4 }),
    ...(v6 !== undefined && { ip6: v6 }),
    ...(mac !== undefined && { mac }),
  });
  return { mode: networks[0]?.target, settings };
}

/** The hardware address was the container's, and of the first network, before it became a network's. */
function placeEndpoints(
  config: ContainerConfig,
  settings: Record<string, Endpoint>,
  apiVersion: string | undefined,
): void {
  if (isOlder(apiVersion, "1.44")) {
    for (const [index, [name, { MacAddress, ...rest }]] of Object.entries(settings).entries()) {
      if (MacAddress === undefined) continue;
      if (index > 0) {
        throw new UsageError(
          `The MAC address ${MacAddress} of network ${name} needs an engine with API 1.44`,
          {
            why: `This engine speaks ${apiVersion}`,
          },
        );
      }
      config["MacAddress"] = MacAddress;
      if (Object.keys(settings).length > 1 || Object.keys(rest).length > 0) settings[name] = rest;
      else delete settings[name];
    }
  }
  if (Object.keys(settings).length > 0) config["NetworkingConfig"] = { EndpointsConfig: settings };
}
