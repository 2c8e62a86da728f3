/**
 * What docker's own client asks an engine for, and the same of cordon, in a form in which they can be compared. Run by
 * itself it records: `deno run -A tests/helpers/docker-requests.ts CLIENT API >tests/unit/dockerargs/recorded.json`
 */
import { posix } from "node:path";
import { shellWords } from "../../lib/cli/shellwords.ts";
import { parseRun, type RunFacts } from "../../lib/dockerargs/run.ts";
import { CordonError } from "../../lib/errors.ts";
import { DOCKER_LINES, FILES, VARIABLES } from "./docker-lines.ts";
import { FakeEngine } from "./fake-engine.ts";
import { run } from "./run.ts";

type Json = Record<string, unknown>;

/** The request that creates the container, without what means nothing, or that there was none. */
export type Asked = { name: string; platform: string; body: Json } | { refused: string };

/** The directory that recorded requests were made in. */
export const CWD = "/work/here";

/** The words of a line of the list. */
export function wordsOf(line: string): string[] {
  const words = shellWords(line);
  if (!words) throw new TypeError(`unbalanced quotes in ${line}`);
  return words;
}

/** What `client run WORDS…` asks an engine that speaks `api` for, from {@link CWD} below `root`, which is cut off. */
export async function askedByDocker(
  client: string,
  words: readonly string[],
  { api, root }: { api: string; root: string },
): Promise<Asked> {
  const cwd = root + CWD;
  let asked: Asked | undefined;
  const ping = `HTTP/1.1 200 OK\r\nApi-Version: ${api}\r\nOstype: linux\r\nConnection: close\r\n`;
  await using fake = new FakeEngine({
    "HEAD /_ping": (call) => call.send(`${ping}\r\n`),
    "GET /_ping": (call) => call.send(`${ping}Content-Length: 2\r\n\r\nOK`),
    "POST /images/create": (call) =>
      call.send(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`),
    "POST /containers/create": async (call) => {
      const text = (await call.body()).toString().replaceAll(root, "");
      const { query } = call;
      asked = {
        name: query.get("name") ?? "",
        platform: query.get("platform") ?? "",
        body: normal(JSON.parse(text)),
      };
      await call.json(400, { message: "recorded" });
    },
  });
  const argv = [client, "-H", `unix://${fake.endpoint.path}`, "run", ...words];
  for (let attempt = 1;; attempt++) {
    const { code, stderr } = await run(argv, { cwd, env: { HOME: cwd, ...VARIABLES } });
    // A fault of the connection must not pass for a refusal. The client takes one that was just closed, now and then.
    const cut = /error during connect/.test(stderr);
    if (cut && attempt < 3) continue;
    if (code === 0 || cut) throw new Error(`${words.join(" ")}: status ${code}: ${stderr}`);
    return asked ?? { refused: stderr.split("\n", 1)[0]! };
  }
}

/** What cordon would ask for. */
export function askedByCordon(words: readonly string[], api: string): Asked {
  const facts: RunFacts = {
    cwd: CWD,
    env: VARIABLES,
    readFile: (path) => {
      const text = FILES[path];
      if (text === undefined) throw new Error(`no such file: ${posix.join(CWD, path)}`);
      return new TextEncoder().encode(text);
    },
    apiVersion: api,
  };
  try {
    const { config, client } = parseRun(words, facts);
    return {
      name: client.name ?? "",
      platform: client.platform ?? "",
      body: normal(structuredClone(config)),
    };
  } catch (error) {
    if (error instanceof CordonError) return { refused: error.message };
    throw error;
  }
}

/** Objects of the user's own names and values: in them nothing is left out. */
const FREE = [
  "Volumes",
  "ExposedPorts",
  "PortBindings",
  "Labels",
  "Tmpfs",
  "Sysctls",
  "StorageOpt",
  "Annotations",
  "Options",
  "DriverOpts",
];
/** Fields that mean something when they are false, 0 or empty. */
const TELLING = ["Init", "StopTimeout", "MaskedPaths", "ReadonlyPaths", "MemorySwappiness", "Entrypoint"];
/** Lists without an order of their own: docker goes through a map, or cordon sorts. */
const SETS = ["Binds", "CapAdd", "CapDrop"];

/** Without fields that say what holds anyway, and with one order and spelling of what may have several. */
export function normal(body: Json): Json {
  const host = (body["HostConfig"] ?? {}) as Json;
  if (host["MemorySwappiness"] === -1) delete host["MemorySwappiness"];
  if (host["NetworkMode"] === "default") delete host["NetworkMode"];
  const { Name } = (host["RestartPolicy"] ?? {}) as { Name?: string };
  if (Name === "no" || Name === "") delete host["RestartPolicy"];
  for (const name of ["CapAdd", "CapDrop"]) {
    host[name] = (host[name] as string[] | null ?? []).map((cap) =>
      /^(CAP_.*|ALL)$/i.test(cap) ? cap.toUpperCase() : `CAP_${cap.toUpperCase()}`
    );
  }
  for (const request of host["DeviceRequests"] as Json[] | null ?? []) {
    if (Object.keys(request["Options"] as Json ?? {}).length === 0) delete request["Options"];
  }
  const whole = { ...body, HostConfig: host };
  return JSON.parse(JSON.stringify(prune(whole, ""))) as Json;
}

function prune(value: unknown, name: string): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => prune(item, ""));
    // Variables of one name are one; the order of different ones says nothing.
    return SETS.includes(name) || name === "Env" ? items.sort() : items;
  }
  if (typeof value !== "object" || value === null) return value;
  if (FREE.includes(name)) return Object.keys(value).length === 0 ? undefined : value;
  const fields = Object.entries(value).flatMap(([key, field]) => {
    const kept = name === "LogConfig" && key === "Config" ? nonempty(field) : prune(field, key);
    const telling = TELLING.includes(key) && field !== null;
    return telling || !isEmpty(kept) ? [[key, kept]] : [];
  });
  return Object.fromEntries(fields.sort(([a], [b]) => String(a) < String(b) ? -1 : 1));
}

function nonempty(value: unknown): unknown {
  return isEmpty(value) ? undefined : value;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return true;
  // A console's size is [0, 0] without a console.
  if (Array.isArray(value)) return value.every((item) => item === 0);
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** The files that lines name, in {@link CWD} below `root`. */
export function writeFiles(root: string): void {
  const directory = root + CWD;
  Deno.mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(FILES)) Deno.writeTextFileSync(`${directory}/${name}`, text);
}

if (import.meta.main) {
  const [client = "docker", api = "1.47"] = Deno.args;
  const root = Deno.makeTempDirSync();
  writeFiles(root);
  const recorded: Record<string, Asked | { refused: string }> = {};
  for (const { line, newer } of DOCKER_LINES) {
    if (newer) recorded[line] = await askedByDocker(client, wordsOf(line), { api, root });
  }
  Deno.removeSync(root, { recursive: true });
  console.log(JSON.stringify({ api, recorded }, null, 1));
}
