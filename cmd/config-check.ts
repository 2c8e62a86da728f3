import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { parseApiAddress } from "../lib/api/address.ts";
import {
  type FileValues,
  formatPosition,
  parseConfig,
  type Position,
  type Problem,
} from "../lib/config/parse.ts";
import { type Place, places } from "../lib/config/places.ts";
import { CordonError, reasonOf } from "../lib/errors.ts";
import { type Here, here, positionJson } from "./config-here.ts";
import type { ConfigOptions } from "./config.options.ts";
import { wordsOf } from "./run-backend.ts";

export function run({ json }: ConfigOptions): number {
  const where = here();
  const problems = places(where.facts).flatMap((place) => checkPlace(place, where));
  if (json) {
    const list = problems.map(({ at, what }) => ({ ...positionJson(at), what }));
    writeStdout(JSON.stringify({ sound: list.length === 0, problems: list }, null, 2) + "\n");
  } else {
    for (const { at, what } of problems) writeStderr(`cordon: ${formatPosition(at)}: ${what}\n`);
    if (problems.length === 0) writeStdout("No mistakes found\n");
  }
  return problems.length === 0 ? 0 : 1;
}

function checkPlace(place: Place, { facts, readPlace }: Here): Problem[] {
  const whole: Position = { path: place.path, line: 0, column: 0 };
  const problems: Problem[] = [];
  const caught = <T>(at: Position, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof CordonError)) throw error;
      problems.push({ at, what: [error.message, error.why].filter(Boolean).join(": ") });
      return undefined;
    }
  };
  const file = caught(whole, () => readPlace(place));
  if (file === undefined) return problems;
  if ("absent" in file) {
    return place.required ? [{ at: whole, what: `${place.what} names it, and it is not there` }] : [];
  }
  if ("refused" in file) return [{ at: whole, what: `not read: ${file.refused}` }];
  const parsed = caught(whole, () => parseConfig(file.bytes, { path: place.path, home: facts.home }));
  if (parsed !== undefined) {
    problems.push(...parsed.problems);
    checkValues(parsed.values, caught);
  }
  return problems;
}

function checkValues(values: FileValues, caught: (at: Position, work: () => unknown) => unknown): void {
  const { apiUrl, tokenFile, defaultArgs, profiles } = values;
  if (apiUrl) caught(apiUrl.at, () => parseApiAddress("backend.api_url", apiUrl.value));
  if (tokenFile) {
    caught(tokenFile.at, () => {
      try {
        Deno.openSync(tokenFile.value).close();
      } catch (cause) {
        throw new CordonError(`Cannot read ${tokenFile.value}`, { why: reasonOf(cause), cause });
      }
    });
  }
  if (defaultArgs) caught(defaultArgs.at, () => wordsOf("docker.default_args", defaultArgs));
  for (const [name, profile] of profiles) caught(profile.at, () => wordsOf(`profile ${name}`, profile));
}
