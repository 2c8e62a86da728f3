import { defineCommand } from "../lib/cli/command.ts";

export interface DoctorOptions {
  json: boolean;
}

export const doctor = defineCommand<DoctorOptions>({
  name: "doctor",
  summary: "Show what works on this machine, and how to mend what does not",
  description:
    "Tries every step of building a sandbox for real (namespaces, mounts, filter, limits) and says for each that " +
    "fails what is wrong, why, and the command that mends it. Changes nothing.\n\n" +
    "The status is 0 when cordon isolate works here and 1 when something it cannot do without is missing.",
  usage: ["[--json]"],
  examples: [
    { text: "What works here?", command: "cordon doctor" },
    {
      text: "Only what is missing",
      command: "cordon doctor --json | jq '.checks[] | select(.status != \"ok\")'",
    },
  ],
  options: [{
    long: "json",
    description: "Print one JSON object",
    details:
      "Keys: sound, host {kernel, arch, uid, distribution, container} and checks, a list of {id, title, " +
      "necessary, status (ok, missing, failed or skipped), detail, failure {step, errno}, advice {what, why, mend}}.",
  }],
  operands: [],
  passThrough: false,
  exitUsage: 2,
  read: (parsed) => ({ json: parsed.flag("json") }),
  load: () => import("./doctor.ts"),
});
