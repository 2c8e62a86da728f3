/** Runs shim programs for real: on this machine's architecture as they are, on the other one under emulation. */
import type { Arch } from "../../../ffi/syscalls.ts";
import { Program } from "../../../lib/shim/program.ts";
import { writeImage } from "../../../lib/shim/image.ts";
import { type Need, program } from "../../helpers/need.ts";
import { type Outcome, run, type RunOptions, tmp } from "../../helpers/run.ts";

export const ARCHITECTURES = ["x86_64", "aarch64"] as const;

const emulator = (arch: Arch) => `qemu-${arch}-static`;

/** What running programs of an architecture takes. */
export function runs(arch: Arch): Need[] {
  return arch === Deno.build.arch ? [] : [program(emulator(arch))];
}

let count = 0;
let directory: string | undefined;

/** A private directory of the test file. */
export function place(): string {
  return directory ??= tmp();
}

/** Runs an image of an architecture with these arguments after argv[0]. */
export async function execute(
  image: Uint8Array,
  { arch, args = [], ...options }: RunOptions & { arch: Arch; args?: string[] },
): Promise<Outcome> {
  const path = `${place()}/image${count++}`;
  await Deno.writeFile(path, image, { mode: 0o755, createNew: true });
  const words = arch === Deno.build.arch ? [path] : [emulator(arch), path];
  return await run([...words, ...args], options);
}

/** Builds a program and runs it. */
export function build(
  arch: Arch,
  body: (p: Program) => void,
  options: RunOptions & { args?: string[] } = {},
): Promise<Outcome> {
  const p = new Program(arch);
  body(p);
  return execute(writeImage(p), { arch, ...options });
}
