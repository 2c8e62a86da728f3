/** Names of machines to addresses. */
import { lookUp } from "../../ffi/resolve.ts";
import { CordonError } from "../errors.ts";
import { formatAddress } from "./address.ts";
import { cString } from "./bytes.ts";

/** Addresses of a name, or of an address in its text form. Throws {@link CordonError} when there are none. */
export function resolveName(name: string, what: string): string[] {
  const found = lookUp(cString(name));
  if (typeof found === "string") {
    throw new CordonError(`${what}: ${name} has no address`, { why: found });
  }
  return [...new Set(found.map(formatAddress))];
}
