/** `cordon portwrap`: from its options to a Spec with listeners, and into the sandbox. */
import type { CommandContext } from "../lib/cli/command.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import { explainNamespaces, namespaces } from "../lib/engine/namespaces/engine.ts";
import { networkFacts, planNetwork } from "../lib/engine/namespaces/network.ts";
import { resultPlace, tellFailure } from "../lib/engine/namespaces/result.ts";
import { CordonError, UsageError } from "../lib/errors.ts";
import { gatherHost, type Host } from "../lib/host/host.ts";
import { listenTcp } from "../lib/host/listen.ts";
import { hubDestinations, readHubWiring, tellGuest } from "../lib/hub/wiring.ts";
import { proxyDestinations } from "../lib/portwrap/allow.ts";
import { closeDoors } from "../lib/portwrap/doors.ts";
import { doorFacts, makeDoorframes } from "../lib/portwrap/look.ts";
import { parseAddress, type PortPair, substitutePorts } from "../lib/portwrap/ports.ts";
import { writeReady } from "../lib/portwrap/ready.ts";
import { wholeFileSystem } from "../lib/portwrap/root.ts";
import { insideEnvironment, userOf } from "../lib/spec/defaults.ts";
import { parseMountJson, parseMountList } from "../lib/spec/mounts.ts";
import type { Forward, Spec } from "../lib/spec/spec.ts";
import type { PortwrapOptions } from "./portwrap.options.ts";

/** Where the program listens inside when nothing is said: the port of a Jupyter server. */
const GUEST_PORT = 8888;
const LOOPBACK = "127.0.0.1";

export async function run(options: PortwrapOptions, _context?: CommandContext): Promise<number> {
  if (options.install !== undefined) {
    const { install } = await import("./portwrap-install.ts");
    return install(options.install);
  }
  try {
    return await portwrap(options);
  } catch (error) {
    if (options.result && !options.explain) tellFailure(options.result);
    throw error;
  }
}

async function portwrap(options: PortwrapOptions): Promise<number> {
  const host = gatherHost();
  const wiring = wire(options, host.env);
  if (options.explain) {
    const spec = portwrapSpec(options, { host, wiring, ports: wiring.pairs.map(({ hostPort }) => hostPort) });
    writeStdout(JSON.stringify(spec, null, 2) + "\n\n" + explainNamespaces(spec, host));
    return 0;
  }
  const listeners = wiring.pairs.map(({ hostAddr, hostPort }) => listenTcp(hostAddr, hostPort));
  const ports = listeners.map(({ port }) => port);
  const spec = portwrapSpec(options, { host, wiring, ports });
  const forwards = wiring.pairs.map(({ guestAddr, guestPort }, i): Forward => ({
    listenFd: listeners[i]!.fd,
    to: guestAddr === undefined
      ? { host: LOOPBACK, port: guestPort, or: "::1" }
      : { host: guestAddr, port: guestPort },
    absent: "reset",
  }));
  if (options.batchspawner) {
    planNetwork(spec, networkFacts(host)); // a name that does not resolve is told before the Hub hears of us
    const { reportPort } = await import("../lib/hub/batchspawner.ts");
    await reportPort(host.env, ports[0]!);
  }
  makeDoorframes(host);
  if (options.ready) {
    writeReady(options.ready, wiring.pairs.map((pair, i) => ({ ...pair, hostPort: ports[i]! })));
  }
  return namespaces.exec({ ...spec, forwards }, host);
}

/** Which ports are carried where, and what the program must be told of it. */
export interface Wiring {
  /** The first is the one that `{host-port}` and `{guest-port}` mean. */
  pairs: (PortPair & { hostAddr: string })[];
  command: string[];
  /** Variables that differ inside. */
  env: Record<string, string>;
  /** The Hub's addresses. */
  allow: string[];
}

/** Ports from the options, or else from what JupyterHub says. Pure. */
function wire(options: PortwrapOptions, env: Host["env"]): Wiring {
  const { hostPort, hostAddr, forwards, command, batchspawner } = options;
  const fill = (pair: PortPair) => ({ ...pair, hostAddr: pair.hostAddr ?? hostAddr ?? LOOPBACK });
  const more = forwards.map(fill);
  if (hostPort !== undefined) {
    const own = fill({ hostPort, guestPort: options.guestPort ?? GUEST_PORT });
    return { pairs: [own, ...more], command, env: {}, allow: [] };
  }
  const hub = readHubWiring(command, env);
  if (!batchspawner && hub.port === undefined) {
    if (more.length > 0 && options.guestPort === undefined) {
      return { pairs: more, command, env: {}, allow: [] };
    }
    throw noPort(env);
  }
  const allow = hubDestinations(env);
  const guestPort = options.guestPort ?? freeGuestPort(allow);
  const address = hostAddr ??
    (hub.address === undefined ? options.hubAddr ?? LOOPBACK : addressOf(hub.address));
  const own = { hostAddr: address, hostPort: batchspawner ? 0 : hub.port!, guestPort };
  return { pairs: [own, ...more], ...tellGuest(hub, { env, guestPort }), allow };
}

function noPort(env: Host["env"]): UsageError {
  const url = env["JUPYTERHUB_SERVICE_URL"];
  return url
    ? new UsageError(`The variable JUPYTERHUB_SERVICE_URL names port 0: ${JSON.stringify(url)}`, {
      why: "batchspawner leaves the port to the job",
      hint: "cordon portwrap --batchspawner",
    })
    : new UsageError("cordon portwrap needs a host port", {
      why:
        "neither -p nor --forward is given, and JupyterHub does not say one (--port, JUPYTERHUB_SERVICE_URL)",
      hint: "cordon portwrap -p 0 -P 8888 -- PROG",
    });
}

/** An address the Hub names; a name stands for every address, as the server itself would find it among its own. */
function addressOf(text: string): string {
  return /^[\w.-]*[a-z][\w.-]*$/i.test(text) && text !== "localhost" ? "0.0.0.0" : parseAddress("--ip", text);
}

/** A Hub at the guest port of 127.0.0.1 would be in the server's way. */
function freeGuestPort(allow: string[]): number {
  let port = GUEST_PORT;
  while (allow.some((destination) => destination.endsWith(`:${port}`))) port++;
  return port;
}

interface Resolved {
  host: Host;
  wiring: Wiring;
  /** The host ports, bound. */
  ports: number[];
}

/** The Spec without its listeners. */
function portwrapSpec(options: PortwrapOptions, { host, wiring, ports }: Resolved): Spec {
  const cwd = host.cwd;
  if (cwd === undefined) {
    throw new CordonError("The current directory has no name", {
      why: "it was deleted, or it lies outside this process's root",
      hint: "cd ~",
    });
  }
  const places = { cwd, home: host.home };
  const numbers = { host: ports[0]!, guest: wiring.pairs[0]!.guestPort };
  return {
    command: substitutePorts(wiring.command, numbers),
    env: { ...insideEnvironment(host, { add: [], keep: [], everything: true }), ...wiring.env },
    workdir: { path: cwd, required: false },
    user: userOf(host, host.user),
    mapRoot: false,
    hostname: Deno.hostname(),
    root: { assembleAt: "/tmp", etc: false },
    mounts: [
      ...wholeFileSystem(),
      ...closeDoors(doorFacts(host), options.open),
      ...options.mounts.flatMap((mount) =>
        "json" in mount ? [parseMountJson(mount.json, places)] : parseMountList(mount.list, places)
      ),
    ],
    network: {
      mode: options.network.mode,
      allow: [
        ...new Set([
          ...wiring.allow,
          ...options.network.allow,
          ...(options.allowProxy ? proxyDestinations(host.env) : []),
        ]),
      ],
    },
    limits: { ...options.limits, tmpBytes: options.limits.tmpBytes || halfOfMemory() },
    keepFds: [],
    rawStdio: true,
    nested: false,
    graceSeconds: options.graceSeconds,
    ...(options.result && { result: resultPlace(options.result, cwd) }),
    verbose: options.verbose,
  };
}

/** What a tmpfs has when nothing is said: tmpfs(5). */
function halfOfMemory(): number {
  return Math.floor(Deno.systemMemoryInfo().total / 2);
}
