/** What stands before `cordon serve`: clients that are slow, many, gone, rude or somebody else's page. */
import assert from "node:assert/strict";
import { tmp } from "../helpers/binary.ts";
import { program, test, userns } from "../helpers/need.ts";
import { Raw } from "../helpers/raw_http.ts";
import { mark, memoryMib, openFiles, type Serving, serving, sleeping, until } from "../helpers/serving.ts";
import { ordinaryTmp } from "../helpers/user.ts";
import { certificate } from "../helpers/certificate.ts";

const options = { needs: [userns] };
const LISTEN = `listen = "127.0.0.1:0"`;
const SHORT = `[connections]\nheader = 1\nbody = 2\nidle = 1\nstall = 1`;
const HEALTH = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

function execute(cmd: string, extra = ""): string {
  const body = JSON.stringify({ cmd, args: "host" });
  return `POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n${extra}\r\n${body}`;
}

/** Everybody may run programs of this machine. `config`: the rest of the TOML, `listen` first. */
function startServe(config: string): Promise<Serving> {
  const policy = `[policies.default]\nimages = ["host"]\n[tenants.default]\n`;
  return serving({ listen: "config", config: `auth = false\nengine = "namespaces"\n${config}\n${policy}` });
}

async function answers(daemon: Serving): Promise<void> {
  await using raw = await Raw.open(daemon.port, HEALTH);
  const { status, body } = await raw.response();
  assert.deepEqual([status, JSON.parse(body)], [200, { status: "ok" }]);
}

/** The status of the one answer, after which the server closes. */
async function lastStatus(daemon: Serving, request: string | Uint8Array): Promise<number> {
  await using raw = await Raw.open(daemon.port);
  await raw.sendAsFarAsTaken(request);
  const text = await raw.rest();
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  assert.equal(statuses.length, 1, `${JSON.stringify(String(request).slice(0, 200))}: ${text}`);
  return statuses[0]!;
}

test(
  "serve: a slow client is answered 408 and closed, in head and body, first and later",
  options,
  async () => {
    await using daemon = await startServe(LISTEN + "\n" + SHORT.replace("[connections]", "[connections]"));
    const drip = async (raw: Raw, piece: string) => {
      const timer = setInterval(() => raw.sendAsFarAsTaken(piece), 100);
      try {
        return await raw.rest();
      } finally {
        clearInterval(timer);
      }
    };
    await using head = await Raw.open(daemon.port, "GET /health HTTP/1.1\r\n");
    await using body = await Raw.open(daemon.port, execute("true").slice(0, -5));
    await using dripped = await Raw.open(daemon.port, execute("true").replace(/Length: \d+/, "Length: 9999"));
    await using later = await Raw.open(daemon.port, HEALTH);
    await using idle = await Raw.open(daemon.port, HEALTH);
    await later.response();
    await idle.response();
    const texts = await Promise.all([
      drip(head, "X: y\r\n"),
      body.rest(),
      drip(dripped, "x"),
      drip(later, "G"),
      idle.rest(),
    ]);
    for (const text of texts.slice(0, 4)) {
      assert.match(
        text,
        /^HTTP\/1\.1 408 [^]*urn:cordon:problem:timeout/,
      );
    }
    assert.equal(texts[4], "");
    await answers(daemon);
  },
);

test("serve: heads without measure are answered 431, paths 414", options, async () => {
  await using daemon = await startServe(LISTEN);
  const head = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
  assert.equal(await lastStatus(daemon, head + "X: y\r\n".repeat(100_000) + "\r\n"), 431);
  assert.equal(await lastStatus(daemon, head + "X: y\r\n".repeat(101) + "\r\n"), 431);
  assert.equal(await lastStatus(daemon, head + `X: ${"y".repeat(1_000_000)}\r\n\r\n`), 431);
  assert.equal(
    await lastStatus(daemon, `GET /${"y".repeat(10_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
    414,
  );
  await answers(daemon);
});

test("serve: pipelined requests are answered in their order", options, async () => {
  await using daemon = await startServe(LISTEN);
  await using raw = await Raw.open(daemon.port, execute("echo first") + HEALTH + execute("echo second"));
  await raw.until(
    /\{"stdout":"first\\n"[^]*?HTTP\/1\.1 200 [^]*?\{"status":"ok"\}[^]*?\{"stdout":"second\\n"/,
  );
});

test("serve: what could be read as two requests is answered 400", options, async () => {
  await using daemon = await startServe(LISTEN);
  const inner = execute("touch /tmp/smuggled");
  const post = "POST /execute HTTP/1.1\r\nHost: localhost\r\n";
  const forms = [
    `${post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    `${post}Content-Length: 0\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
    `${post}Content-Length: 0, ${inner.length}\r\n\r\n${inner}`,
    `${post}Content-Length : ${inner.length}\r\n\r\n${inner}`,
    `${post}X: y\r\n Content-Length: 5\r\n\r\n${inner}`,
    `${post}X: y\rContent-Length: 5\r\n\r\n${inner}`,
    `${post}X: y\nContent-Length: 5\n\n${inner}`,
    `${post}Content-Length: 5\r\nX: \0\r\n\r\n${inner}`,
    `${post}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n1\r\nxx\r\n0\r\n\r\n${inner}`,
    `${post}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n0x1\r\nx\r\n0\r\n\r\n${inner}`,
    `POST /execute HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    `GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n${inner}`,
    `GET /health HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n${inner}`,
    `GET /health HTTP/1.1\r\n\r\n${inner}`,
    `GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n${inner}`,
    `GET /health\r\n\r\n${inner}`,
  ];
  for (const form of forms) assert.equal(await lastStatus(daemon, form), 400, JSON.stringify(form));
  const coded = `${post}Transfer-Encoding: gzip, chunked\r\n\r\n${inner}`;
  assert.equal(await lastStatus(daemon, coded), 501);
  assert.equal(await lastStatus(daemon, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  // TLS on a port that speaks none.
  assert.equal(await lastStatus(daemon, new Uint8Array([22, 3, 1, 0, 5, 1, 0, 0, 1, 10])), 400);
  await answers(daemon);
});

test("serve: a path has one spelling", options, async () => {
  await using daemon = await startServe(LISTEN);
  const paths = [
    "//health",
    "/./health",
    "/x/../health",
    "/%2e%2e/health",
    "/health%00",
    "/x%2fhealth",
    "/x\\health",
  ];
  for (const path of [...paths, "/health#x", "/%zz", "*", "health"]) {
    const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    assert.equal(await lastStatus(daemon, request), 400, path);
  }
  await answers(daemon);
});

test(
  "serve: foreign names are answered 421, foreign pages 403, configured ones are served",
  options,
  async () => {
    await using daemon = await startServe(
      `${LISTEN}\nhosts = ["run.example.org"]\norigins = ["https://hub.example.org"]`,
    );
    const request = (host: string, origin?: string) =>
      `GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n` +
      (origin === undefined ? "" : `Origin: ${origin}\r\n`) + "\r\n";
    const own = `localhost:${daemon.port}`;
    for (const host of ["evil.example", `evil.example:${daemon.port}`, "localhost.evil.example"]) {
      assert.equal(await lastStatus(daemon, request(host)), 421, host);
    }
    for (const origin of ["https://evil.example", "null", "http://localhost:1"]) {
      assert.equal(await lastStatus(daemon, request(own, origin)), 403, origin);
    }
    assert.equal(await lastStatus(daemon, request("run.example.org")), 200);
    assert.equal(await lastStatus(daemon, request(own, `http://${own}`)), 200);
    assert.equal(await lastStatus(daemon, request(own, "https://hub.example.org")), 200);
  },
);

test("serve: too many connections are answered 503, in total and from one address", options, async () => {
  for (const key of ["most", "per_address"]) {
    await using daemon = await startServe(`${LISTEN}\n[connections]\n${key} = 3`);
    const held = [];
    for (let count = 0; count < 3; count++) {
      const raw = await Raw.open(daemon.port, HEALTH);
      await raw.response();
      held.push(raw);
    }
    assert.equal(await lastStatus(daemon, HEALTH), 503, key);
    held.pop()!.close();
    await until(() => openFiles(daemon.pid) > 0);
    let status = 503;
    while (status === 503) {
      await using raw = await Raw.open(daemon.port, HEALTH);
      status = (await raw.response()).status;
    }
    assert.equal(status, 200);
    for (const raw of held) raw.close();
  }
});

test("serve: a client that only closed its sending side is answered", options, async () => {
  await using daemon = await startServe(LISTEN);
  await using raw = await Raw.open(daemon.port, HEALTH);
  await raw.conn.closeWrite();
  assert.match(await raw.rest(), /^HTTP\/1\.1 200 [^]*\{"status":"ok"\}/);
});

test("serve: a thousand clients that vanish leave nothing behind", options, async () => {
  await using daemon = await startServe(LISTEN);
  await answers(daemon);
  const before = openFiles(daemon.pid);
  const word = mark();
  const requests = [
    "",
    "GET /hea",
    HEALTH,
    HEALTH.repeat(20),
    execute("true").slice(0, -3),
    execute(`sleep ${word}`),
  ];
  for (let round = 0; round < 10; round++) {
    const opened = await Promise.all(
      Array.from({ length: 100 }, (_, index) => Raw.open(daemon.port, requests[index % requests.length])),
    );
    for (const raw of opened) raw.close();
  }
  await until(() => !sleeping(word), "the end of what they started");
  await until(() => openFiles(daemon.pid) <= before + 5, "the end of their connections");
  await answers(daemon);
});

test("serve: readers that take nothing are closed and do not fill the memory", options, async () => {
  await using daemon = await startServe(`${LISTEN}\n${SHORT}`);
  // Some 100 MB of answers for each, of which the sockets take a few.
  const requests = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(4000);
  await answers(daemon);
  const before = sockets(daemon.pid);
  const round = async () => {
    const slow = await Promise.all(Array.from({ length: 50 }, () => Raw.open(daemon.port)));
    // All is sent only when the server has closed: what it does not answer it does not read.
    await Promise.all(slow.map((raw) => raw.sendAsFarAsTaken(requests)));
    await until(() => sockets(daemon.pid) <= before, "the end of the slow readers");
    for (const raw of slow) raw.close();
  };
  await round();
  await round();
  // Unbounded, it would be gigabytes. What it takes is the allocator's.
  const resident = memoryMib(daemon.pid, "VmRSS");
  assert.ok(resident < 512, `${resident} MiB`);
  await answers(daemon);
});

test("serve: a Unix socket, over a dead daemon's, and never over anything else", options, async () => {
  const path = `${ordinaryTmp()}/s`;
  {
    await using daemon = await startServe(`listen = ["unix:${path}", "127.0.0.1:0"]`);
    assert.equal(daemon.addresses[0], `unix:${path}`);
    assert.equal(Deno.lstatSync(path).mode! & 0o777, 0o600);
    await using raw = await Raw.open(path, HEALTH);
    assert.equal((await raw.response()).status, 200);
    await assert.rejects(startServe(`listen = "unix:${path}"`), /another program listens there/);
    daemon.kill("SIGKILL");
    await daemon.stop();
  }
  assert.ok(Deno.lstatSync(path).isSocket);
  {
    await using daemon = await startServe(`listen = "unix:${path}"`);
    await using raw = await Raw.open(path, HEALTH);
    assert.equal((await raw.response()).status, 200);
    await daemon.stop();
  }
  assert.throws(() => Deno.lstatSync(path), Deno.errors.NotFound);
  Deno.writeTextFileSync(path, "precious");
  await assert.rejects(startServe(`listen = "unix:${path}"`), /no socket/);
  assert.equal(Deno.readTextFileSync(path), "precious");
});

test("serve: TLS, a new certificate on SIGHUP, and silent clients", {
  needs: [userns, program("openssl")],
}, async () => {
  const directory = tmp();
  const read = (name: string) => Deno.readTextFileSync(`${directory}/${name}`);
  await certificate(directory, "first");
  const first = read("cert.pem");
  await using daemon = await startServe(
    `${LISTEN}\n${SHORT}\n[tls]\ncertificate = "${directory}/cert.pem"\nkey = "${directory}/key.pem"`,
  );
  assert.match(daemon.addresses[0]!, /^https:/);
  assert.equal(await health(daemon, first), "ok");
  const before = openFiles(daemon.pid);
  const silent = await Promise.all(Array.from({ length: 50 }, () => Raw.open(daemon.port)));
  await Promise.all(silent.map((raw) => raw.rest()));
  await until(() => openFiles(daemon.pid) <= before, "the end of silent connections");
  for (const raw of silent) raw.close();
  await certificate(directory, "second");
  const second = read("cert.pem");
  daemon.kill("SIGHUP");
  for (let last = ""; last !== "ok";) last = await health(daemon, second).catch(() => "not yet");
  await assert.rejects(health(daemon, first));
});

async function health({ port }: Serving, trusted: string): Promise<string> {
  const client = Deno.createHttpClient({ caCerts: [trusted] });
  try {
    return (await (await fetch(`https://127.0.0.1:${port}/health`, { client })).json()).status;
  } finally {
    client.close();
  }
}

/** Sockets among the descriptors of a process. */
function sockets(pid: number): number {
  let count = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      if (Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith("socket:")) count++;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return count;
}
