/** Job control, window size and terminal modes, on a real pseudo-terminal, as an ordinary user. */
import { strict as assert } from "node:assert";
import { executable } from "../helpers/binary.ts";
import { ordinaryUser, program, test, userns } from "../helpers/need.ts";
import { eventually, running } from "../helpers/processes.ts";
import { Pty, type PtyOptions, PYTHON, shell } from "../helpers/pty.ts";
import { ordinaryTmp } from "../helpers/user.ts";

const needs = [ordinaryUser, userns, program(PYTHON), program("bash")];
const CTRL_C = "\x03", CTRL_D = "\x04", CTRL_Z = "\x1a";

/** An interactive shell in which $C starts a sandbox; it is closed when the body is done. */
async function session(body: (pty: Pty) => Promise<void>, options: PtyOptions = {}): Promise<void> {
  const pty = await shell({ cwd: ordinaryTmp(), ...options, env: { C: executable(), ...options.env } });
  try {
    await body(pty);
  } finally {
    await pty.close();
  }
}

/** Runs a command line on a terminal of its own and returns all that appeared. */
async function alone(line: string): Promise<string> {
  const pty = new Pty(["sh", "-c", line], { cwd: ordinaryTmp(), env: { C: executable() } });
  await pty.expect(/the end/);
  await pty.close();
  return pty.seen;
}

const LOOP = "while :; do sleep 0.1; done";

test("Ctrl-C reaches the target and not the shell around it", { needs }, () =>
  session(async (pty) => {
    await pty.type(`$C isolate -- sh -c 'trap "echo got-$((40+2)); exit 3" INT; echo r$((1))y; ${LOOP}'\n`);
    await pty.expect(/r1y/);
    await pty.type(CTRL_C);
    await pty.expect(/got-42/);
    await pty.type("echo status=$?\n");
    await pty.expect(/status=3/);
    await pty.type(`$C isolate -- sh -c 'echo r$((2))y; ${LOOP}'\n`);
    await pty.expect(/r2y/);
    await pty.type(CTRL_C);
    await pty.expect(/@ /);
    await pty.type("echo status=$?\n");
    await pty.expect(/status=130/);
  }));

test("Ctrl-Z stops, fg goes on, with the terminal", { needs }, () =>
  session(async (pty) => {
    await pty.type("$C isolate -- sh -c 'echo r$((1))y; exec cat -E'\n");
    await pty.expect(/r1y/);
    await pty.type("one\n");
    await pty.expect(/one\$/);
    await pty.type(CTRL_Z);
    await pty.expect(/Stopped.*isolate/);
    await pty.type("echo sum=$((6*7))\n");
    await pty.expect(/sum=42/);
    await pty.type("fg\n");
    await pty.expect(/exec cat -E/);
    await pty.type("two\n");
    await pty.expect(/two\$/);
    await pty.type(CTRL_D);
    await pty.expect(/@ /);
    await pty.type("echo status=$?\n");
    await pty.expect(/status=0/);
  }));

test(
  "bg goes on without the terminal, and its end takes the terminal from nobody",
  { needs },
  () =>
    session(async (pty) => {
      // Not dash: it starts programs by vfork(2), and one that is stopped before its exec keeps the shell from stopping.
      await pty.type("$C isolate -- bash -c 'echo r$((1))y; while ! test -e go; do sleep 0.1; done'\n");
      await pty.expect(/r1y/);
      await pty.type(CTRL_Z);
      await pty.expect(/Stopped/);
      await pty.type("bg\n");
      await pty.expect(/isolate[^\r]*&/);
      await pty.type("echo sum=$((6*7))\n");
      await pty.expect(/sum=42/);
      await pty.type("touch go; wait; echo waited$((1))\n");
      await pty.expect(/waited1/);
      // A shell that has lost the terminal reads no more.
      await pty.type("echo sum=$((7*7))\n");
      await pty.expect(/sum=49/);
    }),
);

test(
  "started in the background it stops when it reads, and fg lets it",
  { needs },
  () =>
    session(async (pty) => {
      await pty.type("$C isolate -- cat -E &\n");
      await pty.expect(/\[1\]/);
      await pty.type("\n");
      await eventually("the job to stop", () => {
        return pty.family().find((one) => one.comm === "cordon-monitor" && one.state === "T");
      });
      await pty.type("fg\n");
      await pty.expect(/isolate -- cat -E/);
      await pty.type("line\n");
      await pty.expect(/line\$/);
      await pty.type(CTRL_D);
      await pty.expect(/@ /);
    }),
);

test(
  "a script that waits for it stops with it, and the shell gets its terminal",
  { needs },
  () =>
    session(async (pty) => {
      await pty.type("sh -c '$C isolate -- sh -c \"echo r1\\y; exec cat -E\"; echo after$((1))'\n");
      await pty.expect(/r1y/);
      await pty.type(CTRL_Z);
      await pty.expect(/Stopped/);
      await pty.type("echo sum=$((6*7))\n");
      await pty.expect(/sum=42/);
      await pty.type("fg\n");
      await pty.type("line\n");
      await pty.expect(/line\$/);
      await pty.type(CTRL_D);
      await pty.expect(/after1/);
    }),
);

test("the window's size and its changes arrive", { needs }, () =>
  session(async (pty) => {
    await pty.resize(33, 111);
    await pty.type(`$C isolate -- sh -c 'trap "stty size" WINCH; stty size; echo r$((1))y; ${LOOP}'\n`);
    await pty.expect(/33 111/);
    await pty.expect(/r1y/);
    await pty.resize(41, 99);
    await pty.expect(/41 99/);
    await pty.type(CTRL_C);
    await pty.expect(/@ /);
  }));

test("vi edits a file, also after Ctrl-Z and fg", { needs: [...needs, program("vi")] }, async () => {
  const cwd = ordinaryTmp();
  await session(async (pty) => {
    await pty.type("TERM=xterm $C isolate -- vi -u NONE text\n");
    await pty.expect(/text.*\[New\]|"text"/s);
    await pty.type("ihello\x1b");
    await pty.type(CTRL_Z);
    await pty.expect(/Stopped/);
    await pty.type("fg\n");
    await pty.expect(/hello/);
    await pty.type("A world\x1b:wq\n");
    await pty.expect(/@ /);
    await pty.type("echo status=$?\n");
    await pty.expect(/status=0/);
  }, { cwd });
  assert.equal(Deno.readTextFileSync(`${cwd}/text`), "hello world\n");
});

test("a shell inside has job control of its own", { needs }, () =>
  session(async (pty) => {
    await pty.type("$C isolate --env PS1='inner> ' -- bash --norc --noprofile -i\n");
    await pty.expect(/inner> $/);
    await pty.type("cat -E\n");
    await pty.type("one\n");
    await pty.expect(/one\$/);
    await pty.type(CTRL_Z);
    await pty.expect(/Stopped/);
    await pty.type("PS1='deep> ' bash --norc --noprofile -i\n");
    await pty.expect(/\ndeep> $/);
    await pty.type("sh -c 'echo r$((2))y; exec sleep 1000'\n");
    await pty.expect(/r2y/);
    await pty.type(CTRL_C);
    await pty.expect(/deep> $/);
    await pty.type("exit\n");
    await pty.expect(/inner> $/);
    await pty.type("fg\n");
    await pty.expect(/cat -E/);
    await pty.type("two\n");
    await pty.expect(/two\$/);
    await pty.type(CTRL_D);
    await pty.expect(/inner> $/);
    await pty.type("exit 5\n");
    await pty.expect(/@ $/);
    await pty.type("echo status=$?\n");
    await pty.expect(/status=5/);
    assert.doesNotMatch(pty.seen, /no job control|cannot set terminal/);
  }));

test("pipelines: each part in a sandbox, ended together", { needs }, () =>
  session(async (pty) => {
    await pty.type("echo word | $C isolate -- cat | $C isolate -- tr a-z A-Z\n");
    await pty.expect(/WORD/);
    await pty.type("$C isolate -- seq 1000000 | head -n 1; echo status=${PIPESTATUS[0]}\n");
    await pty.expect(/\n1\r\n.*status=141/s);
    await pty.type(`$C isolate -- sh -c 'echo r$((1))y >&2; ${LOOP}' | $C isolate -- cat\n`);
    await pty.expect(/r1y/);
    await pty.type(CTRL_C);
    await pty.expect(/@ /);
    await pty.type("echo statuses=${PIPESTATUS[*]}\n");
    await pty.expect(/statuses=130 130/);
  }));

test("kill(0, 9) on a terminal reaches neither the shell nor its neighbours", { needs }, async () => {
  // What it guards against: without a group of its own the target takes the script around it along.
  const pty = new Pty(["sh", "-c", "sh -c 'kill -9 0'; echo the end"], { cwd: ordinaryTmp() });
  assert.equal(await pty.ended(), 256 - 9);
  await pty.close();
  assert.doesNotMatch(pty.seen, /the end/);
  assert.match(await alone("$C isolate -- sh -c 'kill -9 0'; echo status=$?; echo the end"), /status=137/);
});

const RAW = "stty raw -echo";

test("terminal modes come back when the target dies in raw mode", { needs }, async () => {
  const without = await alone(`sh -c '${RAW}; kill -9 $$'; stty -a; echo the end`);
  assert.match(without, /-icanon/, "the fault is there without cordon");
  const seen = await alone(`$C isolate -- sh -c '${RAW}; kill -9 $$'; stty -a; echo the end`);
  assert.match(seen, /[^-]icanon/);
  assert.match(seen, /[^-]echo /);
});

test("terminal modes come back at the time limit", { needs }, async () => {
  const seen = await alone(
    `$C isolate --time 0.5 -- sh -c '${RAW}; sleep 100'; echo status=$?; stty -a; echo the end`,
  );
  assert.match(seen, /status=124/);
  assert.match(seen, /[^-]icanon/);
});

test("terminal modes come back when init is killed, which is told", { needs }, () =>
  session(async (pty) => {
    await pty.type(`sh -c '$C isolate -- sh -c "${RAW}; echo r1\\y; sleep 1000"; echo status=$?; stty -a'\n`);
    await pty.expect(/r1y/);
    const init = pty.family().find((one) => one.comm === "cordon-init");
    assert.ok(init);
    Deno.kill(init.pid, "SIGKILL");
    await pty.expect(/init was killed from outside/);
    await pty.expect(/status=125/);
    await pty.expect(/[^-]icanon/);
  }));

test(
  "the target has a foreground group of its own, the monitor stays in the caller's",
  { needs },
  () =>
    session(async (pty) => {
      await pty.type("$C isolate -- sh -c 'echo r$((1))y; exec sleep 1234.5' \n");
      await pty.expect(/r1y/);
      const target = await eventually("the target", () => pty.family().find((one) => one.comm === "sleep"));
      const init = running(target.parent);
      const monitor = init && running(init.parent);
      assert.ok(init && monitor);
      assert.equal(target.group, target.pid);
      assert.equal(target.foreground, target.pid);
      assert.equal(monitor.group, monitor.pid);
      assert.notEqual(init.group, monitor.group);
      assert.equal(target.session, monitor.session);
      await pty.type(CTRL_C);
      await pty.expect(/@ /);
    }),
);

test("when the terminal hangs up nothing is left", { needs }, async () => {
  const pty = await shell({ env: { C: executable() } });
  await pty.type("$C isolate -- sh -c 'echo r$((1))y; exec sleep 2345.5'\n");
  await pty.expect(/r1y/);
  const target = await eventually("the target", () => pty.family().find((one) => one.comm === "sleep"));
  await pty.close();
  await eventually("the end of the target", () => running(target.pid)?.comm !== "sleep");
});

test(
  "a saved sandbox has the terminal when it is started on one, and none elsewhere",
  { needs },
  () =>
    session(async (pty) => {
      await pty.type("$C isolate --emit image -- sh -c 'tty; echo r$((1))y; exec cat -E'\n");
      await pty.expect(/@ $/);
      await pty.type("./image\n");
      await pty.expect(/\/dev\/(pts\/\d+|console)\r\nr1y/);
      await pty.type(CTRL_Z);
      await pty.expect(/Stopped/);
      await pty.type("fg\n");
      await pty.expect(/image/);
      await pty.type("line\n");
      await pty.expect(/line\$/);
      await pty.type(CTRL_C);
      await pty.expect(/@ $/);
      await pty.type("echo word | ./image | cat\n");
      await pty.expect(/not a tty\r\nr1y\r\nword\$/);
    }),
);
