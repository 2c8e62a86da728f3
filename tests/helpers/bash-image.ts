/** A root file system with this machine's bash and a few programs, for what busybox cannot show. */
import { readTar, type TarEntry, writeTar } from "../../lib/docker/tar.ts";
import { busyboxTar } from "./engines.ts";

const PROGRAMS = ["bash", "env", "sort", "id", "ls", "cut", "tr", "grep", "cat", "sleep", "head"];

/** {@link busyboxTar} with bash and GNU's programs in /usr/bin, and the libraries they need. */
export async function bashTar(): Promise<Uint8Array> {
  const paths = (await lines("sh", ["-c", 'for p; do command -v "$p"; done', "sh", ...PROGRAMS]))
    .map((path) => Deno.realPathSync(path));
  const libraries = new Set(
    (await lines("ldd", paths)).flatMap((line) => /(?:=> |^\s*)(\/\S+) \(0x/.exec(line)?.[1] ?? []),
  );
  const file = (name: string, path: string): TarEntry => ({
    name: name.replace(/^\//, ""),
    type: "file",
    mode: 0o755,
    data: Deno.readFileSync(path),
  });
  return writeTar([
    ...readTar(await busyboxTar()),
    ...PROGRAMS.map((name, at) => file(`/usr/bin/${name}`, paths[at]!)),
    ...[...libraries].map((path) => file(path, path)),
  ]);
}

async function lines(program: string, args: string[]): Promise<string[]> {
  const { stdout } = await new Deno.Command(program, { args }).output();
  return new TextDecoder().decode(stdout).trim().split("\n");
}
