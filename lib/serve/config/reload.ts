/** A configuration in place of another, while the server runs. No I/O. */
import { CordonError } from "../../errors.ts";
import { readConfig, type TextFile } from "./read.ts";
import type { ServeConfig } from "./types.ts";

/** What the server set itself up with: a change of it takes a start. By the name of its key in the file. */
const FIXED: readonly { key: string; of: (config: ServeConfig) => unknown }[] = [
  { key: "listen", of: ({ listen }) => listen },
  { key: "socket_mode", of: ({ socketMode }) => socketMode },
  { key: "tls", of: ({ tls }) => tls },
  { key: "auth", of: ({ auth }) => auth },
  { key: "tokens", of: ({ tokens }) => tokens },
  { key: "engine", of: ({ engine }) => engine },
  { key: "docker.host", of: ({ dockerHost }) => dockerHost },
  { key: "user", of: ({ user }) => user },
  { key: "state", of: ({ state }) => state },
  { key: "connections", of: ({ connections }) => connections },
  { key: "pool", of: ({ pool }) => pool },
];

/**
 * The configuration that a running server goes on with. It is taken whole or not at all.
 *
 * @throws CordonError when the text is wrong, or changes what cannot be changed while the server runs
 */
export function reloaded(old: ServeConfig, text: string, tokens?: TextFile): ServeConfig {
  const path = old.path ?? "/none";
  const next = readConfig(text, path, tokens);
  const changed = FIXED.filter(({ of }) => JSON.stringify(of(old)) !== JSON.stringify(of(next)));
  if (changed.length === 0) return next;
  throw new CordonError(`Cannot take over the configuration ${path} while the server runs`, {
    why: `${changed.map(({ key }) => key).join(", ")} ${
      changed.length === 1 ? "takes" : "take"
    } effect at a start only`,
  });
}
