/** What packaging/ has for cordon serve: the configuration, the unit, and each proxy before a server that runs. */
import assert from "node:assert/strict";
import { SYSCALLS } from "../../ffi/syscalls.ts";
import { readConfig } from "../../lib/serve/config/read.ts";
import { MOST_CREATE_BYTES } from "../../lib/serve/schemas-v1.ts";
import { cordon, cordonArgv, executable, tmp } from "../helpers/binary.ts";
import { type Need, ordinaryUser, program, test, userns } from "../helpers/need.ts";
import { baseEnv, run } from "../helpers/run.ts";
import { asUserArgv, ordinaryHome, ordinaryTmp } from "../helpers/user.ts";
import { freePort } from "../helpers/machine.ts";

const PACKAGING = new URL("../../packaging/", import.meta.url).pathname;
const EXAMPLE = "cordon-serve.toml";
const UNIT = "cordon-serve.service";

function read(name: string): string {
  return Deno.readTextFileSync(PACKAGING + name);
}

Deno.test("the configuration loads, and so does every line of it that is commented out", () => {
  const text = read(EXAMPLE);
  const config = readConfig(text, "/etc/cordon/serve.toml");
  assert.deepEqual(config.tenants.map(({ name, policy }) => [name, policy.name]), [
    ["class", "default"],
    ["staff", "staff"],
  ]);
  const settings = /^# (?=[a-z_]+ = |\[)/gm;
  assert.ok(text.match(settings)!.length > 10);
  const all = readConfig(text.replaceAll(settings, ""), "/etc/cordon/serve.toml");
  assert.equal(all.tls?.key, "/etc/cordon/key.pem");
  assert.deepEqual(all.policies[0]!.mounts, [{ host: "/srv/course", write: false }]);
  // What it says of defaults is so.
  for (const limit of ["cpus", "pids", "output", "tmp"] as const) {
    assert.equal(all.policies[0]!.limits[limit].value, config.policies[0]!.limits[limit].value, limit);
  }
});

Deno.test("the proxies take what the server takes, and no more", () => {
  const { files } = readConfig(read(EXAMPLE), "/etc/cordon/serve.toml").policies[0]!;
  const [most, store] = [MOST_CREATE_BYTES, files.storeBytes].map((bytes) => bytes / 2 ** 20);
  const sizes = (name: string, pattern: RegExp) =>
    [...read(`proxy/${name}`).matchAll(pattern)].map((match) => Number(match[1])).sort((a, b) => a - b);
  assert.deepEqual(sizes("nginx.conf", /client_max_body_size (\d+)m;/g), [most, store]);
  assert.deepEqual(sizes("Caddyfile", /max_size (\d+)MiB/g), [most, store]);
  const bytes = [MOST_CREATE_BYTES, files.storeBytes];
  assert.deepEqual(sizes("apache.conf", /LimitRequestBody (\d+)/g), bytes);
});

Deno.test("check-policy takes the configuration as the real executable reads it", async () => {
  const path = `${tmp()}/serve.toml`;
  Deno.writeTextFileSync(path, read(EXAMPLE), { mode: 0o600 });
  const { code, stdout } = await cordon(
    ["serve", "check-policy", "--config", path, "--tenant", "class", "-m 256m python:3.12"],
  );
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^allowed {2}a container of docker\.io\/library\/python:3\.12$/m);
});

const analyze = program("systemd-analyze");

/** The unit as installed, with an executable that is there; with the drop-in where it is asked for. */
function unit({ containersOnly = false } = {}): string {
  const directory = tmp();
  const path = `${directory}/${UNIT}`;
  Deno.writeTextFileSync(path, read(`systemd/${UNIT}`).replaceAll("/usr/local/bin/cordon", executable()));
  if (containersOnly) {
    Deno.mkdirSync(`${path}.d`);
    const name = `${UNIT}.d/containers-only.conf`;
    Deno.copyFileSync(`${PACKAGING}systemd/${name}`, `${directory}/${name}`);
  }
  return path;
}

for (const [containersOnly, most] of [[false, 3.5], [true, 1.5]] as const) {
  const name = containersOnly ? "the unit with its drop-in" : "the unit";
  test(`${name} has no fault and little exposure`, { needs: [analyze] }, async () => {
    const path = unit({ containersOnly });
    const verified = await run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path]);
    assert.deepEqual([verified.code, verified.stderr], [0, ""]);
    const { stdout } = await run(["systemd-analyze", "security", "--offline=true", "--no-pager", path]);
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
    assert.ok(exposure <= most, stdout);
    assert.ok(Deno.readTextFileSync(`${PACKAGING}../docs/serve.md`).includes(` ${most}`));
  });
}

test("the unit lets through every system call that makes a sandbox", { needs: [analyze] }, async () => {
  const { stdout } = await run(["systemd-analyze", "syscall-filter", "--no-pager"]);
  const sets = new Map<string, string[]>();
  let open: string[] = [];
  for (const line of stdout.split("\n").map((line) => line.replace(/#.*/, ""))) {
    if (line.startsWith("@")) sets.set(line.trim(), open = []);
    else if (line.trim() !== "") open.push(line.trim());
  }
  const expand = (name: string): string[] => name.startsWith("@") ? sets.get(name)!.flatMap(expand) : [name];
  const lines = [...read(`systemd/${UNIT}`).matchAll(/^SystemCallFilter=(.+)$/gm)];
  assert.equal(lines.length, 1);
  const allowed = new Set(lines[0]![1]!.split(" ").flatMap(expand));
  assert.deepEqual(Object.keys(SYSCALLS).filter((name) => !allowed.has(name)), []);
});

interface Served extends AsyncDisposable {
  directory: string;
  socket: string;
  token: string;
  /** Resolves when the server has logged a line that fits. */
  logged(pattern: RegExp): Promise<void>;
}

/** The example's configuration on a socket of the tests, as an ordinary user. */
async function serve(): Promise<Served> {
  const directory = ordinaryTmp();
  Deno.chmodSync(directory, 0o755);
  const [config, socket] = [`${directory}/serve.toml`, `${directory}/serve.sock`];
  const text = read(EXAMPLE).replaceAll("/run/cordon/serve.sock", socket);
  const write = await run(asUserArgv(["sh", "-c", 'umask 077; cat >"$1"', "sh", config]), { stdin: text });
  assert.equal(write.code, 0, write.stderr);
  const made = await cordon(["serve", "token", "add", "class", "--config", config], { user: "ordinary" });
  assert.equal(made.code, 0, made.stderr);
  const argv = cordonArgv(["serve", "--config", config, "--state", `${directory}/state`], {
    user: "ordinary",
  });
  const server = start(argv, { cwd: directory, home: ordinaryHome() });
  await server.logged(/listening on/);
  return { directory, socket, token: made.stdout.trim(), ...server };
}

function start(argv: readonly string[], { cwd, home }: { cwd: string; home: string }) {
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    clearEnv: true,
    env: baseEnv(home),
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let said = "", ended = false;
  const waiting = new Set<() => void>();
  // Apache closes its stderr and lives on.
  const status = child.status.then((status) => {
    ended = true;
    for (const look of waiting) look();
    return status;
  });
  const read = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      for (const look of waiting) look();
    }
  })();
  const logged = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (pattern.test(said)) resolve();
        else if (ended) reject(new Error(`${argv.join(" ")} ended: ${said}`));
      };
      waiting.add(look);
      look();
    });
  return {
    logged,
    /** What it said, once it has ended. */
    ended: () => ended ? said : undefined,
    async [Symbol.asyncDispose]() {
      if (!ended) child.kill("SIGTERM");
      await status;
      await read;
    },
  };
}

interface Proxy {
  needs: Need;
  file: string;
  /** Writes what the proxy needs beside its snippet, and returns its command line. */
  prepare(directory: string, site: string): string[];
  /** The snippet where the tests can use it. */
  adapt(text: string, facts: { port: number; cert: string; key: string }): string;
  check(argv: readonly string[]): string[];
}

const NAME = "class.example.org";
const CERT = `/etc/ssl/certs/${NAME}.pem`, KEY = `/etc/ssl/private/${NAME}.key`;

const PROXIES: Record<string, Proxy> = {
  nginx: {
    needs: program("nginx"),
    file: "nginx.conf",
    prepare(directory, site) {
      const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((name) => `${name}_temp_path ${directory}/${name};`).join(" ");
      const main = `daemon off; pid ${directory}/nginx.pid; error_log stderr; events {}\n` +
        `http { ${paths} include ${site}; }\n`;
      Deno.writeTextFileSync(`${directory}/main.conf`, main);
      return ["nginx", "-e", "stderr", "-c", `${directory}/main.conf`, "-p", directory];
    },
    adapt: (text, { port, cert, key }) =>
      text.replace("listen 443", `listen 127.0.0.1:${port}`).replace(CERT, cert).replace(KEY, key),
    check: (argv) => [...argv, "-t"],
  },
  caddy: {
    needs: program("caddy"),
    file: "Caddyfile",
    prepare: (_, site) => ["caddy", "run", "--adapter", "caddyfile", "--config", site],
    adapt: (text, { port, cert, key }) =>
      `{\n\tadmin off\n\tauto_https off\n}\n` +
      text.replace(`${NAME} {`, `https://${NAME}:${port} {\n\tbind 127.0.0.1\n\ttls ${cert} ${key}`),
    check: (argv) => argv.map((word) => word === "run" ? "adapt" : word),
  },
  apache: {
    needs: program("apache2"),
    file: "apache.conf",
    prepare(directory, site) {
      const modules = ["mpm_event", "authz_core", "ssl", "proxy", "proxy_http", "log_config", "socache_shmcb"]
        .filter((name) => exists(`/usr/lib/apache2/modules/mod_${name}.so`))
        .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so\n`);
      const port = /<VirtualHost \*:(\d+)>/.exec(Deno.readTextFileSync(site))![1];
      const main = modules.join("") + `ServerRoot ${directory}\nServerName localhost\nPidFile apache.pid\n` +
        `ErrorLog error.log\nDefaultRuntimeDir ${directory}\nListen 127.0.0.1:${port}\nInclude ${site}\n`;
      Deno.writeTextFileSync(`${directory}/main.conf`, main);
      return ["apache2", "-DFOREGROUND", "-f", `${directory}/main.conf`];
    },
    adapt: (text, { port, cert, key }) =>
      text.replace("*:443", `*:${port}`).replace(CERT, cert).replace(KEY, key),
    check: (argv) => [...argv.filter((word) => word !== "-DFOREGROUND"), "-t"],
  },
};

function exists(path: string): boolean {
  return Deno.readDirSync(path.replace(/[^/]*$/, "")).some(({ name }) => path.endsWith(`/${name}`));
}

/** Waits until something answers there: proxies do not say when they listen. */
async function answers(port: number, ended: () => string | undefined): Promise<void> {
  for (;;) {
    assert.equal(ended(), undefined, "the proxy ended");
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A WebSocket by hand, through TLS: types a line and the end of input, and gives all that came. */
async function typed({ port, cert, path }: { port: number; cert: string; path: string }): Promise<string> {
  const child = new Deno.Command("openssl", {
    args: ["s_client", "-quiet", "-connect", `127.0.0.1:${port}`, "-servername", NAME, "-CAfile", cert],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  // RFC 6455 5.2: the last frame of its message, masked with zeros.
  const frame = (kind: number, text: string) =>
    String.fromCharCode(0x80 | kind, 0x80 | text.length, 0, 0, 0, 0) + text;
  const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
  const writer = child.stdin.getWriter();
  await writer.write(bytes(
    `GET ${path} HTTP/1.1\r\nHost: ${NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${btoa("0123456789abcdef")}\r\n\r\n`,
  ));
  let came = "", asked = false;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream("latin1"))) {
    came += text;
    if (!asked && came.includes("\r\n\r\n")) {
      asked = true;
      await writer.write(bytes(frame(2, "typed\n") + frame(1, '{"type":"eof"}')));
    }
    if (came.includes('"state":"finished"')) break;
  }
  await writer.close().catch(() => {}); // it may have gone with the connection
  child.kill("SIGKILL");
  await child.status;
  return came;
}

for (const [name, proxy] of Object.entries(PROXIES)) {
  const needs = [ordinaryUser, userns, proxy.needs, program("openssl"), program("curl")];
  test(
    `${name} before the server: answers, refusals, long commands and clients that go`,
    { needs },
    async () => {
      await using server = await serve();
      const directory = ordinaryTmp();
      const [cert, key, site] = [`${directory}/cert.pem`, `${directory}/key.pem`, `${directory}/site.conf`];
      const made = await run([
        ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        ...["-subj", `/CN=${NAME}`, "-keyout", key, "-out", cert, "-days", "2"],
      ]);
      assert.equal(made.code, 0, made.stderr);
      const port = freePort();
      const text = proxy.adapt(read(`proxy/${proxy.file}`), { port, cert, key });
      Deno.writeTextFileSync(site, text.replaceAll("/run/cordon/serve.sock", server.socket));
      const argv = proxy.prepare(directory, site);
      await run(["chown", "-R", String(Deno.statSync(directory).uid), directory]);
      const home = { cwd: directory, home: directory };
      const checked = await run(asUserArgv(proxy.check(argv)), { cwd: directory, env: { HOME: directory } });
      assert.equal(checked.code, 0, checked.stderr);
      await using proxied = start(asUserArgv(argv), home);
      await answers(port, () => proxied.ended());

      const curl = (path: string, ...more: string[]) => [
        ...["curl", "-sS", "--cacert", cert, "--resolve", `${NAME}:${port}:127.0.0.1`],
        ...[`https://${NAME}:${port}${path}`, ...more],
      ];
      const body = (
        cmd: string,
      ) => ["-H", "Content-Type: application/json", "-d", JSON.stringify({ cmd, args: "host" })];
      const health = await run(curl("/health"));
      assert.equal(JSON.parse(health.stdout).status, "ok", health.stderr);
      const basic = ["-u", `class:${server.token}`];
      const hello = await run(curl("/execute", ...basic, ...body("echo hello")));
      assert.equal(JSON.parse(hello.stdout).stdout, "hello\n", hello.stdout);
      const inPath = await run(curl(`/${server.token}/execute`, ...body("echo path")));
      assert.equal(JSON.parse(inPath.stdout).stdout, "path\n", inPath.stdout);
      const wrong = await run(
        curl("/execute", "-u", "class:wrong", "-o", "/dev/null", "-w", "%{http_code}", ...body("id")),
      );
      assert.equal(wrong.stdout, "401");
      const numbers = await run(curl("/metrics", "-o", "/dev/null", "-w", "%{http_code}"));
      assert.match(numbers.stdout, /^40[34]$/);
      const status = ["-o", "/dev/null", "-w", "%{http_code}"];
      const piped = (type: string) => ["-H", `Content-Type: ${type}`, "--data-binary", "@-"];
      const json = piped("application/json");
      const large = JSON.stringify({ cmd: "x".repeat(5_000_000), args: "host" });
      for (const path of ["/execute", "/v1/executions"]) {
        const answer = await run(curl(path, ...basic, ...status, ...json), { stdin: large });
        assert.equal(answer.stdout, "413", path);
      }
      // What the server itself takes, the proxy takes too.
      const stdin = JSON.stringify({ command: "wc -c", stdin: "\x01".repeat(650_000), wait: true });
      assert.ok(stdin.length > 3_900_000 && stdin.length < MOST_CREATE_BYTES);
      const counted = await run(curl("/v1/executions", ...basic, ...json), { stdin });
      assert.equal(JSON.parse(counted.stdout).stdout, "650000\n", counted.stdout);
      for (const before of ["", `/${server.token}`]) {
        const upload = curl(`${before}/v1/files?name=x`, ...basic, ...piped("application/octet-stream"));
        const stored = await run(upload, { stdin: "x".repeat(8_000_000) });
        assert.equal(JSON.parse(stored.stdout).size, 8_000_000, stored.stdout);
      }

      const interactive = JSON.stringify({ command: "cat; echo over", interactive: true });
      const { id } = JSON.parse(
        (await run(curl("/v1/executions", ...basic, ...json), { stdin: interactive })).stdout,
      );
      assert.match(
        await typed({ port, cert, path: `/${server.token}/v1/executions/${id}/attach` }),
        /^HTTP\/1\.1 101 [^]*typed\n[^]*over\n[^]*"state":"finished"/,
      );

      // What is sent to keep the client waiting arrives although the command never ends; and when the client goes, so
      // does the command.
      const [program = "", ...args] = curl("/execute", "-N", ...basic, ...body("sleep 86400"));
      const waiting = new Deno.Command(program, { args, stdin: "null", stdout: "piped" }).spawn();
      const reader = waiting.stdout.getReader();
      const { value } = await reader.read();
      assert.match(new TextDecoder().decode(value), /^\s+$/);
      waiting.kill("SIGKILL");
      await waiting.status;
      await reader.cancel();
      await server.logged(/"event":"executed".*"reason":"(?!exited|timeout)\w+"/);
    },
  );
}
