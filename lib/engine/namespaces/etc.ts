/** The sandbox's /etc: generated where the host's says too much, the host's own, read-only, where programs need it. */
import type { Spec } from "../../spec/spec.ts";

/**
 * Read-only from the host. Directories that also hold private keys (/etc/ssl, /etc/pki/tls) are not shared whole: root's
 * sandbox could read them.
 */
export const HOST_ETC = [
  "/etc/ld.so.cache",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/alternatives",
  "/etc/localtime",
  "/etc/ssl/certs",
  "/etc/ssl/openssl.cnf",
  "/etc/ca-certificates",
  "/etc/pki/ca-trust",
  "/etc/pki/tls/certs",
  "/etc/pki/tls/cert.pem",
  "/etc/pki/tls/openssl.cnf",
  "/etc/crypto-policies",
  "/etc/fonts",
  "/etc/mime.types",
  "/etc/R",
  ...["", "-8-openjdk", "-11-openjdk", "-17-openjdk", "-21-openjdk", "-25-openjdk", "-common"]
    .map((version) => `/etc/java${version}`),
];

/** The files that are generated, with their content. */
export function etcFiles(spec: Spec): [path: string, content: string][] {
  const { name, group, home, shell, groups } = spec.user;
  const { uid, gid } = spec.mapRoot ? { uid: 0, gid: 0 } : spec.user;
  const users = [[0, "root", 0, "/root"], [65534, "nobody", 65534, "/nonexistent"]] as const;
  const passwd = users.filter(([id]) => id !== uid).map(([id, user, of, at]) =>
    `${user}:x:${id}:${of}:${user}:${at}:/usr/sbin/nologin\n`
  );
  passwd.push(`${field(spec.mapRoot ? "root" : name)}:x:${uid}:${gid}::${field(home)}:${field(shell)}\n`);
  const named = [[0, "root"], [65534, "nogroup"], [5, "tty"]] as const;
  const rows = named.filter(([id]) => id !== gid && !groups.includes(id)).map(([id, n]) => `${n}:x:${id}:\n`);
  rows.push(`${field(spec.mapRoot ? "root" : group)}:x:${gid}:\n`);
  return [
    ["/etc/passwd", passwd.join("")],
    ["/etc/group", rows.join("")],
    ["/etc/hosts", `127.0.0.1 localhost ${spec.hostname}\n::1 localhost ip6-localhost ip6-loopback\n`],
    ["/etc/hostname", `${spec.hostname}\n`],
    [
      "/etc/nsswitch.conf",
      "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    ],
  ];
}

/** Text for one colon-separated field: what would start another field or line is left out. */
function field(text: string): string {
  return text.replace(/[:\n]/g, "");
}
