/** The pumps, simulated: regular files on descriptors 0–2 become pipes, output is counted. */
import assert from "node:assert/strict";
import { S } from "../../../ffi/constants.ts";
import type { SandboxPlan } from "../../../lib/shim/programs/sandbox.ts";
import type { Handler, Kernel } from "../../helpers/fake_kernel.ts";
import type { Process } from "../../helpers/simulator.ts";
import { type Event, gone, matching, report, runMonitor, signal, types } from "./events.ts";

const EPIPE = -32, EAGAIN = -11, ENOSPC = -28;

/** The monitor with these types on descriptors; which of its children are pumps. */
function pumped(
  of: Record<number, number>,
  changes: Partial<SandboxPlan> = {},
  kernel: Kernel = {},
): { monitor: Process; pumps: Process[] } {
  const monitor = runMonitor({ rawStdio: false, ...changes }, [report("exited")], {
    ...types(of),
    ...kernel,
  });
  return { monitor, pumps: monitor.children.filter((child) => child.pid !== 1) };
}

Deno.test("pipes, terminals and devices go to the target as they are; regular files and block devices do not", () => {
  for (const type of [S.IFIFO, S.IFSOCK, 0o020000]) {
    assert.equal(pumped({ 0: type, 1: type, 2: type }).pumps.length, 0);
  }
  for (const type of [S.IFREG, S.IFBLK]) {
    for (const [fd, pumps] of [[0, 1], [1, 1], [2, 1]] as const) {
      const { monitor } = pumped({ [fd]: type });
      assert.equal(monitor.children.length, pumps + 1, `descriptor ${fd}`);
      // By the time init is born the file is gone from the descriptor.
      const born = monitor.calls.findLastIndex((call) => call.name === "clone");
      const replaced = monitor.calls.findIndex((call) => call.name === "dup3" && call.number(1) === fd);
      assert.ok(replaced >= 0 && replaced < born);
      const ends = fd === 0 ? monitor.pipes[0]!.read : monitor.pipes[0]!.write;
      assert.equal(monitor.calls[replaced]!.number(0), ends);
    }
  }
  assert.equal(pumped({ 0: S.IFREG, 1: S.IFREG, 2: S.IFREG }).pumps.length, 2);
});

Deno.test("with --raw-stdio files go to the target as they are; a limit on output counts all the same", () => {
  assert.equal(pumped({ 0: S.IFREG, 1: S.IFREG }, { rawStdio: true }).pumps.length, 0);
  assert.equal(pumped({ 0: S.IFREG }, { rawStdio: true, outputBytes: 5 }).pumps.length, 1);
});

/** Reads of a pump: what each of its descriptors gives, in turn. */
function feeding(chunks: [slot: 0 | 1, text: string | undefined][]): Kernel {
  const encoder = new TextEncoder();
  const entry = (call: Parameters<Handler>[0], i: number) => Number(BigInt.asIntN(32, call.word(0, 8 * i)));
  let wanted = -1;
  return {
    ppoll: (call) => {
      const next = chunks[0];
      assert.ok(next, "polls, and nothing is left to come");
      for (const i of [0, 1]) {
        call.put(0, Uint8Array.of(i === next[0] ? (next[1] === undefined ? 16 : 1) : 0, 0), 8 * i + 6);
      }
      wanted = entry(call, next[0]);
      assert.ok(wanted >= 0, "still polls what is to come");
      return 1;
    },
    read: (call) => {
      assert.equal(call.number(0), wanted);
      const [, text] = chunks.shift()!;
      if (text === undefined) return 0;
      const bytes = encoder.encode(text);
      call.put(1, bytes);
      return bytes.length;
    },
  };
}

/** The pump of output, fed with this; its parent is the monitor. */
function output(
  chunks: [0 | 1, string | undefined][],
  changes: Partial<SandboxPlan> = {},
  kernel: Kernel = {},
): Process {
  // Two different files: their inode numbers differ.
  const numbers: Kernel = {
    statx: (call) => {
      call.put32(4, S.IFREG, 28);
      call.put32(4, call.number(0), 32);
    },
  };
  const { pumps } = pumped({}, { rawStdio: false, ...changes }, numbers);
  const pump = pumps.at(-1)!;
  return pump.run({ getppid: () => 1000, ...feeding(chunks), ...kernel });
}

Deno.test("the pump of output copies both streams apart, to the end of both", () => {
  const pump = output([[0, "out 1 "], [1, "err 1 "], [0, "out 2"], [0, undefined], [1, "err 2"], [
    1,
    undefined,
  ]]);
  assert.deepEqual([pump.written(1), pump.written(2), pump.end], ["out 1 out 2", "err 1 err 2", { exit: 0 }]);
});

Deno.test("a short write is followed by the rest, a full pipe is waited for", () => {
  let full = true;
  const texts: string[] = [];
  const chunks: [0 | 1, string | undefined][] = [[0, "abcdef"], [0, undefined], [1, undefined]];
  const feed = feeding(chunks);
  const pump = output([], {}, {
    ...feed,
    ppoll: (call) => call.number(1) === 1 ? 1 : feed.ppoll!(call),
    write: (call) => {
      if (texts.length === 1 && full) {
        full = false;
        return EAGAIN;
      }
      texts.push(new TextDecoder().decode(call.bytes(1, call.number(2))));
      return Math.min(2, call.number(2));
    },
  });
  assert.deepEqual(texts, ["abcdef", "cdef", "ef"]);
  assert.equal(full, false);
  assert.deepEqual(pump.end, { exit: 0 });
});

Deno.test("at the limit what still fits is written and nothing after it, whichever stream it is", () => {
  const LIMITS: [
    limit: number,
    chunks: [0 | 1, string | undefined][],
    out: string,
    err: string,
    exit: number,
  ][] = [
    [10, [[0, "1234567890"], [0, undefined], [1, undefined]], "1234567890", "", 0],
    [10, [[0, "12345678901"]], "1234567890", "", 1],
    [10, [[0, "12345"], [1, "67890"], [0, undefined], [1, undefined]], "12345", "67890", 0],
    [10, [[0, "123456"], [1, "7890ab"]], "123456", "7890", 1],
    [0, [[0, undefined], [1, undefined]], "", "", 0],
    [0, [[1, "x"]], "", "", 1],
  ];
  for (const [outputBytes, chunks, out, err, exit] of LIMITS) {
    const pump = output([...chunks], { outputBytes });
    assert.deepEqual(
      [pump.written(1), pump.written(2), pump.end],
      [out, err, { exit }],
      JSON.stringify(chunks),
    );
  }
});

Deno.test("a reader that went away ends its stream alone", () => {
  const chunks: [0 | 1, string | undefined][] = [[0, "lost"], [1, "kept"], [1, undefined]];
  const err: string[] = [];
  const pump = output(chunks, {}, {
    write: (call) => {
      if (call.number(0) === 1) return EPIPE;
      err.push(new TextDecoder().decode(call.bytes(1, call.number(2))));
      return call.number(2);
    },
  });
  assert.deepEqual([err, pump.end], [["kept"], { exit: 0 }]);
});

Deno.test("output that cannot be written for another reason is told", () => {
  const pump = output([[0, "text"]], {}, { write: (call) => call.number(0) === 1 ? ENOSPC : 4 });
  assert.deepEqual(pump.end, { exit: 125 });
  assert.equal(pump.written(2).split("\n")[0], "cordon: Write to stdout: ENOSPC (No space left on device)");
});

Deno.test("a pump whose monitor has died already does nothing", () => {
  const { pumps } = pumped({ 0: S.IFREG, 1: S.IFREG });
  for (const pump of pumps) {
    pump.run({ getppid: () => 1 });
    assert.deepEqual(pump.end, { exit: 125 });
    assert.match(pump.lines[0]!, /^prctl\(1, 9\)/);
    assert.deepEqual(matching(pump, /^(read|write|splice)/), []);
  }
});

Deno.test("the limit met ends the sandbox with 137, noticed while it runs or only at its end", () => {
  const MET = 1 << 8;
  const plan = { rawStdio: true, outputBytes: 10 };
  const runs: [string, Event[]][] = [
    ["while it runs", [signal(17), report("exited", 9)]],
    ["only at its end", [report("exited")]],
  ];
  for (const [what, events] of runs) {
    const monitor = runMonitor(plan, events, {
      wait4: (call) => {
        const pump = call.process.children.find((child) => child.pid !== 1)!;
        if (call.number(0) !== pump.pid) return gone()(call)!;
        if (call.process.calls.filter((c) => c.line.startsWith(`wait4(${pump.pid},`)).length > 1) return -10;
        call.put32(1, MET);
        return pump.pid;
      },
    });
    assert.deepEqual(monitor.end, { exit: 137 }, what);
  }
});

Deno.test("a child that is no pump, or a pump that ended well, ends nothing", () => {
  const monitor = runMonitor({ rawStdio: true, outputBytes: 10 }, [signal(17), report("exited", 3 << 8)], {
    wait4: gone(0),
  });
  assert.deepEqual(monitor.end, { exit: 3 });
  assert.deepEqual(matching(monitor, /^kill\(/), []);
});
