/** Failing calls in real processes, on both architectures: what is said, where it goes on, the status. */
import assert from "node:assert/strict";
import { AT } from "../../../ffi/constants.ts";
import type { Syscall } from "../../../ffi/syscalls.ts";
import { decodeOs } from "../../../lib/host/bytes.ts";
import { writeImage } from "../../../lib/shim/image.ts";
import { Program } from "../../../lib/shim/program.ts";
import { test } from "../../helpers/need.ts";
import { ARCHITECTURES, build, place, runs } from "./running.ts";

const brief = ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
  code,
  stdout,
  stderr,
});

for (const arch of ARCHITECTURES) {
  const needs = runs(arch);

  const missing = `${place()}/not/there`;
  const FAILURES: [say: string | undefined, call: Syscall, args: (string | number)[], text: string][] = [
    ["enter the void", "chdir", [missing], "Enter the void: ENOENT (No such file or directory)"],
    [undefined, "chdir", [missing], "chdir: ENOENT (No such file or directory)"],
    [
      `open ${missing}`,
      "openat",
      [AT.FDCWD, missing, 0, 0],
      `Open ${missing}: ENOENT (No such file or directory)`,
    ],
    ["close nothing", "close", [-1], "Close nothing: EBADF (Bad file descriptor)"],
    ["enter a device", "chdir", ["/dev/null"], "Enter a device: ENOTDIR (Not a directory)"],
    ["make /", "mkdirat", [AT.FDCWD, "/", 0o755], "Make /: EEXIST (File exists)"],
    ["execute a directory", "execve", ["/", 0, 0], "Execute a directory: EACCES (Permission denied)"],
    ["öffne ‘…’", "close", [-1], "Öffne ‘…’: EBADF (Bad file descriptor)"],
    ["open a\udcff\udc80b", "close", [-1], "Open a\udcff\udc80b: EBADF (Bad file descriptor)"],
    ["look in a pipe", "lseek", [0, 0, 0], "Look in a pipe: ESPIPE (Illegal seek)"],
  ];
  for (const [say, call, args, text] of FAILURES) {
    test(`${arch}: ${text.replaceAll(/[\udc80-\udcff]/g, "?")}, status 125`, { needs }, async () => {
      const path = `${place()}/error-${arch}`;
      const p = new Program(arch);
      // stderr through a file: the text may not be UTF-8.
      p.sys(call, args, say === undefined ? {} : { say });
      p.exit(0);
      await Deno.writeFile(path, writeImage(p), { mode: 0o755 });
      const emulated = arch === Deno.build.arch ? [] : [`qemu-${arch}-static`];
      const child = new Deno.Command("sh", {
        args: ["-c", ': | "$@"', "sh", ...emulated, path],
        stdout: "null",
        stderr: "piped",
      });
      const { code, stderr } = await child.output();
      assert.deepEqual({ code, stderr: decodeOs(stderr) }, { code: 125, stderr: `cordon: ${text}\n` });
    });
  }

  test(`${arch}: a failure goes where it is told to, is ignored, or ends the program there and then`, {
    needs,
  }, async () => {
    const outcome = await build(arch, (p) => {
      const first = p.label("first"), second = p.label("second");
      p.sys("close", [-1], { fail: "ignore" });
      p.sys("write", [1, "ignored ", 8]);
      p.sys("close", [-1], { fail: first });
      p.exit(1);
      p.place(second);
      p.sys("write", [1, "second ", 7]);
      p.sys("chdir", ["/nowhere/at/all"], { say: "last" });
      p.sys("write", [1, "never ", 6]);
      p.place(first);
      p.sys("write", [1, "first ", 6]);
      p.sys("close", [-1], { fail: second });
      p.exit(1);
    });
    assert.deepEqual(brief(outcome), {
      code: 125,
      stdout: "ignored first second ",
      stderr: "cordon: Last: ENOENT (No such file or directory)\n",
    });
  });

  test(`${arch}: jumping to abort tells the last failure`, { needs }, async () => {
    const outcome = await build(arch, (p) => {
      p.sys("close", [-1], { fail: "ignore", say: "first" });
      p.sys("chdir", ["/nowhere/at/all"], { fail: "ignore", say: "second" });
      p.if([p.errno, "==", -2], () => p.goto(p.abort));
      p.exit(1);
    });
    assert.deepEqual(brief(outcome), {
      code: 125,
      stdout: "",
      stderr: "cordon: Second: ENOENT (No such file or directory)\n",
    });
  });

  test(`${arch}: with stderr closed a failure still ends with 125`, { needs }, async () => {
    const outcome = await build(arch, (p) => {
      p.sys("close", [2]);
      p.sys("chdir", ["/nowhere/at/all"]);
      p.exit(0);
    });
    assert.deepEqual(brief(outcome), { code: 125, stdout: "", stderr: "" });
  });

  test(`${arch}: trace prints each described step before it is made, and only those`, { needs }, async () => {
    const outcome = await build(arch, (p) => {
      p.trace = true;
      p.sys("chdir", ["/"], { say: "enter ä" });
      p.sys("getpid", []);
      p.sys("chdir", ["/nowhere/at/all"], { say: "enter nothing" });
    });
    assert.equal(
      outcome.stderr,
      "cordon: enter ä\ncordon: enter nothing\ncordon: Enter nothing: ENOENT (No such file or directory)\n",
    );
  });
}
