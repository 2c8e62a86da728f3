import { writeStdout } from "../lib/cli/streams.ts";
import { configHere, fileJson, here } from "./config-here.ts";
import type { ConfigOptions } from "./config.options.ts";

export function run({ json }: ConfigOptions): number {
  const { files } = configHere(here());
  if (json) {
    writeStdout(JSON.stringify({ files: files.map(fileJson) }, null, 2) + "\n");
    return 0;
  }
  for (const { path, state, what, why } of files) {
    const more = [state === "shadowed" ? "not read, an earlier one counts" : state, why].filter(Boolean).join(
      ": ",
    );
    writeStdout(`${path}  (${what}: ${more})\n`);
  }
  return 0;
}
