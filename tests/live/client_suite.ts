/** What the Engine API client has to do with every real engine. Run by docker_client_test.ts and podman_client_test.ts. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { getArchive, putArchive, statArchive } from "../../lib/docker/archive.ts";
import {
  attachContainer,
  type ContainerConfig,
  containerLogs,
  createContainer,
  inspectContainer,
  killContainer,
  listContainers,
  removeContainer,
  resizeContainer,
  startContainer,
  stopContainer,
  waitContainer,
} from "../../lib/docker/containers.ts";
import { ConflictError, type EngineError, NotFoundError } from "../../lib/docker/errors.ts";
import { watchEvents } from "../../lib/docker/events.ts";
import { createExec, inspectExec, startExec } from "../../lib/docker/exec.ts";
import type { Output } from "../../lib/docker/frames.ts";
import { inspectImage, listImages, removeImage, tagImage } from "../../lib/docker/images.ts";
import { removeByLabel, runContainer, type RunOptions, type RunResult } from "../../lib/docker/lifecycle.ts";
import { type Engine, info, NEWEST_API, version } from "../../lib/docker/system.ts";
import { readTar, writeTar } from "../../lib/docker/tar.ts";
import { IMAGE } from "../helpers/engines.ts";

export interface Ran extends RunResult {
  out: string;
  err: string;
}

/** A container of the test image without network. */
export function config(command: string[], more: Partial<ContainerConfig> = {}): ContainerConfig {
  return { Image: IMAGE, Cmd: command, ...more, HostConfig: { NetworkMode: "none", ...more.HostConfig } };
}

export async function run(engine: Engine, spec: ContainerConfig, options: RunOptions = {}): Promise<Ran> {
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  const streams = {
    stdout: (bytes: Uint8Array) => void out.push(bytes),
    stderr: (bytes: Uint8Array) => void err.push(bytes),
    ...options.streams,
  };
  const result = await runContainer(engine, spec, { ...options, streams });
  return { ...result, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
}

const sh = (script: string) => ["sh", "-c", script];

async function textOf(output: AsyncIterable<Output>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const { bytes } of output) parts.push(bytes);
  return Buffer.concat(parts).toString();
}

/** Every part as a step, each leaving no container behind. */
export async function clientSuite(t: Deno.TestContext, engine: Engine): Promise<void> {
  for (const [name, body] of Object.entries(STEPS)) {
    await t.step(name, async () => {
      await body(engine);
      assert.deepEqual((await listContainers(engine)).map(({ Names }) => Names), [], "left behind");
    });
  }
}

const STEPS: Record<string, (engine: Engine) => Promise<void>> = {
  "it says what it is": async (engine) => {
    const { ApiVersion } = await version(engine);
    assert.equal(typeof ApiVersion, "string");
    assert.equal(typeof (await info(engine)).Driver, "string");
  },

  "output, error output and status come back": async (engine) => {
    const ran = await run(engine, config(sh('echo "$A"; echo err >&2; exit 7'), { Env: ["A=ü"] }));
    assert.deepEqual([ran.out, ran.err, ran.exitCode, ran.oomKilled], ["ü\n", "err\n", 7, false]);
  },

  "the first output of a quick process is never lost": async (engine) => {
    const runs = Array.from({ length: 8 }, (_, i) => run(engine, config(["echo", `${i}`])));
    const outs = (await Promise.all(runs)).map(({ out }) => out);
    // Podman 4 answers an attach before its monitor has taken it; on a busy machine it may drop what comes first.
    const lost = engine.name === "podman" ? outs.indexOf("") : -1;
    const wanted = [..."01234567"].map((i) => `${i}\n`);
    assert.deepEqual(outs.toSpliced(lost, lost < 0 ? 0 : 1), wanted.toSpliced(lost, lost < 0 ? 0 : 1));
  },

  "a failed start has the status of its cause": async (engine) => {
    const cases: [Partial<ContainerConfig>, number | undefined][] = [
      [{ Cmd: ["nope"] }, 127],
      [{ Cmd: ["/nope"] }, 127],
      [{ Cmd: ["/etc"] }, 126],
      [{ User: "nobody-here" }, 125],
    ];
    for (const [more, status] of cases) {
      await assert.rejects(run(engine, config(["true"], more)), (error: EngineError) => {
        assert.equal(error.exit, status, `${error.message}: ${error.why}`);
        return true;
      });
    }
  },

  "a missing image is told apart": async (engine) => {
    const missing = { ...config(["true"]), Image: "localhost/absent:1" };
    await assert.rejects(run(engine, missing), (error: EngineError) => error instanceof NotFoundError);
    await assert.rejects(
      inspectImage(engine, "localhost/absent:1"),
      (error: EngineError) => error instanceof NotFoundError,
    );
  },

  "a megabyte goes through stdin and comes back after the half-close": async (engine) => {
    const sent = Buffer.alloc(1 << 20, "0123456789abcde\n");
    const pieces = [sent.subarray(0, 1), sent.subarray(1, 70_000), sent.subarray(70_000)];
    const ran = await run(engine, config(["sh", "-c", "cat; echo end >&2"]), {
      streams: { stdin: ReadableStream.from(pieces) },
    });
    assert.equal(ran.out.length, sent.length);
    assert.equal(ran.out, sent.toString());
    assert.equal(ran.err, "end\n");
  },

  "a process that does not read its stdin ends all the same": async (engine) => {
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65536)),
    });
    // Its output is seen before it ends: Podman may lose the last of it to the error that the unread stdin is.
    let out = "", id = "";
    const ran = await run(engine, config(sh("trap 'exit 7' TERM; echo done; while :; do sleep 0.05; done")), {
      onCreated: (created) => void (id = created),
      streams: {
        stdin: endless,
        stdout: async (piece) => {
          out += new TextDecoder().decode(piece);
          if (out === "done\n") await killContainer(engine, id, { killSignal: "TERM" });
        },
      },
    });
    assert.deepEqual([out, ran.err, ran.exitCode], ["done\n", "", 7]);
  },

  "twenty megabytes of output arrive whole": async (engine) => {
    let bytes = 0;
    const stdout = (piece: Uint8Array) => void (bytes += piece.length);
    await run(engine, config(sh("head -c 20000000 /dev/zero")), { streams: { stdout } });
    assert.equal(bytes, 20_000_000);
  },

  "running out of memory is told": async (engine) => {
    const limit = { Memory: 32 << 20, MemorySwap: 32 << 20 };
    const grow = ["awk", 'BEGIN { s = "x"; while (1) s = s s }'];
    const ran = await run(engine, config(grow, { HostConfig: limit }));
    assert.equal(ran.exitCode, 137);
    // Podman 4.3 on cgroup v1 enforces the limit and never says that it did.
    const says = engine.name === "docker" || (await info(engine)).CgroupVersion === "2";
    assert.equal(ran.oomKilled, says);
  },

  "killed, stopped and cancelled containers end and go": async (engine) => {
    const killed = await run(engine, config(["sleep", "600"]), {
      onStarted: (id) => killContainer(engine, id),
    });
    assert.equal(killed.exitCode, 137);
    const stopped = await run(
      engine,
      config(sh("trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done")),
      {
        onStarted: (id) => stopContainer(engine, id, { graceSeconds: 20 }),
      },
    );
    // The signal may come before the shell has set its trap; then init's immunity makes it last its grace.
    assert.ok([5, 137].includes(stopped.exitCode), `${stopped.exitCode}`);
    const controller = new AbortController();
    const reason = new Error("cancelled");
    const cancelled = run(engine, config(["sleep", "600"]), {
      signal: controller.signal,
      onStarted: () => controller.abort(reason),
    });
    await assert.rejects(cancelled, (error) => error === reason);
  },

  "each call by itself, and what it says in the wrong state": async (engine) => {
    const { Id } = await createContainer(
      engine,
      config(sh("echo one; echo two >&2; read x; exit 3"), {
        OpenStdin: true,
        StdinOnce: true,
        AttachStdin: true,
      }),
    );
    try {
      assert.equal((await inspectContainer(engine, Id)).State.Running, false);
      const attached = await attachContainer(engine, Id, { tty: false, stdin: true });
      const waiting = await waitContainer(engine, Id, { condition: "next-exit" });
      await startContainer(engine, Id);
      await startContainer(engine, Id);
      assert.equal((await inspectContainer(engine, Id)).State.Running, true);
      await attached.write(Buffer.from("x\n"));
      assert.match(await textOf(attached.output()), /^(one\ntwo\n|two\none\n)$/);
      assert.equal((await waiting.result).StatusCode, 3);
      const again = await waitContainer(engine, Id, { condition: "not-running" });
      assert.equal((await again.result).StatusCode, 3);
      await stopContainer(engine, Id);
      await assert.rejects(killContainer(engine, Id), (error: EngineError) => error instanceof ConflictError);
      assert.match(await textOf(containerLogs(engine, Id, { tty: false })), /one\n/);
    } finally {
      assert.equal(await removeContainer(engine, Id, { force: true }), true);
    }
    assert.equal(await removeContainer(engine, Id, { force: true }), false);
    await assert.rejects(
      inspectContainer(engine, Id),
      (error: EngineError) => error instanceof NotFoundError,
    );
  },

  "a terminal has the size it is given": async (engine) => {
    let go: ReadableStreamDefaultController<Uint8Array> | undefined;
    const stdin = new ReadableStream<Uint8Array>({ start: (controller) => void (go = controller) });
    const ran = await run(engine, config(sh("read x; stty size"), { Tty: true }), {
      streams: { stdin },
      onStarted: async (id) => {
        await resizeContainer(engine, id, { rows: 33, columns: 121 });
        go?.enqueue(Buffer.from("go\n"));
      },
    });
    assert.match(ran.out, /33 121\r\n$/);
  },

  "files go in and come out": async (engine) => {
    const files = writeTar([{
      name: "in.txt",
      type: "file",
      mode: 0o600,
      uid: 12,
      gid: 34,
      data: Buffer.from("inside"),
    }]);
    let back = "";
    const ran = await run(
      engine,
      config(sh("stat -c '%a %u %g' /tmp/in.txt; cp /tmp/in.txt /tmp/out.txt; sleep 600")),
      {
        onCreated: (id) => putArchive(engine, id, { path: "/tmp", tar: files }),
        onStarted: async (id) => {
          const { size, name } = await untilFound(() => statArchive(engine, id, { path: "/tmp/out.txt" }));
          assert.deepEqual([size, name], [6, "out.txt"]);
          const parts: Uint8Array[] = [];
          for await (const part of await getArchive(engine, id, { path: "/tmp/out.txt" })) parts.push(part);
          const [entry] = readTar(Buffer.concat(parts));
          back = `${entry?.name} ${new TextDecoder().decode(entry?.data)}`;
          await killContainer(engine, id);
        },
      },
    );
    assert.equal(ran.out, "600 12 34\n");
    assert.equal(back, "out.txt inside");
  },

  "processes are executed in a running container": async (engine) => {
    await run(engine, config(["sleep", "600"]), {
      onStarted: async (id) => {
        const exec = await createExec(engine, id, {
          config: { Cmd: sh('read x; echo "$x"; exit 4'), AttachStdin: true },
        });
        const attached = await startExec(engine, exec, { tty: false });
        await attached.write(Buffer.from("said\n"));
        await attached.closeStdin();
        assert.equal(await textOf(attached.output()), "said\n");
        assert.equal((await inspectExec(engine, exec)).ExitCode, 4);
        await killContainer(engine, id);
      },
    });
  },

  "events tell a container's life": async (engine) => {
    const events = await watchEvents(engine, { filters: { type: ["container"], label: ["suite=events"] } });
    const ran = run(engine, config(["true"]), { labels: { suite: "events" } });
    const seen: string[] = [];
    for await (const { Action } of events) {
      seen.push(Action);
      if (Action === "destroy" || Action === "remove") break;
    }
    await ran;
    for (const action of ["create", "start", "die"]) assert.ok(seen.includes(action), `${action} in ${seen}`);
  },

  "containers are found and removed by label": async (engine) => {
    const make = (Labels: Record<string, string>) => createContainer(engine, config(["true"], { Labels }));
    const [a, b, c] = await Promise.all([make({ x: "1" }), make({ x: "1", keep: "" }), make({ x: "2" })]);
    assert.deepEqual((await listContainers(engine, { labels: { x: "1" } })).length, 2);
    assert.deepEqual((await listContainers(engine, { labels: { x: "" } })).length, 3);
    const keep = ({ Labels }: { Labels: Record<string, string> | null }) => "keep" in (Labels ?? {});
    assert.deepEqual(await removeByLabel(engine, { labels: { x: "1" }, keep }), [a.Id]);
    await removeContainer(engine, b.Id);
    await removeContainer(engine, c.Id);
  },

  "images are listed, named and unnamed": async (engine) => {
    await tagImage(engine, IMAGE, { name: "cordon-test/other:2" });
    const tags = (await listImages(engine)).flatMap(({ RepoTags }) => RepoTags ?? []);
    for (const name of [IMAGE, "cordon-test/other:2"]) {
      assert.ok(tags.some((tag) => tag.endsWith(name)), `${tags}`);
    }
    await removeImage(engine, "cordon-test/other:2");
    const { Config, Os } = await inspectImage(engine, IMAGE);
    assert.deepEqual([Config?.Env, Config?.Cmd, Os], [["PATH=/bin"], ["/bin/sh"], "linux"]);
  },

  "the newest version this client speaks is at least the engine's oldest": async (engine) => {
    const { MinAPIVersion = "1.0" } = await version(engine);
    assert.ok(Number(NEWEST_API.split(".")[1]) >= Number(MinAPIVersion.split(".")[1]));
  },
};

/** Asks again while the thing is not there yet. */
async function untilFound<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0;; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof NotFoundError) || tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
