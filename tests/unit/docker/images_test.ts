import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BrokenConnectionError, type EngineError, NotFoundError } from "../../../lib/docker/errors.ts";
import { watchEvents } from "../../../lib/docker/events.ts";
import { importImage, inspectImage, pullImage, type PullProgress } from "../../../lib/docker/images.ts";
import { jsonLines } from "../../../lib/docker/jsonlines.ts";
import { parseReference } from "../../../lib/docker/reference.ts";
import { startExitCode } from "../../../lib/docker/starterror.ts";
import { UsageError } from "../../../lib/errors.ts";
import { FakeEngine, type Handler } from "../../helpers/fake-engine.ts";

const STREAM = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

function stream(lines: unknown[], options: { end: boolean }): Handler {
  return async (call) => {
    await call.send(STREAM);
    for (const line of lines) {
      const text = `${JSON.stringify(line)}\r\n`;
      await call.send(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`, 3);
    }
    if (options.end) await call.send("0\r\n\r\n");
  };
}

async function all(source: AsyncIterable<PullProgress>): Promise<string[]> {
  const seen: string[] = [];
  for await (const { status } of source) seen.push(status ?? "");
  return seen;
}

Deno.test("a pull names registry, repository and tag, and brings credentials in their header", async () => {
  const asked: [string | null, string | null][] = [];
  await using fake = new FakeEngine({
    "POST /images/create": async (call) => {
      asked.push([call.query.get("fromImage"), call.query.get("tag")]);
      const header = call.headers.get("x-registry-auth") ?? "";
      assert.match(header, /^[A-Za-z0-9_=-]*$/);
      if (header) {
        const auth = JSON.parse(Buffer.from(header, "base64url").toString());
        assert.deepEqual(auth, { username: "me", password: "ÿ?~", serveraddress: "r:5000" });
      }
      await stream([{ status: "Pulling" }, { status: "Done" }], { end: true })(call);
    },
  });
  const digest = `sha256:${"0".repeat(64)}`;
  const auth = { username: "me", password: "ÿ?~", serveraddress: "r:5000" };
  assert.deepEqual(await all(pullImage(fake.engine(), "busybox")), ["Pulling", "Done"]);
  await all(pullImage(fake.engine(), "r:5000/a/b:c", { auth }));
  await all(pullImage(fake.engine(), `ghcr.io/x/y@${digest}`));
  assert.deepEqual(asked, [
    ["docker.io/library/busybox", "latest"],
    ["r:5000/a/b", "c"],
    ["ghcr.io/x/y", digest],
  ]);
});

Deno.test("an error inside a 200 is an error, whichever of its fields is there", async () => {
  for (
    const line of [
      { errorDetail: { message: "unexpected EOF" }, error: "unexpected EOF" },
      { error: "unexpected EOF" },
      { errorDetail: { code: 1, message: "unexpected EOF" } },
    ]
  ) {
    await using fake = new FakeEngine({
      "POST /images/create": stream([{ status: "Downloading" }, line], { end: true }),
    });
    const seen: unknown[] = [];
    await assert.rejects(async () => {
      for await (const step of pullImage(fake.engine(), "x")) seen.push(step);
    }, (error: EngineError) => {
      assert.equal(error.message, "Cannot pull image x");
      assert.equal(error.why, "unexpected EOF");
      return error.status === 0;
    });
    assert.deepEqual(seen, [{ status: "Downloading" }]);
  }
});

Deno.test("a refusal before the stream keeps its status; a cut stream is no success", async () => {
  await using refusing = new FakeEngine({
    "POST /images/create": (call) => call.json(404, { message: "manifest unknown" }),
  });
  await assert.rejects(all(pullImage(refusing.engine(), "x")), NotFoundError);
  await using cutting = new FakeEngine({ "POST /images/create": stream([{ status: "a" }], { end: false }) });
  await assert.rejects(all(pullImage(cutting.engine(), "x")), BrokenConnectionError);
});

Deno.test("leaving a pull early hangs up on it", async () => {
  const hungUp = Promise.withResolvers<void>();
  await using fake = new FakeEngine({
    "POST /images/create": async (call) => {
      await call.send(`${STREAM}f\r\n{"status":"a"}\n\r\n`);
      await call.closed();
      hungUp.resolve();
    },
  });
  for await (const _step of pullImage(fake.engine(), "x")) break;
  await hungUp.promise;
});

Deno.test("an import sends the archive and returns the id", async () => {
  await using fake = new FakeEngine({
    "POST /images/create": async (call) => {
      assert.equal(call.query.get("repo"), "lab/x");
      assert.equal(call.query.get("tag"), "1");
      assert.deepEqual(call.query.getAll("changes"), ["CMD a", "ENV b=c"]);
      assert.equal((await call.body()).toString(), "tar");
      await call.json(200, { status: "sha256:abc" });
    },
  });
  const id = await importImage(fake.engine(), "lab/x:1", {
    tar: Buffer.from("tar"),
    changes: ["CMD a", "ENV b=c"],
  });
  assert.equal(id, "sha256:abc");
});

Deno.test("image names keep their slashes and nothing else", async () => {
  await using fake = new FakeEngine({
    "GET /images/a/b%3Ac%3Fd/json": (call) => call.json(200, { Id: "i" }),
  });
  assert.equal((await inspectImage(fake.engine(), "a/b:c?d")).Id, "i");
  await assert.rejects(inspectImage(fake.engine(), "../containers/x"));
});

Deno.test("events come as they happen, over any splitting", async () => {
  const text =
    '{"Type":"container","Action":"die"}\n{"Type":"container",\u0020"Action":"größer"}\n{"Type":"x"}';
  const bytes = Buffer.from(text);
  for (let at = 0; at <= bytes.length; at++) {
    const seen: string[] = [];
    const pieces = ReadableStream.from([bytes.subarray(0, at), bytes.subarray(at)]);
    for await (const { Action, Type } of jsonLines<Record<string, string>>(pieces)) {
      seen.push(Action ?? `${Type}`);
    }
    assert.deepEqual(seen, ["die", "größer", "x"], `split at ${at}`);
  }
  await using fake = new FakeEngine({
    "GET /events": (call) => {
      assert.deepEqual(JSON.parse(call.query.get("filters") ?? ""), { event: ["die"] });
      return stream([{ Type: "container", Action: "die", Actor: { ID: "a", Attributes: {} } }], {
        end: true,
      })(call);
    },
  });
  const actions: string[] = [];
  for await (const event of await watchEvents(fake.engine(), { filters: { event: ["die"] } })) {
    actions.push(event.Action);
  }
  assert.deepEqual(actions, ["die"]);
});

Deno.test("references in every form", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const cases: [string, string, string, string, string?][] = [
    ["busybox", "docker.io", "library/busybox", "latest"],
    ["docker.io/busybox:1", "docker.io", "library/busybox", "1"],
    ["index.docker.io/a/b", "docker.io", "a/b", "latest"],
    ["a/b/c:T_1", "docker.io", "a/b/c", "T_1"],
    ["localhost/x", "localhost", "x", "latest"],
    ["localhost:5000/x", "localhost:5000", "x", "latest"],
    ["[::1]:5000/x:y", "[::1]:5000", "x", "y"],
    ["Registry/x", "Registry", "x", "latest"],
    [`quay.io/a@${digest}`, "quay.io", "a", "", digest],
    [`quay.io/a:t@${digest}`, "quay.io", "a", "t", digest],
  ];
  for (const [text, domain, path, tag, hash] of cases) {
    const expected = { domain, path, ...(tag ? { tag } : {}), ...(hash ? { digest: hash } : {}) };
    assert.deepEqual(parseReference(text), expected, text);
  }
  for (const text of ["", "UPPER", "a:b:c", "a//b", "a@sha256:1", "x:-t", "-a", "a/../b", "a b", ":t"]) {
    assert.throws(() => parseReference(text), UsageError, text);
  }
  assert.equal(parseReference(`r:1/${"a".repeat(255)}`).path.length, 255);
  assert.throws(() => parseReference(`r:1/${"a".repeat(256)}`), UsageError);
});

Deno.test("statuses of failed starts", () => {
  const cases: [string, number][] = [
    [
      'runc create failed: unable to start container process: exec: "x": executable file not found in $PATH',
      127,
    ],
    ['unable to start container process: exec: "/x": stat /x: no such file or directory: unknown', 127],
    [
      "crun: executable file `x` not found in $PATH: No such file or directory: OCI runtime attempted to",
      127,
    ],
    ['exec: "/etc": permission denied: unknown', 126],
    ['exec: "/etc": is a directory: unknown', 126],
    ["crun: open executable: Permission denied: OCI permission denied", 126],
    ["unable to find user x: no matching entries in passwd file", 125],
    ['error mounting "/a" to rootfs at "/b": no such file or directory: exec: unknown', 125],
    ["crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted: OCI permission denied", 125],
    ["", 125],
  ];
  for (const [message, status] of cases) assert.equal(startExitCode(message), status, message);
});
