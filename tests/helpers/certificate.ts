/** Certificates for servers of the tests' own. They need openssl. */
import assert from "node:assert/strict";

/** Writes cert.pem and key.pem, for 127.0.0.1, signed by itself. */
export async function certificate(directory: string, name = "test"): Promise<{ cert: string; key: string }> {
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  const more = ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"];
  const { success, stderr } = await new Deno.Command("openssl", {
    args: ["req", ...kind, ...names, ...more],
    cwd: directory,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  // Servers of the tests run as another user.
  Deno.chmodSync(`${directory}/key.pem`, 0o644);
  const read = (file: string) => Deno.readTextFileSync(`${directory}/${file}`);
  return { cert: read("cert.pem"), key: read("key.pem") };
}
