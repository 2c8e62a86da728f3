/** `cordon run --api` with -i, and --attach to what was begun so, against `cordon serve`: both directions live. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cordon, cordonArgv, tmp } from "../helpers/binary.ts";
import { ordinaryUser, program, test, userns } from "../helpers/need.ts";
import { eventually } from "../helpers/processes.ts";
import { relay } from "../helpers/relay.ts";
import { baseEnv } from "../helpers/run.ts";
import { mark, type Serving, serving, sleeping, TOKEN, until } from "../helpers/serving.ts";
import { certificate } from "../helpers/certificate.ts";

const options = { needs: [ordinaryUser, userns] };

const at = (url: string) => {
  const file = `${tmp()}/token`;
  Deno.writeTextFileSync(file, TOKEN);
  return ["--api", url, "--token-file", file];
};

const api = ({ url }: Serving) => at(url);

/** A `cordon run` with somebody at both ends of its streams. */
function start(argv: string[], env: Record<string, string> = {}) {
  const [file = "", ...args] = cordonArgv(["run", ...argv]);
  const child = new Deno.Command(file, {
    args,
    env: { ...baseEnv("/"), ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const seen = { stdout: "", stderr: "" };
  let changed = Promise.withResolvers<void>();
  const read = async (name: "stdout" | "stderr") => {
    for await (const text of child[name].pipeThrough(new TextDecoderStream())) {
      seen[name] += text;
      changed.resolve();
      changed = Promise.withResolvers<void>();
    }
  };
  const reading = Promise.all([read("stdout"), read("stderr")]);
  return {
    seen,
    kill: (signal: Deno.Signal) => child.kill(signal),
    type: (text: string) => writer.write(new TextEncoder().encode(text)),
    eof: () => writer.close(),
    async shows(wanted: string, where: "stdout" | "stderr" = "stdout"): Promise<void> {
      while (!seen[where].includes(wanted)) await changed.promise;
    },
    async ended(): Promise<number> {
      await reading;
      const { code } = await child.status;
      await writer.close().catch(() => undefined); // it has gone, or was closed before
      return code;
    },
  };
}

const bytes = (count: number) => Uint8Array.from({ length: count }, (_, n) => (n * 7 + (n >> 8)) & 0xff);

const hash = (of: Uint8Array) => `${createHash("sha256").update(of).digest("hex")}  -\n`;

test(
  "-i: what is typed arrives at once, each stream comes in its own, and the end is the end",
  options,
  async () => {
    await using server = await serving();
    const run = start([...api(server), "-i", "host", "sh", "-c", "cat; echo end >&2; exit 3"]);
    for (const line of ["one\n", "two\n", "ü\n"]) {
      await run.type(line);
      await run.shows(line);
    }
    await run.eof();
    assert.equal(await run.ended(), 3);
    assert.deepEqual(run.seen, { stdout: "one\ntwo\nü\n", stderr: "end\n" });
  },
);

test("-i: megabytes arrive whole; input that nobody reads holds nobody up", options, async () => {
  await using server = await serving();
  const input = bytes(5_000_000);
  const { code, stdout, stderr } = await cordon(["run", ...api(server), "-i", "host", "sha256sum"], {
    stdin: input,
  });
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: hash(input), stderr: "" });
  for (const command of ["exec <&-; echo done; exit 4", "sleep 0.2; echo done; exit 4"]) {
    const line = cordonArgv(["run", ...api(server), "-i", "host", "sh", "-c", command]);
    const deaf = await new Deno.Command("bash", {
      args: ["-c", '"$@" < /dev/zero', "bash", ...line],
      env: baseEnv("/"),
    }).output();
    assert.deepEqual(
      [deaf.code, ...[deaf.stdout, deaf.stderr].map((text) => new TextDecoder().decode(text))],
      [
        4,
        "done\n",
        "",
      ],
    );
  }
});

test("-i: signals are the command's; the third interrupt ends it", options, async () => {
  await using server = await serving();
  const wait = "echo ready; while :; do sleep 0.1; done";
  const trap = start([...api(server), "-i", "host", "sh", "-c", `trap 'echo seen; exit 5' USR1; ${wait}`]);
  await trap.shows("ready");
  trap.kill("SIGUSR1");
  assert.equal(await trap.ended(), 5);
  assert.equal(trap.seen.stdout, "ready\nseen\n");
  for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    const plain = start([...api(server), "-i", "host", "sh", "-c", "echo ready; exec sleep 600"]);
    await plain.shows("ready");
    plain.kill(signal);
    assert.equal(await plain.ended(), status);
  }
  const word = mark();
  const script = `trap 'echo no' INT; echo ready; while :; do sleep ${word} & wait; done`;
  const deaf = start([...api(server), "-i", "host", "sh", "-c", script]);
  await deaf.shows("ready");
  for (const count of [1, 2]) {
    deaf.kill("SIGINT");
    await deaf.shows("no\n".repeat(count));
  }
  deaf.kill("SIGINT");
  assert.equal(await deaf.ended(), 130);
  await eventually("the command is gone", () => !sleeping(word));
});

test("-i: an interrupt ends one that still waits for its turn", options, async () => {
  await using server = await serving({
    config: `auth = false
engine = "namespaces"
concurrency = 1
[policies.default]
images = ["host"]
[tenants.default]
`,
  });
  const there = ["--api", server.url, "-i", "host"];
  const first = start([...there, "sh", "-c", "echo ready; cat"]);
  await first.shows("ready");
  const word = mark();
  const second = start([...there, "sleep", word]);
  const states = async () => {
    const response = await server.request("/v1/executions", { token: "" });
    // deno-lint-ignore no-explicit-any
    return (await response.json()).executions.map(({ state }: any) => state).join();
  };
  await until(async () => await states() === "queued,running");
  second.kill("SIGINT");
  assert.equal(await second.ended(), 130);
  assert.equal(await states(), "cancelled,running");
  await first.eof();
  assert.equal(await first.ended(), 0);
});

test("-i: output that is not kept any more is told at once", options, async () => {
  await using server = await serving({
    config: `auth = false
engine = "namespaces"
[policies.default]
images = ["host"]
[policies.default.limits]
output = { default = "10", most = "10" }
[tenants.default]
`,
  });
  const run = start(["--api", server.url, "-i", "host", "cat"]);
  await run.type("0123456789");
  await run.shows("0123456789");
  await run.type("more");
  await run.shows("what comes now is not shown\n", "stderr");
  await run.eof();
  assert.equal(await run.ended(), 0);
  assert.deepEqual(run.seen, {
    stdout: "0123456789",
    stderr: "cordon: the server keeps no more output: what comes now is not shown\n" +
      "cordon: the server cut the output\n",
  });
});

test("-i --sig-proxy=false: a signal ends the run, and the command with it", options, async () => {
  await using server = await serving();
  const word = mark();
  const script = `trap 'echo no' INT; echo ready; sleep ${word} & wait; wait`;
  const run = start([...api(server), "-i", "--sig-proxy=false", "host", "sh", "-c", script]);
  await run.shows("ready");
  run.kill("SIGINT");
  assert.equal(await run.ended(), 130);
  assert.equal(run.seen.stdout, "ready\n");
  await eventually("the command is gone", () => !sleeping(word));
});

test(
  "-i: the command ends with a client that is killed, and with a reader that has enough",
  options,
  async () => {
    await using server = await serving();
    const word = mark();
    const run = start([...api(server), "-i", "host", "sh", "-c", `echo ready; exec sleep ${word}`]);
    await run.shows("ready");
    await eventually("the command runs", () => sleeping(word));
    run.kill("SIGKILL");
    assert.equal(await run.ended(), 137);
    await eventually("the command is gone", () => !sleeping(word));
    const line = cordonArgv(["run", ...api(server), "-i", "host", "sh", "-c", `seq 9; yes; sleep ${word}`]);
    const head = await new Deno.Command("bash", {
      args: ["-c", 'sleep 600 | { "$@"; echo "$?" >&2; kill 0; } | head -n 1', "bash", ...line],
      env: baseEnv("/"),
      detached: true,
    } as Deno.CommandOptions).output();
    assert.deepEqual([head.stdout, head.stderr].map((bytes) => new TextDecoder().decode(bytes)), [
      "1\n",
      "141\n",
    ]);
    await eventually("the command is gone", () => !sleeping(word));
  },
);

test("-d -i: its input is for who attaches; who attaches second listens", options, async () => {
  await using server = await serving();
  const { code, stdout } = await cordon([
    ...["run", ...api(server), "-d", "-i", "host", "sh", "-c", "echo begun; cat; exit 6"],
  ], { stdin: "not sent" });
  assert.equal(code, 0);
  const id = stdout.trim();
  const first = start([...api(server), "--attach", id]);
  await first.shows("begun\n");
  await first.type("one\n");
  await first.shows("one\n");
  const second = start([...api(server), "--attach", id]);
  await second.shows("begun\none\n");
  await second.type("not for it\n");
  const third = start([...api(server), "--attach", id, "-i=false"]);
  await third.shows("begun\none\n");
  // Its death changes nothing.
  first.kill("SIGKILL");
  assert.equal(await first.ended(), 137);
  const last = start([...api(server), "--attach", id]);
  await last.shows("begun\none\n");
  await last.type("two\n");
  await last.eof();
  for (const one of [second, third, last]) {
    assert.equal(await one.ended(), 6);
    assert.equal(one.seen.stdout, "begun\none\ntwo\n");
  }
  assert.equal(second.seen.stderr, "cordon: somebody else writes to it: this shows its output alone\n");
  assert.deepEqual([third.seen.stderr, last.seen.stderr], ["", ""]);
});

test("--attach: a connection that is cut is made again; no byte is lost or doubled", options, async () => {
  await using server = await serving();
  const { stdout } = await cordon(["run", ...api(server), "-d", "-i", "host", "sha256sum"]);
  let cuts = 0;
  using between = relay(server.url, {
    watch: (relay) => {
      if (cuts < 4 && relay.sent > (cuts + 1) * 700_000) {
        cuts++;
        relay.cut();
      }
    },
  });
  const input = bytes(4_000_000);
  const attached = await cordon(["run", ...at(between.url), "--attach", stdout.trim()], { stdin: input });
  assert.deepEqual([attached.code, attached.stdout, attached.stderr], [0, hash(input), ""]);
  assert.equal(cuts, 4);
});

test("-i: a connection that is cut ends the command, and that is told", options, async () => {
  await using server = await serving();
  const word = mark();
  using between = relay(server.url);
  const run = start([...at(between.url), "-i", "host", "sh", "-c", `echo ready; exec sleep ${word}`]);
  await run.shows("ready");
  between.cut();
  assert.equal(await run.ended(), 125);
  assert.equal(run.seen.stderr, "cordon: the command was cancelled\n");
  assert.ok(!sleeping(word));
});

test("-i: a server that goes away is told", options, async () => {
  await using server = await serving();
  const run = start([...api(server), "-i", "host", "sh", "-c", "echo ready; exec sleep 600"]);
  await run.shows("ready");
  server.kill("SIGKILL");
  await server.status;
  assert.equal(await run.ended(), 125);
  assert.match(run.seen.stderr, /^cordon: Cannot talk to the API at http.*\n.*Connection refused\n$/);
});

test("-i: by a Unix socket and by TLS", { needs: [...options.needs, program("openssl")] }, async () => {
  await using server = await serving();
  using socket = relay(server.url, { socket: `${tmp()}/api.sock` });
  const argv = ["-i", "host", "sh", "-c", "cat; exit 8"];
  const bySocket = await cordon(["run", ...at(socket.url), ...argv], { stdin: "by socket\n" });
  assert.deepEqual([bySocket.code, bySocket.stdout, bySocket.stderr], [8, "by socket\n", ""]);
  const path = await cordon(["run", "--api", `${socket.url}:/${TOKEN}`, ...argv], { stdin: "by path\n" });
  assert.deepEqual([path.code, path.stdout, path.stderr], [8, "by path\n", ""]);
  const directory = tmp();
  const { cert, key } = await certificate(directory);
  using safe = relay(server.url, { tls: { cert, key } });
  const byTls = await cordon(["run", ...at(safe.url), ...argv], {
    stdin: "safely\n",
    env: { SSL_CERT_FILE: `${directory}/cert.pem` },
  });
  assert.deepEqual([byTls.code, byTls.stdout, byTls.stderr], [8, "safely\n", ""]);
});

test("-i: through the proxy that requests take", options, async () => {
  await using server = await serving();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const asked: string[] = [];
  const serve = async (client: Deno.Conn) => {
    let head = "";
    const buffer = new Uint8Array(4096);
    while (!head.includes("\r\n\r\n")) {
      const count = await client.read(buffer);
      if (count === null) return client.close();
      head += new TextDecoder().decode(buffer.subarray(0, count));
    }
    asked.push(head);
    const to = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(server.url).port) });
    const tunnel = head.startsWith("CONNECT ");
    // Of a request in which the whole address stands, the server is given the path.
    const path = (text: string) => text.replace(/^([A-Z]+) http:\/\/[^/]*/, "$1 ");
    if (tunnel) await client.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n"));
    else await to.write(new TextEncoder().encode(path(head)));
    const paths = new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        const text = new TextDecoder("latin1").decode(bytes);
        controller.enqueue(tunnel ? bytes : new TextEncoder().encode(path(text)));
      },
    });
    await Promise.allSettled([
      client.readable.pipeThrough(paths).pipeTo(to.writable),
      to.readable.pipeTo(client.writable),
    ]);
  };
  const accepting = (async () => {
    const open: Promise<void>[] = [];
    try {
      for await (const client of listener) open.push(serve(client));
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    await Promise.all(open);
  })();
  const { port } = new URL(server.url);
  const run = await cordon(["run", ...at(`http://127.0.0.1:${port}`), "-i", "host", "cat"], {
    stdin: "by proxy\n",
    env: { HTTP_PROXY: `http://me:word@127.0.0.1:${listener.addr.port}` },
  });
  assert.deepEqual([run.code, run.stdout, run.stderr], [0, "by proxy\n", ""]);
  const tunnels = asked.filter((head) => head.startsWith("CONNECT"));
  assert.equal(tunnels.length, 1);
  assert.match(
    tunnels[0]!,
    /^CONNECT 127\.0\.0\.1:\d+ HTTP\/1\.1\r\nhost: .*\r\nproxy-authorization: Basic bWU6d29yZA==\r\n/,
  );
  listener.close();
  await accepting;
});

test("-i: what is in between and passes no WebSocket is told, and nothing is left running", {}, async () => {
  const asked: string[] = [];
  const id = "01890000-0000-7000-8000-000000000000";
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    asked.push(`${request.method} ${pathname.replace(id, "ID")}`);
    if (request.method === "GET" && pathname === "/v1/executions") return Response.json({ executions: [] });
    if (pathname === "/v1/executions") return Response.json({ id }, { status: 202 });
    if (pathname.endsWith("/cancel")) return Response.json({ id });
    return Response.json({ detail: "no upgrade came" }, { status: 426 });
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  const { code, stderr } = await cordon(["run", "--api", url, "-i", "host", "cat"], { stdin: "x" });
  assert.equal(code, 125);
  assert.equal(stderr, `cordon: The API at ${url} answers 426 Upgrade Required\nno upgrade came\n`);
  assert.deepEqual(asked, [
    "GET /v1/executions",
    "POST /v1/executions",
    "GET /v1/executions/ID/attach",
    "POST /v1/executions/ID/cancel",
  ]);
});

test("-i and -t: who is not let in is told so", options, async () => {
  await using server = await serving();
  for (const flag of ["-i", "-t", "-d"]) {
    const { code, stderr } = await cordon(["run", "--api", server.url, flag, "host", "true"]);
    assert.equal(code, 125);
    assert.match(stderr, /401 Unauthorized/);
  }
});
