/** The `kernel.json` of an isolated kernel. Pure. */
import type { EnvArgument } from "../cli/values.ts";
import { CONNECTION_FILE, type KernelJson } from "./kernelspec.ts";
import type { KernelProgram } from "./program.ts";

export interface Composition {
  /** Absolute path of cordon. */
  executable: string;
  version: string;
  engine: "namespaces" | "docker";
  /** As it is run, by digest where it has one. */
  image?: string;
  /** As it was typed. */
  imageTyped?: string;
  program: KernelProgram;
  displayName?: string;
  language?: string;
  /** Arguments of the launch for mounts. */
  mounts: readonly string[];
  env: readonly EnvArgument[];
  /** Other arguments of the launch. */
  options: readonly string[];
  /** The kernelspec that was wrapped. */
  from?: string;
}

export function composeKernelJson(composition: Composition): KernelJson {
  const { executable, version, engine, image, program, from } = composition;
  const env = splitEnvironment(composition.env, program.env);
  const language = composition.language ?? program.language;
  return {
    argv: [
      executable,
      "kernel",
      "launch",
      "--engine",
      engine,
      ...(image === undefined ? [] : ["--image", image]),
      ...composition.mounts,
      ...env.arguments,
      ...composition.options,
      "-f",
      CONNECTION_FILE,
      "--",
      ...program.argv,
    ],
    display_name: composition.displayName ?? defaultDisplayName(composition),
    language,
    interrupt_mode: program.interruptMode,
    env: env.variables,
    metadata: {
      ...program.metadata,
      cordon: {
        version,
        engine,
        ...(composition.imageTyped !== undefined && { image: composition.imageTyped }),
        ...(from !== undefined && { from }),
      },
    },
  };
}

function defaultDisplayName({ imageTyped, program, language, from }: Composition): string {
  if (imageTyped !== undefined) return `Docker kernel of ${imageTyped}`;
  return `${program.displayName || from || language || program.language} (isolated)`;
}

/** Variables that cordon, its loader or what it starts outside would obey: they must not be set for the launcher. */
const LAUNCHERS =
  /^(PATH|HOME|TMPDIR|IFS|BASH_ENV|ENV|TERM|NO_COLOR|LD_.*|GLIBC_.*|MALLOC_.*|DENO_.*|V8_.*|RUST_.*|XDG_.*|DBUS_.*|DOCKER_.*|CONTAINER_.*|CORDON_.*|SSL_.*|.*_PROXY|.*_proxy)$/;

/**
 * Variables go into `env`, where Jupyter expects them and their values do not show in process lists, and `--env NAME`
 * lets them in. A launcher's own variable, or a value with `$` (which Jupyter would expand), goes into the command line.
 */
function splitEnvironment(
  typed: readonly EnvArgument[],
  kernelspec: Readonly<Record<string, string>>,
): { arguments: string[]; variables: Record<string, string> } {
  const words = new Map<string, string>();
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(kernelspec)) {
    // A template stays one: it is for Jupyter to fill in.
    if (LAUNCHERS.test(name) && !value.includes("$")) {
      words.set(name, `${name}=${value}`);
    } else {
      words.set(name, name);
      variables[name] = value;
    }
  }
  for (const { name, value } of typed) {
    delete variables[name];
    const inCommandLine = value !== undefined && (LAUNCHERS.test(name) || value.includes("$"));
    words.set(name, inCommandLine ? `${name}=${value}` : name);
    if (value !== undefined && !inCommandLine) variables[name] = value;
  }
  return { arguments: [...words.values()].flatMap((word) => ["--env", word]), variables };
}
