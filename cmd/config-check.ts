import { writeStderr, writeStdout } from "../lib/cli/streams.ts";
import { parseApiAddress } from "../lib/api/address.ts";
import { readToken } from "../lib/api/token.ts";
import {
  ConfigError,
  type FileValues,
  formatPosition,
  parseConfig,
  type Position,
  type Problem,
} from "../lib/config/parse.ts";
import { type Place, places } from "../lib/config/places.ts";
import { CordonError } from "../lib/errors.ts";
import { configHere, type Here, here, positionJson } from "./config-here.ts";
import type { ConfigOptions } from "./config.options.ts";
import { chooseBackend, wordsOf } from "./run-backend.ts";
import { readLine } from "./run.options.ts";

const NOWHERE: Position = { path: "", line: 0, column: 0 };

export function run({ json }: ConfigOptions): number {
  const where = here();
  const problems = places(where.facts).flatMap((place) => checkPlace(place, where));
  // What they are together shows when each of them can be read.
  if (problems.length === 0) {
    trying(problems)(NOWHERE, () => chooseBackend(readLine([]), { config: configHere(where), env: {} }));
  }
  if (json) {
    const list = problems.map(({ at, what }) => ({ ...positionJson(at), what }));
    writeStdout(JSON.stringify({ sound: list.length === 0, problems: list }, null, 2) + "\n");
  } else {
    for (const { at, what } of problems) writeStderr(`cordon: ${formatPosition(at)}: ${what}\n`);
    if (problems.length === 0) writeStdout("No mistakes found\n");
  }
  return problems.length === 0 ? 0 : 1;
}

/** Does it, and turns a failure into what is to be told of the place. */
type Try = <T>(at: Position, work: () => T) => T | undefined;

function trying(problems: Problem[]): Try {
  return (at, work) => {
    try {
      return work();
    } catch (error) {
      if (error instanceof ConfigError) problems.push(error);
      else if (error instanceof CordonError) {
        problems.push({ at, what: [error.message, error.why].filter(Boolean).join(": ") });
      } else throw error;
      return undefined;
    }
  };
}

function checkPlace(place: Place, { facts, readPlace }: Here): Problem[] {
  const whole: Position = { path: place.path, line: 0, column: 0 };
  const problems: Problem[] = [];
  const attempt = trying(problems);
  const file = attempt(whole, () => readPlace(place));
  if (file === undefined) return problems;
  if ("absent" in file) {
    return place.required ? [{ at: whole, what: `${place.what} names it, and it is not there` }] : [];
  }
  if ("refused" in file) return [{ at: whole, what: `not read: ${file.refused}` }];
  const parsed = attempt(whole, () => parseConfig(file.bytes, { path: place.path, home: facts.home }));
  if (parsed !== undefined) {
    problems.push(...parsed.problems);
    checkValues(parsed.values, attempt);
  }
  return problems;
}

function checkValues(values: FileValues, attempt: Try): void {
  const { apiUrl, tokenFile, defaultArgs, profiles } = values;
  if (apiUrl) attempt(apiUrl.at, () => parseApiAddress("backend.api_url", apiUrl.value));
  if (tokenFile) attempt(tokenFile.at, () => readToken(tokenFile.value));
  if (defaultArgs) attempt(defaultArgs.at, () => wordsOf("docker.default_args", defaultArgs));
  for (const [name, profile] of profiles) attempt(profile.at, () => wordsOf(`profile ${name}`, profile));
}
