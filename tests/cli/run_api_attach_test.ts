/** `cordon run --attach ID` when the stream of events breaks off. */
import assert from "node:assert/strict";
import { cordon } from "../helpers/binary.ts";

interface Scripted extends AsyncDisposable {
  url: string;
  /** What was asked after which event, in order. */
  asked: string[];
}

const ID = "01890000-0000-7000-8000-000000000000";

const event = (id: number, type: string, data: unknown) =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
const output = (id: number, text: string) => event(id, "stdout", { data: btoa(text) });
const END = event(9, "state", {
  state: "finished",
  reason: "exited",
  exit_code: 5,
  signal: null,
  truncated: false,
});

/** Answers the first request for events with the first of these, and so on. */
function scripted(answers: string[]): Scripted {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/v1/executions") return Response.json({ executions: [], next: null });
    // It takes no input.
    if (pathname.endsWith("/attach")) return new Response(null, { status: 409 });
    assert.equal(pathname, `/v1/executions/${ID}/events`);
    const answer = answers[asked.push(searchParams.get("after") ?? "") - 1];
    if (answer === undefined) return new Response(null, { status: 500 });
    return new Response(answer, { headers: { "content-type": "text/event-stream" } });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const attach = ({ url }: Scripted) => cordon(["run", "--api", url, "--attach", ID]);

Deno.test("attach: a stream that breaks off goes on where it was, and nothing is shown twice", async () => {
  await using server = scripted([
    event(1, "state", { state: "running" }) + output(2, "a\n"),
    "",
    output(3, "b\n") + "id: 4\nevent: stdout\nda",
    output(4, "c\n") + END,
  ]);
  const { code, stdout, stderr } = await attach(server);
  assert.deepEqual({ code, stdout, stderr }, { code: 5, stdout: "a\nb\nc\n", stderr: "" });
  assert.deepEqual(server.asked, ["0", "2", "2", "3"]);
});

Deno.test("attach: a server that never says more is given up", async () => {
  await using server = scripted([output(2, "a\n"), "", "", "", "", "", ""]);
  const { code, stdout, stderr } = await attach(server);
  assert.deepEqual([code, stdout], [125, "a\n"]);
  assert.match(stderr, /gave no usable answer\nIt ended before the command did\n$/);
  assert.equal(server.asked.length, 6);
});

Deno.test("attach: what is no event of an execution is told", async () => {
  for (
    const [answer, why] of [
      [event(1, "state", { state: "dancing" }), /It tells no state of an execution/],
      [event(1, "stdout", { data: 3 }), /An event of output has no data/],
      [event(1, "stdout", { data: "%" }), /An event of output is not base64/],
      ["id: 1\nevent: stdout\ndata: [\n\n", /It is not a JSON object/],
    ] as const
  ) {
    await using server = scripted([answer]);
    const { code, stderr } = await attach(server);
    assert.equal(code, 125);
    assert.match(stderr, why);
    assert.equal(server.asked.length, 1);
  }
});
