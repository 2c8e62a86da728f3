/** What every engine has to do for a daemon. One conformance suite; each engine brings a {@link Subject}. */
import assert from "node:assert/strict";
import type { Result, Streams } from "../../lib/engine/engine.ts";

export interface Wanted {
  /** For `sh -c`. */
  script: string;
  /** Of the program, and nothing but what the engine itself sets beside them. */
  env?: Record<string, string>;
  wallSeconds?: number;
  memoryBytes?: number;
}

/** An engine as the suite sees it. */
export interface Subject {
  run(wanted: Wanted, streams: Streams): Promise<Result>;
  /** What is left of runs that are over: processes, containers, files. */
  left(): Promise<string[]>;
  /** Whether memory limits hold here. */
  holdsMemory: boolean;
}

export interface Ran {
  result: Result;
  stdout: string;
  stderr: string;
}

const MEGABYTE = 2 ** 20;

/** Runs it and collects what it prints. */
export async function run(
  subject: Subject,
  wanted: Wanted,
  more: { stdin?: string; signal?: AbortSignal } = {},
): Promise<Ran> {
  const out: Uint8Array[] = [], err: Uint8Array[] = [];
  const result = await subject.run(wanted, {
    stdout: (chunk) => void out.push(chunk.slice()),
    stderr: (chunk) => void err.push(chunk.slice()),
    ...(more.stdin !== undefined && { stdin: new TextEncoder().encode(more.stdin) }),
    ...(more.signal && { signal: more.signal }),
  });
  return { result, stdout: text(out), stderr: text(err) };
}

/** Every part as a step, each leaving nothing behind. */
export async function engineSuite(t: Deno.TestContext, subject: Subject): Promise<void> {
  for (const [name, body] of Object.entries(STEPS)) {
    await t.step(name, async () => {
      await body(subject);
      assert.deepEqual(await subject.left(), [], "left behind");
    });
  }
  if (!subject.holdsMemory) return;
  await t.step("the memory limit is told", async () => {
    const script = `echo before; exec awk 'BEGIN { s = "x"; while (1) s = s s }'`;
    const { result, stdout } = await run(subject, { script, memoryBytes: 32 * MEGABYTE });
    assert.deepEqual([result.reason, stdout], ["memory", "before\n"]);
    assert.deepEqual(await subject.left(), []);
  });
}

const STEPS: Record<string, (subject: Subject) => Promise<void>> = {
  "a plain end": async (subject) => {
    const { result, stdout, stderr } = await run(subject, { script: "true" });
    assert.deepEqual([result.reason, result.exitCode, result.signal], ["exited", 0, null]);
    assert.deepEqual([stdout, stderr], ["", ""]);
    assert.ok(result.wallMs >= 0);
  },

  "input, both outputs and the status": async (subject) => {
    const wanted = { script: "cat; echo to-err >&2; exit 7" };
    const { result, stdout, stderr } = await run(subject, wanted, { stdin: "hello" });
    assert.deepEqual([stdout, stderr], ["hello", "to-err\n"]);
    assert.deepEqual([result.reason, result.exitCode, result.signal], ["exited", 7, null]);
  },

  "every status": async (subject) => {
    for (const status of [1, 2, 124, 125, 126, 127, 128, 255]) {
      const { result } = await run(subject, { script: `exit ${status}` });
      assert.deepEqual([result.reason, result.exitCode], ["exited", status]);
    }
  },

  "a child's death by a signal is the shell's to tell": async (subject) => {
    const { result } = await run(subject, { script: "sh -c 'kill -TERM $$'; exit $?" });
    assert.deepEqual([result.reason, result.exitCode], ["exited", 143]);
  },

  "without input there is its end at once": async (subject) => {
    assert.equal((await run(subject, { script: "wc -c" })).stdout.trim(), "0");
  },

  "empty input is its end too": async (subject) => {
    assert.equal((await run(subject, { script: "wc -c" }, { stdin: "" })).stdout.trim(), "0");
  },

  "all of a megabyte of input": async (subject) => {
    const { stdout } = await run(subject, { script: "wc -c" }, { stdin: "x".repeat(MEGABYTE) });
    assert.equal(stdout.trim(), String(MEGABYTE));
  },

  "a program that does not read its input": async (subject) => {
    const { result } = await run(subject, { script: "exit 0" }, { stdin: "x".repeat(MEGABYTE) });
    assert.equal(result.exitCode, 0);
  },

  "bytes pass as they are": async (subject) => {
    const out: number[] = [];
    await subject.run({ script: "printf '\\000\\001\\377\\200\\n\\r'" }, {
      stdout: (chunk) => void out.push(...chunk),
      stderr() {},
    });
    assert.deepEqual(out, [0, 1, 255, 128, 10, 13]);
  },

  "a script is taken word for word": async (subject) => {
    const hostile = `it's "quoted" \\n \\ $HOME \`x\` $(x) \t end  `;
    const script = `cat <<'END'\n${hostile}\n\n  indented\nEND\necho "$0:$#"`;
    const { stdout } = await run(subject, { script });
    assert.equal(stdout, `${hostile}\n\n  indented\nsh:0\n`);
  },

  "variables reach it": async (subject) => {
    const env = { A: "one two", B: "üñ", PWD: "/nowhere" };
    const { stdout } = await run(subject, { script: 'echo "$A|$B|$(pwd)"', env });
    assert.match(stdout, /^one two\|üñ\|\//);
  },

  "it has three descriptors, and no ignored signals but those of the engine": async (subject) => {
    const { stdout } = await run(subject, { script: "ls /proc/self/fd; grep SigBlk /proc/self/status" });
    // The fourth is ls's own.
    assert.match(stdout, /^0\n1\n2\n3\nSigBlk:\t0{16}\n$/);
  },

  "all of a large output": async (subject) => {
    let size = 0;
    const result = await subject.run({ script: "head -c 5000000 /dev/zero" }, {
      stdout: (chunk) => void (size += chunk.length),
      stderr() {},
    });
    assert.deepEqual([size, result.exitCode], [5_000_000, 0]);
  },

  "output that nobody takes makes it wait": async (subject) => {
    let released = false;
    let size = 0;
    await subject.run({ script: "head -c 20000000 /dev/zero; echo done >&2" }, {
      async stdout(chunk) {
        if (!released) await new Promise((resolve) => setTimeout(resolve, 300));
        released = true;
        size += chunk.length;
      },
      stderr: () => assert.ok(released, "it ran on although its output stood"),
    });
    assert.equal(size, 20_000_000);
  },

  "the time limit, and what was printed before": async (subject) => {
    const { result, stdout } = await run(subject, { script: "echo before; sleep 600", wallSeconds: 1 });
    assert.deepEqual([result.reason, stdout], ["timeout", "before\n"]);
    assert.ok(result.wallMs >= 1000, `${result.wallMs}`);
  },

  "the time limit of one that ignores signals and left its session": async (subject) => {
    const script = "trap '' TERM INT HUP; setsid sleep 600 & setsid sh -c 'trap \"\" TERM; sleep 600' & wait";
    const { result } = await run(subject, { script, wallSeconds: 1 });
    assert.equal(result.reason, "timeout");
  },

  "an abort ends all that is inside, also what left its session": async (subject) => {
    const abort = new AbortController();
    let begun = false;
    const result = await subject.run({ script: "setsid sleep 600 & trap '' TERM; echo begun; sleep 600" }, {
      stdout() {
        begun = true;
        abort.abort();
      },
      stderr() {},
      signal: abort.signal,
    });
    assert.ok(begun);
    assert.equal(result.reason, "aborted");
  },

  "an abort at any moment leaves nothing": async (subject) => {
    const moments = [0, 1, 5, 20, 50, 100, 200, 400];
    const results = await Promise.all(moments.map((ms) => {
      const abort = new AbortController();
      setTimeout(() => abort.abort(), ms);
      return run(subject, { script: "sleep 600" }, { signal: abort.signal });
    }));
    assert.deepEqual(results.map(({ result }) => result.reason), moments.map(() => "aborted"));
  },

  "an abort before the start starts nothing": async (subject) => {
    const { result, stdout } = await run(subject, { script: "echo ran" }, { signal: AbortSignal.abort() });
    assert.deepEqual([result.reason, stdout], ["aborted", ""]);
  },

  "a sink that fails ends it and is told": async (subject) => {
    const failing = subject.run({ script: "echo x; sleep 600" }, {
      stdout() {
        throw new Error("no room");
      },
      stderr() {},
    });
    await assert.rejects(failing, /no room/);
  },

  "several at once, each with its own": async (subject) => {
    const names = [..."abcdef"];
    const all = await Promise.all(
      names.map((name, at) => run(subject, { script: `cat; echo ${name}; exit ${at}` }, { stdin: name })),
    );
    assert.deepEqual(
      all.map(({ result, stdout }) => [stdout, result.exitCode]),
      names.map((name, at) => [`${name}${name}\n`, at]),
    );
  },
};

function text(parts: Uint8Array[]): string {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
}
