/** Whole small programs in real processes, on both architectures: files, children, pipes, strings, the kit. */
import assert from "node:assert/strict";
import { AT, O, POLL, SIGSET } from "../../../ffi/constants.ts";
import { decodeOs, encodeOs } from "../../../lib/host/bytes.ts";
import {
  decimalRoutine,
  divide,
  fork,
  ifPolled,
  pipe,
  pipeSlots,
  pollWord,
  tell,
  times1000,
} from "../../../lib/shim/kit.ts";
import { writeTo } from "../../../lib/shim/kit.ts";
import type { Program } from "../../../lib/shim/program.ts";
import { test } from "../../helpers/need.ts";
import { ARCHITECTURES, build, place, runs } from "./running.ts";

const ok = { code: 0, stdout: "", stderr: "" };
const brief = ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
  code,
  stdout,
  stderr,
});

/** Writes a buffer's first `count` bytes to stdout. */
function show(p: Program, from: ReturnType<Program["buffer"]>, count: number): void {
  p.sys("write", [1, from, count], { say: "write to stdout" });
}

for (const arch of ARCHITECTURES) {
  const needs = runs(arch);

  test(`${arch}: a file is made, written, read again and compared`, { needs }, async () => {
    const path = `${place()}/made-${arch}`;
    const text = "what was written\n";
    const outcome = await build(arch, (p) => {
      const fd = p.slot(), n = p.slot(), at = p.slot(), end = p.slot(), a = p.slot(), b = p.slot();
      const buffer = p.buffer(8192), differs = p.label("differs"), expected = p.slot();
      p.sys("openat", [AT.FDCWD, path, O.WRONLY | O.CREAT | O.EXCL, 0o600], {
        into: fd,
        say: `make ${path}`,
      });
      p.sys("write", [fd, text, text.length], { into: n, say: "write" });
      p.when([n, "!=", text.length], differs);
      p.sys("close", [fd]);
      writeTo(p, path, "WHAT");
      p.sys("openat", [AT.FDCWD, path, O.RDONLY, 0], { into: fd, say: `open ${path}` });
      p.sys("read", [fd, buffer, 8192], { into: n, say: "read" });
      p.when([n, "!=", text.length], differs);
      // Byte by byte against what it must be now.
      p.set(at, buffer);
      p.add(end, at, n);
      p.set(expected, p.string("WHAT" + text.slice(4)));
      p.loop((leave) => {
        p.when([at, ">=", end], leave);
        p.load(a, at);
        p.load(b, expected);
        p.and(a, a, 0xff);
        p.and(b, b, 0xff);
        p.when([a, "!=", b], differs);
        p.add(at, at, 1);
        p.add(expected, expected, 1);
      });
      p.exit(0);
      p.place(differs);
      p.exit(1);
    });
    assert.deepEqual(brief(outcome), ok);
    assert.equal(await Deno.readTextFile(path), "WHAT was written\n");
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  });

  test(`${arch}: children have memory of their own and their status comes back`, { needs }, async () => {
    const outcome = await build(arch, (p) => {
      const pid = p.slot(),
        status = p.slot(),
        sum = p.slot(),
        i = p.slot(),
        mine = p.slot(5),
        child = p.label("child");
      p.loop((leave) => {
        p.when([i, "==", 4], leave);
        fork(p, pid, child, { say: "start a child" });
        p.sys("wait4", [pid, status.address, 0, 0], { say: "wait" });
        p.shr(status, status, 8);
        p.add(sum, sum, status);
        p.add(i, i, 1);
      });
      p.if([mine, "!=", 5], () => p.exit(100));
      p.exit(sum);
      p.place(child);
      p.set(mine, 6);
      p.add(i, i, 10);
      p.exit(i);
    });
    assert.deepEqual(brief(outcome), { ...ok, code: 10 + 11 + 12 + 13 });
  });

  test(`${arch}: waiting without a child fails with ECHILD`, { needs }, async () => {
    const outcome = await build(arch, (p) => p.sys("wait4", [-1, 0, 0, 0], { say: "wait for nobody" }));
    assert.deepEqual(brief(outcome), {
      code: 125,
      stdout: "",
      stderr: "cordon: Wait for nobody: ECHILD (No child processes)\n",
    });
  });

  // ---------------------------------------------------------------------------------------------- the kit

  test(`${arch}: numbers are written as 16 decimal digits, padded`, { needs }, async () => {
    const values = [0, 1, 9, 10, 99, 12345678, 100000000, 10 ** 15, 9999999999999999n, 4_294_967_296, -5];
    const { stdout } = await build(arch, (p) => {
      const number = decimalRoutine(p), main = p.label(), at = p.buffer(16 * values.length), value = p.slot();
      p.goto(main);
      number.define();
      p.place(main);
      values.forEach((n, i) => {
        p.set(value, n);
        number.call(value, at.plus(16 * i));
      });
      show(p, at, 16 * values.length);
      p.exit(0);
    });
    const expected = values.map((n) => String(n < 0 ? 0 : n).padStart(16));
    assert.deepEqual(stdout.match(/.{16}/g), expected);
  });

  test(`${arch}: divide and times1000`, { needs }, async () => {
    const dividends: [number, number, number][] = [
      [0, 7, 0],
      [6, 7, 0],
      [7, 7, 1],
      [1_999_999_999, 1_000_000, 1999],
      [999_999, 1000, 999],
      [-1, 5, 0],
    ];
    const factors = [0, 1, 3, 86_400, 123_456_789_012];
    const { bytes } = await build(arch, (p) => {
      const out = p.buffer(8 * (dividends.length + factors.length));
      const value = p.slot();
      dividends.forEach(([a, b], i) => {
        p.set(value, a);
        divide(p, value, b);
        p.set(out.cell(8 * i), value);
      });
      factors.forEach((n, i) => {
        p.set(value, n);
        times1000(p, value);
        p.set(out.cell(8 * (dividends.length + i)), value);
      });
      show(p, out, 8 * (dividends.length + factors.length));
      p.exit(0);
    });
    const view = new BigInt64Array(bytes.slice().buffer);
    assert.deepEqual([...view].map(Number), [
      ...dividends.map(([, , q]) => q),
      ...factors.map((n) => n * 1000),
    ]);
  });

  test(`${arch}: a pipe is polled: silent, readable, at its end`, { needs }, async () => {
    const outcome = await build(arch, (p) => {
      const ends = pipeSlots(p), polled = p.words(0), now = p.words(0, 0), n = p.slot(), buffer = p.buffer(8);
      const heard = p.label("heard"), silent = p.label(), wrong = p.label("wrong"), ended = p.label("ended");
      pipe(p, ends, "make a pipe");
      pollWord(p, polled.cell(), ends.read);
      p.sys("ppoll", [polled, 1, now, 0, SIGSET], { into: n });
      p.when([n, "!=", 0], wrong);
      ifPolled(p, polled, POLL.IN | POLL.HUP, wrong);
      p.goto(silent);
      p.place(silent);
      p.sys("write", [ends.write, "abc", 3]);
      p.sys("ppoll", [polled, 1, 0, 0, SIGSET], { into: n });
      ifPolled(p, polled, POLL.HUP, wrong);
      ifPolled(p, polled, POLL.IN, heard);
      p.goto(wrong);
      p.place(heard);
      p.sys("read", [ends.read, buffer, 8], { into: n });
      show(p, buffer, 3);
      p.sys("close", [ends.write]);
      p.sys("ppoll", [polled, 1, 0, 0, SIGSET]);
      ifPolled(p, polled, POLL.IN, wrong);
      ifPolled(p, polled, POLL.HUP, ended);
      p.place(wrong);
      tell(p, "wrong");
      p.exit(1);
      p.place(ended);
      p.exit(n);
    });
    assert.deepEqual(brief(outcome), { code: 3, stdout: "abc", stderr: "" });
  });

  test(`${arch}: pipes are closed by exec, so the target cannot hold them`, { needs }, async () => {
    const outcome = await build(arch, (p) => {
      const ends = pipeSlots(p), flags = p.slot(), other = p.slot();
      pipe(p, ends, "make a pipe");
      p.sys("fcntl", [ends.read, 1], { into: flags });
      p.sys("fcntl", [ends.write, 1], { into: other });
      p.add(flags, flags, other);
      p.exit(flags);
    });
    assert.equal(outcome.code, 2, "FD_CLOEXEC on both");
  });

  // ---------------------------------------------------------------------------------------------- data

  test(`${arch}: 64 MiB of zeroed memory is zero at both ends, and can be written`, { needs }, async () => {
    const size = 64 << 20;
    const outcome = await build(arch, (p) => {
      const before = p.words(-1n), buffer = p.buffer(size), after = p.buffer(size), bad = p.label("bad");
      for (const at of [buffer, buffer.plus(size - 8), after, after.plus(size - 8)]) {
        p.when([at.cell(), "!=", 0], bad);
        p.set(at.cell(), 1);
      }
      p.when([before.cell(), "!=", -1n], bad);
      show(p, buffer.plus(size - 8), 16); // the end of one and the start of the other
      p.exit(0);
      p.place(bad);
      p.exit(1);
    });
    assert.equal(outcome.code, 0);
    assert.deepEqual([...outcome.bytes], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
  });

  test(`${arch}: strings pass byte by byte, whatever they hold`, { needs }, async () => {
    const strings = [
      "",
      "plain",
      "tab\tand\nnewline",
      "é€🦕",
      "\udcff\udcfe",
      "a\udc80b\udcc3",
      "x".repeat(5000) + "ü",
      "y".repeat(127),
      "z".repeat(128),
      "w".repeat(126) + "é",
    ];
    const { bytes } = await build(arch, (p) => {
      for (const text of strings) p.sys("write", [1, text, encodeOs(text).length + 1]);
      p.exit(0);
    });
    assert.deepEqual(decodeOs(bytes).split("\0"), [...strings, ""]);
  });

  test(`${arch}: an argument vector of 1 MiB and an environment reach the program`, { needs }, async () => {
    const words = Array.from({ length: 1024 }, (_, i) => String(i % 10).repeat(1023));
    words[7] = "\udcff'\n";
    const outcome = await build(arch, (p) => {
      p.sys("execve", [
        "/bin/sh",
        p.vector(["sh", "-c", 'printf "%s\\n" $# "$8" "$A"; printf %s "$*" | wc -c', "sh", ...words]),
        p.vector(["A=b c", "PATH=/usr/bin:/bin"]),
      ], { say: "execute sh" });
    });
    const length = words.reduce((sum, word) => sum + encodeOs(word).length + 1, -1);
    assert.deepEqual(
      { code: outcome.code, said: decodeOs(outcome.bytes), stderr: outcome.stderr },
      { code: 0, said: `1024\n\udcff'\n\nb c\n${length}\n`, stderr: "" },
    );
  });
}
