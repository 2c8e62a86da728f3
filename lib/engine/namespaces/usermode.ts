/** User-mode network stacks: which one is there, and its arguments, with everything closed that leads to the host. */
import { CordonError } from "../../errors.ts";
import { libc } from "../../../ffi/libc.ts";
import { R_OK, W_OK } from "../../../ffi/constants.ts";
import { cString } from "../../host/bytes.ts";
import type { Host } from "../../host/host.ts";
import type { HelperPlan } from "../../shim/programs/outbound.ts";
import type { NetworkMode } from "../../spec/spec.ts";

interface Stack {
  mode: "pasta" | "slirp4netns";
  /** Address inside of a resolver that asks the host's. */
  resolver: string;
  /** What makes it one; else answers of the host's own resolvers come from another address than asked (pasta). */
  resolverArgs: string[];
  /** Its arguments before the process id. */
  args(uid: number): string[];
  package: string;
}

const STACKS: readonly Stack[] = [
  {
    mode: "pasta",
    // An address that no network has: RFC 3927 reserves the last 256 of its block.
    resolver: "169.254.255.53",
    resolverArgs: ["--dns-forward", "169.254.255.53"],
    package: "passt",
    // With its defaults it carries every port of the host's loopback in, and of the sandbox's out.
    args: (uid) => [
      ...["--config-net", "--foreground", "--quiet", "--no-map-gw"],
      ...["-t", "none", "-u", "none", "-T", "none", "-U", "none"],
      ...(uid === 0 ? ["--runas", "0:0"] : []),
    ],
  },
  {
    mode: "slirp4netns",
    resolver: "10.0.2.3",
    resolverArgs: [],
    package: "slirp4netns",
    args: () => ["--configure", "--mtu=65520", "--disable-host-loopback"],
  },
];

/** The stack for a mode. `auto` that finds none gives a note instead; one that was named and is not there is an error. */
export function helperFor(mode: NetworkMode, host: Host): { helper?: HelperPlan; note?: string } {
  const reasons: string[] = [];
  const device = deviceProblem();
  for (const stack of STACKS) {
    if (mode !== "auto" && mode !== stack.mode) continue;
    const path = find(stack.mode, host.env["PATH"]);
    if (path === undefined) reasons.push(`${stack.mode} is not installed`);
    else if (device !== undefined) reasons.push(device);
    else {
      return {
        helper: {
          name: stack.mode,
          argv: [path, ...stack.args(host.uid)],
          resolverArgs: stack.resolverArgs,
          after: stack.mode === "slirp4netns" ? ["tap0"] : [],
          resolver: stack.resolver,
        },
      };
    }
  }
  const why = [...new Set(reasons)].join(", ");
  if (mode === "auto") {
    return { note: `no outbound network: ${why}; only what is allowed by name can be reached` };
  }
  const missing = STACKS.find((stack) => stack.mode === mode)!;
  throw new CordonError(`--network ${mode} cannot be had`, {
    why,
    hint: device === undefined ? `apt-get install ${missing.package}` : undefined,
  });
}

function deviceProblem(): string | undefined {
  const path = "/dev/net/tun";
  if (libc().access(cString(path), R_OK | W_OK) === 0) return undefined;
  return `${path} cannot be used by this user`;
}

/** A program on PATH, or where distributions put it for administrators. */
function find(name: string, path = "/usr/local/bin:/usr/bin:/bin"): string | undefined {
  for (const directory of [...path.split(":"), "/usr/bin", "/usr/sbin"]) {
    const candidate = `${directory}/${name}`;
    if (directory.startsWith("/") && libc().access(cString(candidate), 1) === 0) return candidate;
  }
  return undefined;
}
