/** Putting a kernelspec in its place, and taking it away: complete or not at all. */
import { basename, dirname, join } from "node:path";
import { CordonError, reasonOf } from "../errors.ts";
import { formatKernelJson, type KernelJson } from "./kernelspec.ts";

export interface NewKernelspec {
  json: KernelJson;
  /** Directory of a kernelspec whose other files (logos, kernel.js) come along. */
  resources?: string;
}

/**
 * Writes the kernelspec beside its place and renames it into it. Jupyter sees the old one or the new one.
 * @returns whether there was one before
 */
export function installKernelspec(directory: string, spec: NewKernelspec): boolean {
  const parent = dirname(directory);
  const building = beside(directory);
  try {
    Deno.mkdirSync(parent, { recursive: true });
    Deno.mkdirSync(building);
  } catch (cause) {
    throw cannotInstall(directory, cause);
  }
  try {
    if (spec.resources !== undefined) copyResources(spec.resources, building);
    // Last, because a directory with a kernel.json is a kernel to Jupyter.
    Deno.writeTextFileSync(join(building, "kernel.json"), formatKernelJson(spec.json), { createNew: true });
    return swapIn(building, directory);
  } catch (cause) {
    Deno.removeSync(building, { recursive: true });
    throw cannotInstall(directory, cause);
  }
}

/** Takes a kernelspec away in one step, then removes its files. */
export function removeKernelspec(directory: string): void {
  const aside = beside(directory);
  try {
    Deno.renameSync(directory, aside);
    Deno.removeSync(aside, { recursive: true });
  } catch (cause) {
    const denied = cause instanceof Deno.errors.PermissionDenied;
    throw new CordonError(`Kernelspec ${directory} cannot be removed`, {
      why: denied ? `this user may not write in ${dirname(directory)}` : reasonOf(cause),
      cause,
    });
  }
}

/** A name nobody else uses; Jupyter admits it, so that it does not warn of it. */
function beside(directory: string): string {
  return join(dirname(directory), `.${basename(directory)}-${crypto.randomUUID()}`);
}

/** rename(2) does not replace a directory that holds something: the old one steps aside, and returns on failure. */
function swapIn(building: string, directory: string): boolean {
  const old = beside(directory);
  try {
    Deno.renameSync(directory, old);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    Deno.renameSync(building, directory);
    return false;
  }
  try {
    Deno.renameSync(building, directory);
  } catch (error) {
    Deno.renameSync(old, directory);
    throw error;
  }
  Deno.removeSync(old, { recursive: true });
  return true;
}

function copyResources(from: string, to: string): void {
  for (const entry of Deno.readDirSync(from)) {
    if (entry.name === "kernel.json") continue;
    const source = join(from, entry.name), target = join(to, entry.name);
    if (Deno.statSync(source).isDirectory) {
      Deno.mkdirSync(target);
      copyResources(source, target);
    } else {
      Deno.copyFileSync(source, target);
    }
  }
}

function cannotInstall(directory: string, cause: unknown): CordonError {
  const denied = cause instanceof Deno.errors.PermissionDenied;
  return new CordonError(`Kernelspec cannot be saved as ${directory}`, {
    why: denied ? `this user may not write in ${dirname(directory)}` : reasonOf(cause),
    ...(denied && { hint: "install it for yourself with --user" }),
    cause,
  });
}
