/** `cordon run --api` against APIs that behave, and APIs that do not. */
import assert from "node:assert/strict";
import { rawApi, type TinyApi, tinyApi } from "../helpers/api.ts";
import { cordon, cordonArgv, type CordonOptions, tmp } from "../helpers/binary.ts";
import { program, test } from "../helpers/need.ts";
import { baseEnv } from "../helpers/run.ts";
import { certificate } from "../helpers/certificate.ts";

const SECRET = "a-token-nobody-may-see";

const run = (argv: string[], options: CordonOptions = {}) => cordon(["run", ...argv], options);

/** An API that answers every command with the same JSON. */
const answering = (value: unknown) => tinyApi(() => Response.json(value));

function tokenFile(token = SECRET): string {
  const path = `${tmp()}/token`;
  Deno.writeTextFileSync(path, `${token}\n`);
  return path;
}

test("an API's answer: output to its streams, and the status it reports", {}, async () => {
  await using api = answering({ stdout: "out\n", stderr: "err\n", exit_code: 3 });
  const { code, stdout, stderr } = await run(["--api", api.url, "--rm", "-v", "/a:/b", "img:1", "ls", "a b"]);
  assert.deepEqual({ code, stdout, stderr }, { code: 3, stdout: "out\n", stderr: "err\n" });
  assert.deepEqual(api.asked, [{
    method: "POST",
    path: "/execute",
    authorization: null,
    body: { cmd: "ls 'a b'", args: "-v /a:/b img:1" },
  }]);
});

test("an API's answer without a status, as the original's, is a success", {}, async () => {
  await using api = answering({ stdout: "", stderr: "it failed" });
  const { code, stdout, stderr } = await run(["--api", api.url, "img", "false"]);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "it failed" });
});

test("an API's refusal is 125, and output that was cut is told", {}, async () => {
  await using refusing = answering({ stdout: "", stderr: "not allowed\n", exit_code: null });
  const { code, stderr } = await run(["--api", refusing.url, "img", "x"]);
  assert.deepEqual([code, stderr], [125, "not allowed\n"]);
  await using cut = answering({ stdout: "begin", stderr: "", exit_code: 0, truncated: true });
  const { stdout, stderr: told } = await run(["--api", cut.url, "img", "x"]);
  assert.deepEqual([stdout, told], ["begin", "cordon: the server cut the output\n"]);
});

test("a script comes by stdin, with its arguments", {}, async () => {
  await using api = answering({ stdout: "", stderr: "" });
  const script = "cd /tmp\ncat <<'E'\nü $x\nE\n";
  await run(["--api", api.url, "--script", "-", "img"], { stdin: script });
  await run(["--api", api.url, "--script=-", "img", "one", "it's"], { stdin: script });
  assert.deepEqual(api.asked.map(({ body }) => body), [
    { cmd: script, args: "img" },
    { cmd: `set -- one 'it'\\''s'\n${script}`, args: "img" },
  ]);
  const { code, stderr } = await run(["--api", api.url, "--script", "-", "img"], {
    stdin: new Uint8Array([0xff]),
  });
  assert.deepEqual([code, stderr.split("\n")[1]], [125, "It is not UTF-8"]);
});

test("a token in the URL, in a path, in a file", {}, async () => {
  await using api = answering({ stdout: "", stderr: "" });
  const { host } = new URL(api.url);
  await run(["--api", `http://me:${SECRET}@${host}`, "img", "x"]);
  await run(["--api", `${api.url}/${SECRET}/`, "img", "x"]);
  await run(["--api", api.url, "--token-file", tokenFile(), "img", "x"]);
  await run(["img", "x"], { env: { CORDON_API: `http://me:${SECRET}@${host}` } });
  const basic = `Basic ${btoa(`me:${SECRET}`)}`;
  assert.deepEqual(api.asked.map(({ path, authorization }) => [path, authorization]), [
    ["/execute", basic],
    [`/${SECRET}/execute`, null],
    ["/execute", `Bearer ${SECRET}`],
    ["/execute", basic],
  ]);
});

test("a token's file that is none", {}, async () => {
  const two = tokenFile("one two");
  for (
    const [file, why] of [["/nowhere/token", "No such file"], [two, "one word"], [
      "/dev/null",
      "one word",
    ]] as const
  ) {
    const { code, stderr } = await run(["--api", "http://127.0.0.1:1", "--token-file", file, "img", "x"]);
    assert.equal(code, 125);
    assert.match(stderr, new RegExp(`^cordon: .*token.* ${file}\n.*${why}`));
    assert.doesNotMatch(stderr, /one two/);
  }
});

test("a configured API, its token, and a profile for it", {}, async () => {
  await using api = answering({ stdout: "done\n", stderr: "", exit_code: 0 });
  const home = tmp();
  Deno.writeTextFileSync(`${home}/token`, SECRET);
  Deno.writeTextFileSync(
    `${home}/.cordon.toml`,
    `[backend]\nmode = "api"\napi_url = "${api.url}"\ntoken_file = "~/token"\n[profiles]\nml = "--gpus all torch:1"\n`,
  );
  const options = { env: { HOME: home }, cwd: home };
  assert.equal((await run(["--profile", "ml", "nvidia-smi"], options)).stdout, "done\n");
  const { authorization, body } = api.asked[0]!;
  assert.deepEqual([authorization, body], [`Bearer ${SECRET}`, {
    cmd: "nvidia-smi",
    args: "--gpus all torch:1",
  }]);
  // The token is not carried to an address that is typed.
  await run(["--api", api.url, "img", "x"], options);
  assert.equal(api.asked[1]!.authorization, null);
});

test("--check asks whether it answers, and runs nothing", {}, async () => {
  await using api = tinyApi(({ path }) => new Response(null, { status: path === "/health" ? 204 : 500 }));
  const { code, stdout } = await run(["--check", "--api", api.url]);
  assert.deepEqual([code, stdout], [0, `The API at ${api.url} answers\n`]);
  assert.deepEqual(api.asked.map(({ method, path }) => [method, path]), [["GET", "/health"]]);
  const nobody = await run(["--check", "--api", "http://127.0.0.1:1"]);
  assert.deepEqual([nobody.code, nobody.stdout], [125, ""]);
});

const json = (status: number, value: unknown, headers: HeadersInit = {}) => () =>
  tinyApi(() => Response.json(value, { status, headers }));
const text = (status: number, body: string, headers: HeadersInit = {}) => () =>
  tinyApi(() => new Response(body, { status, headers }));
const raw = (bytes: string) => () => rawApi(bytes);
const OK = "HTTP/1.1 200 OK\r\n";

const MISBEHAVING: { name: string; api: () => TinyApi; first: RegExp; then?: RegExp }[] = [
  {
    name: "401 with a reason",
    api: json(401, { type: "about:blank", status: 401, detail: "a token is missing" }),
    first: /does not let you in: 401 Unauthorized$/,
    then: /^a token is missing$/,
  },
  {
    name: "401 without",
    api: text(401, ""),
    first: /401 Unauthorized$/,
    then: /^A token is missing or wrong$/,
  },
  { name: "404", api: text(404, "<html>…"), first: /answers 404 Not Found$/ },
  {
    name: "422 as FastAPI says it",
    api: json(422, { detail: [{ loc: ["body", "cmd"], msg: "field required" }] }),
    first: /answers 422 Unprocessable Entity$/,
    then: /field required/,
  },
  {
    name: "429 with Retry-After",
    api: json(429, { title: "too many" }, { "retry-after": "7" }),
    first: /answers 429 Too Many Requests$/,
    then: /^too many\nIt may work in 7 s$/,
  },
  { name: "500", api: text(500, "boom\u0007"), first: /answers 500 Internal Server Error$/, then: /^boom�$/ },
  {
    name: "a redirection, to which no token goes",
    api: text(302, "", { location: "http://127.0.0.1:1/" }),
    first: /answers 302 Found$/,
    then: /sends elsewhere/,
  },
  {
    name: "no JSON",
    api: text(200, "<html>hello"),
    first: /no usable answer$/,
    then: /not JSON: "<html>hello"$/,
  },
  { name: "an empty answer", api: text(200, ""), first: /no usable answer$/, then: /not JSON: it is empty$/ },
  {
    name: "half of a JSON text",
    api: text(200, '{"stdout": "x'),
    first: /no usable answer$/,
    then: /not JSON/,
  },
  { name: "a list", api: json(200, ["out"]), first: /no usable answer$/, then: /not a JSON object/ },
  { name: "null", api: json(200, null), first: /no usable answer$/, then: /not a JSON object/ },
  {
    name: "another object",
    api: json(200, { result: 1 }),
    first: /no usable answer$/,
    then: /neither stdout nor stderr/,
  },
  {
    name: "numbers",
    api: json(200, { stdout: 1, stderr: 2 }),
    first: /no usable answer$/,
    then: /not both texts/,
  },
  {
    name: "success: false",
    api: json(200, { success: false, error: "no such image" }),
    first: /could not run it$/,
    then: /^no such image$/,
  },
  { name: "no HTTP", api: raw("220 mail.example.org ESMTP\r\n"), first: /Cannot talk to the API/, then: /./ },
  { name: "nothing", api: raw(""), first: /Cannot talk to the API/, then: /./ },
  {
    name: "an answer that breaks off",
    api: raw(`${OK}content-length: 100\r\n\r\n{"stdout": "`),
    first: /no usable answer$/,
    then: /./,
  },
  {
    name: "chunks that are none",
    api: raw(`${OK}transfer-encoding: chunked\r\n\r\nzzz\r\n`),
    first: /no usable answer$/,
    then: /./,
  },
];
for (const { name, api: make, first, then } of MISBEHAVING) {
  test(`an API that answers with ${name}`, {}, async () => {
    await using api = make();
    const { host } = new URL(api.url);
    const { code, stdout, stderr } = await run([
      "--api",
      `http://me:${SECRET}@${host}/${SECRET}`,
      "img",
      "x",
    ]);
    assert.deepEqual([code, stdout], [125, ""]);
    const [message = "", ...why] = stderr.trimEnd().split("\n");
    assert.match(message, first);
    assert.ok(message.includes(`http://me:***@${host}/***`), message);
    if (then) assert.match(why.join("\n"), then);
    assert.doesNotMatch(stderr, /nobody-may-see|internal error|https?:\/\/[^ ]*\*[^ ]*execute/);
  });
}

test("nobody there, a name nobody has, a socket nobody made", {}, async () => {
  for (
    const [url, why] of [
      ["http://127.0.0.1:1", /Connection refused/],
      ["http://nowhere.invalid", /./],
      [`unix:${tmp()}/none.sock`, /No such file or directory/],
    ] as const
  ) {
    const { code, stderr } = await run(["--api", url, "--token-file", tokenFile(), "img", "x"]);
    assert.equal(code, 125);
    const [message, reason = ""] = stderr.split("\n");
    assert.equal(message, `cordon: Cannot talk to the API at ${url}`);
    assert.match(reason, why);
    assert.doesNotMatch(stderr, /nobody-may-see|os error/);
  }
});

test("what an API cannot do is refused before it is asked", {}, async () => {
  await using api = answering({ stdout: "", stderr: "" });
  for (
    const argv of [["-i", "img", "x"], ["-t", "img", "x"], ["-d", "img", "x"], ["img"], [
      "-v",
      ".:/x",
      "img",
      "x",
    ]]
  ) {
    const { code, stderr } = await run(["--api", api.url, ...argv]);
    assert.equal(code, 125, argv.join(" "));
    assert.match(stderr, /^cordon: /);
  }
  assert.deepEqual(api.asked, []);
});

test("over a Unix socket", {}, async () => {
  await using api = tinyApi(() => Response.json({ stdout: "by socket\n", stderr: "", exit_code: 0 }), {
    socket: `${tmp()}/api.sock`,
  });
  assert.equal((await run(["--api", api.url, "img", "x"])).stdout, "by socket\n");
  assert.equal((await run(["--api", `${api.url}:/${SECRET}`, "img", "x"])).stdout, "by socket\n");
  assert.deepEqual(api.asked.map(({ path }) => path), ["/execute", `/${SECRET}/execute`]);
});

test(
  "over TLS, with an authority that this machine trusts and without",
  { needs: [program("openssl")] },
  async () => {
    const directory = tmp();
    const { cert, key } = await certificate(directory);
    await using api = tinyApi(() => Response.json({ stdout: "safely\n", stderr: "" }), {
      tls: { cert, key },
    });
    const argv = ["--api", api.url, "--token-file", tokenFile(), "img", "x"];
    const distrusted = await run(argv);
    assert.equal(distrusted.code, 125);
    assert.match(distrusted.stderr, /^cordon: Cannot talk to the API at https:.*\n.*certificate/i);
    assert.deepEqual(api.asked, []);
    const trusted = await run(argv, { env: { SSL_CERT_FILE: `${directory}/cert.pem` } });
    assert.deepEqual([trusted.code, trusted.stdout, trusted.stderr], [0, "safely\n", ""]);
  },
);

test("20 MB come through whole, and a reader that has enough is no failure", {}, async () => {
  await using api = answering({ stdout: "ü\n".repeat(10_000_000 / 2), stderr: "", exit_code: 0 });
  const { code, bytes } = await run(["--api", api.url, "img", "x"]);
  assert.deepEqual([code, bytes.length], [0, 15_000_000]);
  const line = cordonArgv(["run", "--api", api.url, "img", "x"]);
  const head = await new Deno.Command("bash", {
    args: ["-c", '"$@" | head -n 1; echo "${PIPESTATUS[0]}"', "bash", ...line],
    env: baseEnv("/"),
  }).output();
  assert.deepEqual([new TextDecoder().decode(head.stdout), head.stderr.length], ["ü\n0\n", 0]);
});

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  test(`${signal} gives up the request, and the API sees it`, {}, async () => {
    const arrived = Promise.withResolvers<void>(), gone = Promise.withResolvers<void>();
    await using api = tinyApi((_asked, request) => {
      request.signal.addEventListener("abort", () => gone.resolve());
      arrived.resolve();
      // A space now and then, as cordon serve sends it.
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode(" ")),
          cancel: () => gone.resolve(),
        }),
      );
    });
    const [file = "", ...args] = cordonArgv(["run", "--api", api.url, "img", "sleep", "1000"]);
    const child = new Deno.Command(file, {
      args,
      env: baseEnv("/"),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    })
      .spawn();
    await arrived.promise;
    child.kill(signal);
    const { code, stderr } = await child.output();
    assert.deepEqual([code, new TextDecoder().decode(stderr)], [status, ""]);
    await gone.promise;
  });
}
