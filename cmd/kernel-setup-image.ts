/** The image of `cordon kernel setup --image`: there, and pinned. Loaded for that alone. */
import { writeStderr } from "../lib/cli/streams.ts";
import { refuseDistant } from "../lib/engine/docker/kernel.ts";
import { resolveEndpoint } from "../lib/docker/endpoint.ts";
import { NotFoundError, UnreachableError } from "../lib/docker/errors.ts";
import { type ImageDetails, inspectImage } from "../lib/docker/images.ts";
import { type Engine, openEngine } from "../lib/docker/system.ts";
import { CordonError } from "../lib/errors.ts";
import type { Host } from "../lib/host/host.ts";
import { pinnedName } from "../lib/jupyter/pin.ts";
import { pull } from "./run-pull.ts";
import type { KernelSetupOptions } from "./kernel-setup.options.ts";

export interface ChosenImage {
  /** As the kernelspec names it. */
  name: string;
  /** Endpoint for the kernelspec, when it was chosen and not found. */
  host?: string;
  /** Where the image is; absent where it is not there yet. */
  engine?: Engine;
}

/** @throws CordonError when the image is not there and cannot be pulled; with `--pull never` that is a warning */
export async function chooseImage(options: KernelSetupOptions, host: Host): Promise<ChosenImage> {
  const { pull: when, sandbox } = options;
  const image = sandbox.image!;
  const endpoint = await resolveEndpoint({ host: sandbox.host }, host);
  refuseDistant(endpoint);
  // Jupyter may run without the variable that was set here.
  const chosen = sandbox.host ?? (endpoint.origin === "DOCKER_HOST" ? host.env["DOCKER_HOST"] : undefined);
  const place = chosen === undefined ? {} : { host: chosen };
  try {
    const engine = await openEngine(endpoint);
    const found = when === "always" ? undefined : await look(engine, image);
    if (!found && when === "never") throw missing(engine, image);
    const details = found ?? await fetched(engine, image, host);
    return { name: pinnedName(image, details.RepoDigests ?? []), ...place, engine };
  } catch (error) {
    const absent = error instanceof UnreachableError || error instanceof MissingImageError;
    if (when !== "never" || !absent) throw error;
    writeStderr(`cordon: warning: ${error.message}: no kernel will start before it is there\n`);
    return { name: image, ...place };
  }
}

class MissingImageError extends CordonError {}

function missing(engine: Engine, image: string): MissingImageError {
  return new MissingImageError(`Image ${image} is not on this engine`, {
    hint: `${engine.name} pull ${image}`,
  });
}

async function look(engine: Engine, image: string): Promise<ImageDetails | undefined> {
  try {
    return await inspectImage(engine, image);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

async function fetched(engine: Engine, image: string, host: Host): Promise<ImageDetails> {
  await pull(engine, image, {
    facts: host,
    platform: undefined,
    quiet: !Deno.stderr.isTerminal(),
    signal: undefined,
  });
  return await inspectImage(engine, image);
}
