/** What holds without a configuration. */
import type { Host } from "../host/host.ts";
import { userOf } from "../spec/defaults.ts";
import { probeCgroups } from "../host/cgroups.ts";
import { defaultLimits } from "./limits.ts";
import type { Tenant } from "./config/types.ts";
import type { Verdict } from "./policy/verdict.ts";

/** The image name host and nothing else. */
export function interimJudge(host: Host) {
  const { limits } = defaultLimits(probeCgroups());
  return ({ args, cmd }: { tenant: Tenant; args: string; cmd: string }): Verdict => {
    const words = args.split(/\s+/).filter((word) => word !== "");
    if (words.length !== 1 || words[0] !== "host") {
      const word = JSON.stringify(words.find((word) => word !== "host") ?? args);
      return {
        refused: `${word} is not allowed: this server takes the image name host and nothing else`,
        rule: "args",
      };
    }
    return {
      engine: "namespaces",
      limits: { wallSeconds: limits.wallSeconds ?? 60, outputBytes: 2 ** 20, tmpBytes: limits.tmpBytes },
      dropped: [],
      notes: [],
      spec: {
        command: ["/bin/bash", "-lc", cmd],
        env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/tmp", LANG: "C.UTF-8" },
        workdir: { path: "/tmp", required: true },
        user: { ...userOf(host, "user"), group: "user", home: "/tmp", shell: "/bin/bash" },
        mapRoot: false,
        hostname: "cordon",
        root: { assembleAt: "/tmp", etc: true },
        mounts: [],
        network: { mode: "none", allow: [] },
        limits,
        keepFds: [],
        rawStdio: true,
        nested: false,
        verbose: false,
      },
    };
  };
}
