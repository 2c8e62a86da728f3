/**
 * Tests that need something a machine may lack. Where a need is unmet the test is ignored with its reason, or fails
 * when CORDON_TEST_MUST_RUN=1. What a machine cannot have at all is listed in ../not-possible.ts.
 */
import { NOT_POSSIBLE } from "../not-possible.ts";
import { asUserArgv } from "./user.ts";
import { baseEnv } from "./run.ts";

export interface Need {
  what: string;
  /** `true`, or why it is not met. */
  met: () => boolean | string;
  /** Set for things of the not-possible list: their absence is no fault of the machine's set-up. */
  impossible?: true;
}

export type TestOptions = Omit<Deno.TestDefinition, "name" | "fn" | "ignore"> & { needs?: readonly Need[] };

/** `Deno.test` with needs. */
export function test(
  name: string,
  options: TestOptions,
  body: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const { needs = [], ...rest } = options;
  const unmet = needs.map((need) => ({ need, why: answer(need) })).find(({ why }) => why !== undefined);
  if (!unmet) return Deno.test({ ...rest, name, fn: body });
  const reason = `${unmet.need.what}: ${unmet.why}`;
  if (!unmet.need.impossible && Deno.env.get("CORDON_TEST_MUST_RUN") === "1") {
    return Deno.test({
      ...rest,
      name,
      fn: () => {
        throw new Error(`needs ${reason}`);
      },
    });
  }
  report(unmet.need.impossible ? "not possible here" : "skip", name, reason);
  Deno.test({ ...rest, name, ignore: true, fn: body });
}

const answers = new Map<Need, string | undefined>();

function answer(need: Need): string | undefined {
  if (!answers.has(need)) {
    const met = need.met();
    answers.set(need, met === true ? undefined : met === false ? "absent" : met);
  }
  return answers.get(need);
}

/** run-tests names a file in CORDON_TEST_REPORT and counts its lines. */
function report(kind: string, name: string, reason: string): void {
  const line = `${kind}: ${name}: ${reason}`;
  console.log(line);
  const file = Deno.env.get("CORDON_TEST_REPORT");
  if (file) Deno.writeTextFileSync(file, line.replaceAll("\n", " ") + "\n", { append: true });
}

function probe(argv: readonly string[]): true | string {
  const [program = "", ...args] = argv;
  try {
    const { success, stderr } = new Deno.Command(program, { args, env: baseEnv("/"), stdin: "null" })
      .outputSync();
    return success || (new TextDecoder().decode(stderr).trim() || `${argv.join(" ")} failed`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `${program} is not installed`;
    throw error;
  }
}

/** The tests run as root. */
export const root: Need = {
  what: "root",
  met: () => Deno.uid() === 0 || "the tests run as an ordinary user",
};

/** There is an ordinary user to run things as: the caller, or one root can become. */
export const ordinaryUser: Need = {
  what: "an ordinary user",
  met: () => probe(asUserArgv(["true"])),
};

/** The ordinary user may create user namespaces. */
export const userns: Need = {
  what: "user namespaces for an ordinary user",
  met: () => probe(asUserArgv(["unshare", "--user", "--map-current-user", "true"])),
};

/** `name` is on the path. */
export function program(name: string): Need {
  return {
    what: name,
    met: () => probe(["sh", "-c", 'command -v -- "$1" >/dev/null', "sh", name]) === true || "not installed",
  };
}

/** The Python of the tests (build/venv, made by `run-tests --install`). */
export const python: string = new URL("../../build/venv/bin/python", import.meta.url).pathname;

/** `module` can be imported by {@link python}. */
export function pythonModule(module: string): Need {
  return {
    what: `the Python module ${module}`,
    met: () =>
      probe([python, "-c", `import ${module}`]) === true || "not in build/venv (run-tests --install)",
  };
}

/** An entry of ../not-possible.ts. */
export function possible(id: string): Need {
  const entry = NOT_POSSIBLE.find((candidate) => candidate.id === id);
  if (!entry) throw new TypeError(`no entry ${id} in tests/not-possible.ts`);
  return { what: entry.what, met: () => !entry.absent() || entry.reason, impossible: true };
}
