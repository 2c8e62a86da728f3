/** Stand-ins on loopback for what the first-run script downloads from: an npm registry and Deno's own site. */
import { createHash } from "node:crypto";
import { deflateRawSync } from "node:zlib";
import { tmp } from "./run.ts";

const BUILD = new URL("../../build/", import.meta.url).pathname;
const NPM_ARCH = Deno.build.arch === "aarch64" ? "arm64" : "x64";

/** The programs a build needs, as the build of this checkout left them. */
export const PARTS: Record<"deno" | "denort" | "esbuild", string> = {
  deno: `${BUILD}deno-${Deno.version.deno}/deno`,
  denort: `${BUILD}deno-${Deno.version.deno}/denort-registry`,
  esbuild: `${BUILD}deno_dir/dl/esbuild-0.25.5/esbuild-linux-${NPM_ARCH}`,
};

/** A directory for CORDON_BUILD_CACHE that any user can read. */
export function buildCache(): string {
  const directory = tmp();
  for (const [name, path] of Object.entries(PARTS)) Deno.copyFileSync(path, `${directory}/${name}`);
  return directory;
}

interface Package {
  name: string;
  version: string;
  tarball: Uint8Array<ArrayBuffer>;
}

/** A package archive whose file at `path` is `source`, with `tail` bytes after it. */
async function pack(name: string, version: string, file: { path: string; source: string; tail?: number }) {
  const directory = tmp();
  const target = `${directory}/package/${file.path}`;
  Deno.mkdirSync(target.replace(/\/[^/]*$/, ""), { recursive: true });
  Deno.copyFileSync(file.source, target);
  if (file.tail) Deno.writeFileSync(target, new Uint8Array(file.tail), { append: true });
  Deno.writeTextFileSync(`${directory}/package/package.json`, JSON.stringify({ name, version }));
  const tar = new Deno.Command("sh", {
    args: ["-c", "tar -cf - package | gzip -1"],
    cwd: directory,
    stderr: "inherit",
  });
  const tarball = new Uint8Array((await tar.output()).stdout);
  Deno.removeSync(`${directory}/package`, { recursive: true });
  return { name, version, tarball };
}

export interface Server extends AsyncDisposable {
  url: string;
  /** Paths asked for, in order. */
  asked: string[];
}

/** An npm registry with the packages of a build; `token`, if given, must come with every request for an archive. */
export async function npmRegistry(options: { token?: string; damaged?: boolean } = {}): Promise<Server> {
  const deno = options.damaged ? PARTS.esbuild : PARTS.deno;
  const packages = await Promise.all([
    pack(`@deno/linux-${NPM_ARCH}-glibc`, Deno.version.deno, { path: "deno", source: deno }),
    pack(`@esbuild/linux-${NPM_ARCH}`, "0.25.5", { path: "bin/esbuild", source: PARTS.esbuild }),
    pack("@vltpkg/cli-linux-x64", "0.0.0-18", { path: "vlt", source: PARTS.denort, tail: 4096 }),
  ]);
  return serve((url, request) => {
    const path = decodeURIComponent(url.pathname);
    const found = packages.find((p) => path === `/${p.name}` || path.startsWith(`/${p.name}/-/`));
    if (!found) return new Response("{}", { status: 404 });
    if (path === `/${found.name}`) return Response.json(metadata(found, url.origin));
    if (options.token && request.headers.get("authorization") !== `Bearer ${options.token}`) {
      return new Response("who are you", { status: 401 });
    }
    return new Response(found.tarball);
  });
}

function metadata({ name, version, tarball }: Package, origin: string) {
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  const url = `${origin}/${name}/-/${name.split("/")[1]}-${version}.tgz`;
  return {
    name,
    "dist-tags": { latest: version },
    versions: { [version]: { name, version, dist: { tarball: url, integrity } } },
  };
}

/** Deno's download site: the two archives of a release. */
export function denoSite(): Promise<Server> {
  const folder = `/release/v${Deno.version.deno}`;
  const target = `${Deno.build.arch}-unknown-linux-gnu.zip`;
  return serve((url) => {
    for (const name of ["deno", "denort"] as const) {
      if (url.pathname === `${folder}/${name}-${target}`) return new Response(zip(name, PARTS[name]));
    }
    return new Response("no", { status: 404 });
  });
}

/** A zip archive with one member (APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16). */
function zip(name: string, source: string): Uint8Array<ArrayBuffer> {
  const plain = Deno.readFileSync(source);
  const packed = deflateRawSync(plain, { level: 1 });
  const common = new Uint8Array(26);
  const view = new DataView(common.buffer);
  view.setUint16(0, 20, true); // version needed
  view.setUint16(4, 8, true); // deflate
  view.setUint32(10, crc32(plain), true);
  view.setUint32(14, packed.length, true);
  view.setUint32(18, plain.length, true);
  view.setUint16(22, name.length, true);
  const bytes = new TextEncoder().encode(name);
  const local = concat([Uint8Array.of(0x50, 0x4b, 3, 4), common, bytes, packed]);
  const central = concat([Uint8Array.of(0x50, 0x4b, 1, 2, 20, 3), common, new Uint8Array(14), bytes]);
  const end = new Uint8Array(22);
  const endView = new DataView(end.buffer);
  endView.setUint32(0, 0x06054b50, true);
  endView.setUint16(8, 1, true);
  endView.setUint16(10, 1, true);
  endView.setUint32(12, central.length, true);
  endView.setUint32(16, local.length, true);
  return concat([local, central, end]);
}

function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function crc32(bytes: Uint8Array): number {
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    let value = n;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function serve(handler: (url: URL, request: Request) => Response): Promise<Server> {
  const asked: string[] = [];
  const { promise, resolve } = Promise.withResolvers<Server>();
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: ({ port }) =>
      resolve({ url: `http://127.0.0.1:${port}`, asked, [Symbol.asyncDispose]: () => server.shutdown() }),
  }, (request) => {
    const url = new URL(request.url);
    asked.push(decodeURIComponent(url.pathname));
    return handler(url, request);
  });
  return promise;
}
