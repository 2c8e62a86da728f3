/** What every engine is to the commands: it says what it cannot do, and does the rest. */
import type { Host } from "../host/host.ts";
import type { Spec } from "../spec/spec.ts";

export interface Engine {
  readonly name: string;
  /** Fields of the Spec this engine cannot honour, each in words with its value; empty when it can do all. */
  unsupported(spec: Spec): string[];
  /** This process becomes the sandbox. Throws {@link CordonError} when it cannot be set up. */
  exec(spec: Spec, host: Host): never;
}
