import type { CommandContext } from "../lib/cli/command.ts";
import { writeStdout } from "../lib/cli/streams.ts";
import { styleFor } from "../lib/cli/style.ts";
import { allChecks, isSound, runChecks } from "../lib/host/checks.ts";
import { gatherHost } from "../lib/host/host.ts";
import { realProbes } from "../lib/host/probes.ts";
import { renderChecks } from "../lib/host/report.ts";
import { gatherSituation } from "../lib/host/situation.ts";
import type { DoctorOptions } from "./doctor.options.ts";

/** Runs all checks. Status 1 when `cordon isolate` cannot work here. */
export function run(options: DoctorOptions, context: CommandContext): number {
  const host = gatherHost();
  const situation = gatherSituation(host);
  const checks = runChecks(allChecks(host), { probes: realProbes(host), situation });
  const sound = isSound(checks);
  if (options.json) {
    const { distribution, container } = situation;
    const about = { kernel: host.kernel.release, arch: host.arch, uid: host.uid, distribution, container };
    writeStdout(JSON.stringify({ sound, host: about, checks }, null, 2) + "\n");
  } else {
    writeStdout(renderChecks(checks, styleFor("stdout", context)));
  }
  return sound ? 0 : 1;
}
