/** Files in and out of the real server: what they are for, and what is tried with them. */
import assert from "node:assert/strict";
import { root, test, userns } from "../helpers/need.ts";
import { tmp } from "../helpers/run.ts";
import { hashed, mark, type Serving, serving, sleeping, TOKEN, until } from "../helpers/serving.ts";
import { ordinaryTmp } from "../helpers/user.ts";

const options = { needs: [userns] };
const MIB = 2 ** 20;
const OTHER = "a-token-of-another-tenant";

/** Two tenants under a policy with these quotas. */
function config(files = ""): string {
  return `
engine = "namespaces"
[policies.default]
images = ["host"]
${files && `[policies.default.files]\n${files}`}
[tenants.class]
tokens = ["${hashed(TOKEN)}"]
[tenants.other]
tokens = ["${hashed(OTHER)}"]
`;
}

// deno-lint-ignore no-explicit-any
type Json = any;

async function run(server: Serving, json: Json): Promise<{ status: number; body: Json }> {
  const response = await server.request("/v1/executions", { method: "POST", json: { wait: true, ...json } });
  return { status: response.status, body: await response.json() };
}

async function upload(server: Serving, body: BodyInit, { name = "file", token = TOKEN } = {}) {
  const response = await server.request(`/v1/files?name=${encodeURIComponent(name)}`, {
    method: "POST",
    body,
    token,
    headers: { "content-type": "application/octet-stream" },
  });
  return { status: response.status, body: await response.json() as Json };
}

async function content(server: Serving, id: string): Promise<Uint8Array> {
  const response = await server.request(`/v1/files/${id}`);
  assert.equal(response.status, 200);
  return await response.bytes();
}

async function text(server: Serving, id: string): Promise<string> {
  return new TextDecoder().decode(await content(server, id));
}

/** What lies in the server's directory for files. */
function onDisk({ state }: Serving): string[] {
  return [...Deno.readDirSync(`${state}/files`)].map(({ name }) => name).sort();
}

test("files are put into the working directory, and results come back", options, async () => {
  await using server = await serving();
  const stored = await upload(server, "from the store\n", { name: "s.txt" });
  assert.equal(stored.status, 201);
  const { body } = await run(server, {
    command: "pwd; cat a/b.txt s.txt; ./run.sh; od -An -tx1 bytes; mkdir plots; echo 1 >plots/1.png; " +
      "echo 2 >plots/2.png; echo no >plots/.hidden.png; echo done >out.txt; exit 3",
    files: [
      { path: "a/b.txt", text: "è\n" },
      { path: "bytes", base64: "AP+A" },
      { path: "s.txt", file: stored.body.id },
      { path: "run.sh", text: "#!/bin/sh\necho ran\n", mode: "0755" },
    ],
    results: ["out.txt", "plots/*.png", "absent", "plots"],
  });
  assert.deepEqual([body.stdout, body.stderr, body.exit_code], [
    "/work\nè\nfrom the store\nran\n 00 ff 80\n",
    "",
    3,
  ]);
  const told = body.results.map(({ path, size, problem }: Json) => [path, size, problem]);
  assert.deepEqual(told, [
    ["out.txt", 5, null],
    ["plots/1.png", 2, null],
    ["plots/2.png", 2, null],
    ["absent", null, "There is no such file"],
    ["plots", null, "It is a directory"],
  ]);
  assert.equal(await text(server, body.results[0].file), "done\n");
  const response = await server.request(`/v1/files/${body.results[1].file}`);
  const names = ["content-type", "content-disposition", "x-content-type-options", "content-length"];
  assert.deepEqual(names.map((name) => response.headers.get(name)), [
    "application/octet-stream",
    `attachment; filename="1.png"; filename*=UTF-8''1.png`,
    "nosniff",
    "2",
  ]);
  assert.equal(await response.text(), "1\n");
  const again = await (await server.request(`/v1/executions/${body.id}`)).json();
  assert.deepEqual(again.results, body.results);
  const list = await (await server.request("/v1/files")).json();
  assert.deepEqual(list.files.map(({ name }: Json) => name).sort(), ["1.png", "2.png", "out.txt", "s.txt"]);
});

test("a command with files has its own environment, input, place and end", options, async () => {
  await using server = await serving();
  const { body } = await run(server, {
    command: ["/bin/sh", "-c", "pwd; cat; env | sort; kill -9 $$"],
    env: { LD_PRELOAD: "/work/evil.so", ENV: "/work/evil" },
    stdin: "input ",
    workdir: "/work/sub",
    files: [{ path: "sub/x", text: "" }],
  });
  assert.equal(body.detail, null);
  assert.match(body.stdout, /^\/work\/sub\ninput ENV=\/work\/evil\nHOME=\/tmp\n/);
  assert.match(body.stdout, /^LD_PRELOAD=\/work\/evil\.so$/m);
  assert.deepEqual([body.reason, body.signal], ["signaled", 9]);
  const equal = await run(server, {
    command: ["./a=b", "it"],
    files: [{ path: "a=b", text: '#!/bin/sh\necho "$0 $1"\n', mode: "755" }],
  });
  assert.equal(equal.body.stdout, "./a=b it\n");
  const late = await run(server, {
    command: "echo kept >out; sleep 600",
    limits: { time: 1 },
    results: ["out"],
  });
  assert.deepEqual([late.body.reason, await text(server, late.body.results[0].file)], ["timeout", "kept\n"]);
});

test("a name that leads elsewhere is refused, where a path joined naively writes", options, async () => {
  await using server = await serving();
  const directory = ordinaryTmp();
  Deno.mkdirSync(`${directory}/work`);
  // What a naive copy makes of the first of them.
  Deno.writeTextFileSync(`${directory}/work/../escaped`, "x");
  assert.ok(Deno.statSync(`${directory}/escaped`).isFile);
  for (
    const path of [
      "../escaped",
      "/etc/cordon-test",
      "a/../../escaped",
      "a//b",
      "./a",
      "a/.",
      "..",
      ".",
      "",
      "a/",
      "a\0b",
      "x".repeat(256),
      "a/".repeat(40) + "b",
      "\ud800",
    ]
  ) {
    const { status, body } = await run(server, { command: "true", files: [{ path, text: "x" }] });
    assert.equal(status, 422, JSON.stringify(path));
    assert.match(body.type, /:invalid$/);
    assert.equal((await run(server, { command: "true", results: [path] })).status, 422, JSON.stringify(path));
  }
  for (
    const files of [
      [{ path: "a", text: "1" }, { path: "a", text: "2" }],
      [{ path: "a", text: "1" }, { path: "a/b", text: "2" }],
      [{ path: "a", text: "1", base64: "MQ==" }],
      [{ path: "a" }],
      [{ path: "a", text: "1", mode: "4755" }],
      [{ path: "a", file: "../../etc/passwd" }],
      [{ path: "a", file: "0".repeat(32) }],
      Array.from({ length: 257 }, (_, n) => ({ path: `f${n}`, text: "" })),
    ]
  ) {
    assert.equal((await run(server, { command: "true", files })).status, 422);
  }
});

test("links, devices and pipes among results are not followed, where cp follows them", options, async () => {
  await using server = await serving();
  const secret = `${ordinaryTmp()}/secret`;
  Deno.writeTextFileSync(secret, "of the server");
  // On a plain directory the link leads to it.
  const plain = ordinaryTmp();
  Deno.symlinkSync(secret, `${plain}/link`);
  assert.equal(Deno.readTextFileSync(`${plain}/link`), "of the server");
  const { body } = await run(server, {
    command: `ln -s ${secret} link; ln -s ${plain} dir; ln -s / root; mkfifo pipe; ` +
      "echo own >own; ln own hard; ln /etc/passwd foreign 2>/dev/null; ln /usr/bin/env foreign 2>/dev/null; " +
      "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")' 2>/dev/null; " +
      "mknod null c 1 3 2>/dev/null; ln -s own chain; printf x >\"$(printf 'odd\\n\\033name')\"; :",
    results: ["link", "dir/link", "root/etc/passwd", "pipe", "hard", "foreign", "null", "chain", "odd*"],
  });
  const told = body.results.map(({ path, size, problem }: Json) => [path, size, problem]);
  assert.deepEqual(told, [
    ["link", null, "It is a symbolic link"],
    ["dir/link", null, '"dir" is a symbolic link'],
    ["root/etc/passwd", null, '"root" is a symbolic link'],
    ["pipe", null, "It is a FIFO"],
    ["hard", 4, null],
    ["foreign", null, "There is no such file"],
    ["null", null, "There is no such file"],
    ["chain", null, "It is a symbolic link"],
    ["odd\n\u001bname", 1, null],
  ]);
  assert.equal(await text(server, body.results[4].file), "own\n");
  const odd = await server.request(`/v1/files/${body.results[8].file}`);
  assert.match(
    odd.headers.get("content-disposition")!,
    /filename="odd__name"; filename\*=UTF-8''odd%0A%1Bname$/,
  );
  await odd.body?.cancel();
});

test("what is left running cannot change results: it is gone when they are read", options, async () => {
  await using server = await serving();
  const word = mark();
  const { body } = await run(server, {
    command:
      `echo first >out; setsid sh -c 'while :; do ln -sfn /etc/passwd out; rm out; echo x >out; done' ` +
      `>/dev/null 2>&1 & setsid sleep ${word} >/dev/null 2>&1 & exit 0`,
    results: ["out"],
  });
  assert.equal(sleeping(word), false);
  const [{ file, problem }] = body.results;
  if (file !== null) assert.match(await text(server, file), /^(first\n|x\n)?$/);
  else assert.match(problem, /symbolic link|no such file/);
});

test("huge, sparse and too many files are bounded by the kernel and by quotas", options, async () => {
  await using server = await serving({ config: config(`work = "4M"\nstore = "2M"\nmost = 3`) });
  const { body } = await run(server, {
    command: "head -c 100M /dev/zero >huge; echo $?; truncate -s 1T sparse; echo $?; " +
      "rm huge; head -c 1M /dev/zero >one; n=0; while : >f$n; do n=$((n+1)); done; [ $n -lt 5000 ]; echo $?",
    results: ["huge", "sparse", "one"],
  });
  assert.deepEqual(body.stdout, "1\n0\n0\n");
  assert.match(body.stderr, /No space left on device/);
  const told = body.results.map(({ path, size, problem }: Json) => [path, size, problem]);
  assert.deepEqual(told, [
    ["huge", null, "There is no such file"],
    ["sparse", 2 ** 40, `It has more than ${2 * MIB} bytes`],
    ["one", MIB, null],
  ]);
  const much = await upload(server, new Uint8Array(2 * MIB));
  assert.deepEqual([much.status, much.body.type], [413, "urn:cordon:problem:too-large"]);
  // No length is told ahead of this one.
  const endless = new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(65536)) });
  const streamed = await upload(server, endless).catch((error) => ({ status: String(error) }));
  if (typeof streamed.status === "number") assert.equal(streamed.status, 413);
  await until(() => onDisk(server).length === 1);
  for (const n of [1, 2]) assert.equal((await upload(server, `${n}`)).status, 201);
  assert.equal((await upload(server, "3")).status, 413);
  const full = await run(server, { command: "echo >out", results: ["out"] });
  assert.equal(full.body.results[0].problem, "There are at most 3 files");
  const over = Array.from({ length: 5 }, (_, n) => ({ path: `${n}`, text: "x".repeat(900_000) }));
  const wide = await run(server, { command: "true", files: over });
  assert.ok([403, 413].includes(wide.status));
  // Nobody else pays for it.
  assert.equal((await upload(server, "theirs", { token: OTHER })).status, 201);
});

test("files of another tenant are not there", options, async () => {
  await using server = await serving({ config: config() });
  const { body: { id } } = await upload(server, "mine");
  for (const method of ["GET", "HEAD", "DELETE"]) {
    const response = await server.request(`/v1/files/${id}`, { method, token: OTHER });
    assert.equal(response.status, 404);
    await response.body?.cancel();
  }
  const list = await (await server.request("/v1/files", { token: OTHER })).json();
  assert.deepEqual(list.files, []);
  const use = await server.request("/v1/executions", {
    method: "POST",
    token: OTHER,
    json: { command: "cat f", files: [{ path: "f", file: id }] },
  });
  assert.equal(use.status, 422);
  await use.body?.cancel();
  assert.equal(await text(server, id), "mine");
  const head = await server.request(`/v1/files/${id}`, { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal((await server.request(`/v1/files/${id}`, { method: "DELETE" })).status, 204);
  const twice = await server.request(`/v1/files/${id}`, { method: "DELETE" });
  assert.equal(twice.status, 404);
  await twice.body?.cancel();
  assert.deepEqual(onDisk(server), []);
});

test("a file has its time; what a dead server left half is gone at the next start", options, async () => {
  const state = ordinaryTmp();
  {
    await using server = await serving({ config: config(`ttl = "1s"`), state });
    const { body: { id } } = await upload(server, "soon gone");
    await until(async () => {
      const response = await server.request(`/v1/files/${id}`);
      await response.body?.cancel();
      return response.status === 404;
    });
  }
  let kept: string;
  {
    await using server = await serving({ config: config(), state });
    // The one that had its time went with the start.
    assert.deepEqual(onDisk(server), []);
    kept = (await upload(server, "kept")).body.id;
    const lost = (await upload(server, "lost")).body.id;
    const slow = new ReadableStream({
      async pull(to) {
        to.enqueue(new Uint8Array(1000));
        await new Promise((resolve) => setTimeout(resolve, 20));
      },
    });
    const uploading = upload(server, slow).catch(() => undefined);
    const word = mark();
    await server.request("/v1/executions", {
      method: "POST",
      json: { command: `echo >out; exec sleep ${word}`, results: ["out"] },
    }).then((response) => response.body?.cancel());
    await until(() => sleeping(word) && onDisk(server).length === 3);
    Deno.removeSync(`${state}/files/${lost}`);
    server.kill("SIGKILL");
    await server.status;
    await uploading;
    await until(() => !sleeping(word));
    assert.equal(onDisk(server).length, 2);
  }
  await using server = await serving({ config: config(), state });
  assert.deepEqual(onDisk(server), [kept]);
  const list = await (await server.request("/v1/files")).json();
  assert.deepEqual(list.files.map(({ id }: Json) => id), [kept]);
  assert.equal(await text(server, kept), "kept");
  const { mode } = Deno.statSync(`${state}/files`);
  assert.equal(mode! & 0o777, 0o700);
});

test("a server that root made another user reaches the directories of its sandboxes", {
  needs: [root, userns],
}, async () => {
  await using server = await serving({
    user: "caller",
    state: tmp(),
    config: `user = "nobody"\n${config()}`,
  });
  const { body } = await run(server, {
    command: "id -un; cat in; echo done >out",
    files: [{ path: "in", text: "in\n" }],
    results: ["out"],
  });
  assert.equal(body.stdout, "user\nin\n", body.stderr);
  assert.equal(await text(server, body.results[0].file), "done\n");
});

test("every bad request to /v1/files has its answer", options, async () => {
  await using server = await serving();
  const type = { "content-type": "application/octet-stream" };
  for (
    const [method, path, init, status] of [
      ["POST", "", { body: "x" }, 415],
      ["POST", "?x=1", { body: "x", headers: type }, 422],
      ["POST", "?name=a%2Fb", { body: "x", headers: type }, 422],
      ["POST", "?name=", { body: "x", headers: type }, 422],
      ["POST", "?name=..", { body: "x", headers: type }, 422],
      ["POST", "?name=%00", { body: "x", headers: type }, 422],
      ["GET", "/..", {}, 404],
      ["GET", "/x", {}, 404],
      ["GET", `/${"0".repeat(32)}`, {}, 404],
      ["DELETE", `/${"f".repeat(32)}`, {}, 404],
      ["PUT", `/${"f".repeat(32)}`, {}, 405],
      ["GET", "", { token: "" }, 401],
      ["POST", "", { token: "", body: "x", headers: type }, 401],
    ] as const
  ) {
    const response = await server.request(`/v1/files${path}`, { method, ...init });
    assert.equal(response.status, status, `${method} ${path}`);
    await response.body?.cancel();
  }
  const empty = await upload(server, "", { name: "è" });
  assert.deepEqual([empty.status, empty.body.size, empty.body.name], [201, 0, "è"]);
  assert.equal((await content(server, empty.body.id)).length, 0);
  const mounted = await run(server, {
    command: "true",
    args: "--tmpfs /work host",
    files: [{ path: "a", text: "" }],
  });
  assert.equal(mounted.status, 422);
});
