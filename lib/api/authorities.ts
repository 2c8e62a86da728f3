/** The certificate authorities this machine trusts, beside those that the runtime knows. */
import { CordonError, reasonOf } from "../errors.ts";

/** Debian and its relatives, Fedora and its relatives, openSUSE, Alpine. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * PEM texts: the file that SSL_CERT_FILE names, or the system's.
 *
 * @throws CordonError when the file named cannot be read
 */
export function authorities(env: Readonly<Record<string, string | undefined>>): string[] {
  const named = env["SSL_CERT_FILE"];
  if (named) {
    try {
      return [Deno.readTextFileSync(named)];
    } catch (cause) {
      throw new CordonError(`Cannot read ${named}, which SSL_CERT_FILE names`, {
        why: reasonOf(cause),
        cause,
      });
    }
  }
  for (const path of BUNDLES) {
    try {
      return [Deno.readTextFileSync(path)];
    } catch (error) {
      // Another system keeps it elsewhere, or has none.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return [];
}
