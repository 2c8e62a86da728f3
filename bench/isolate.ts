/**
 * How long `cordon isolate true` takes, and what stays in memory, beside the ways that exist to do the same: rounds in
 * which each takes its turn, median and spread, and whether what was promised is reached. Run it by `bench/isolate`.
 */
import { dirname } from "node:path";
import { type IsolateOptions, readIsolate } from "../cmd/isolate.options.ts";
import { ISOLATE_TABLE } from "../cmd/isolate.table.ts";
import { toSpec } from "../cmd/isolate.ts";
import { parseCommand } from "../lib/cli/parse.ts";
import { planRoot } from "../lib/engine/namespaces/root.ts";
import { defaultFilter } from "../lib/engine/namespaces/seccomp.ts";
import type { Step } from "../lib/engine/namespaces/steps.ts";
import { hostFs } from "../lib/host/fs.ts";
import { gatherHost } from "../lib/host/host.ts";
import { median, table, type Timing } from "./table.ts";

const CORDON = new URL("../build/cordon", import.meta.url).pathname;
const ROUNDS = Number(Deno.args[0] ?? 15);
const MANY = 2000;

const work = Deno.makeTempDirSync({ prefix: "cordon-bench-" });
try {
  Deno.chdir(work);
  await starts();
  await manyMounts();
  await resident();
} finally {
  Deno.chdir("/");
  Deno.removeSync(work, { recursive: true });
}

async function starts(): Promise<void> {
  emit(`${work}/emitted`, ["--", "true"]);
  const ways: Record<string, [command: string, runs: number]> = {
    "bare exec": ["/bin/true", 20],
    "unshare, all namespaces and /proc": ["unshare -Urmpfniu --mount-proc true", 20],
    "emitted image": [`${work}/emitted`, 20],
    "libc by FFI, compiled, no more": [compiledFfi(), 5],
    "cordon isolate": [`${CORDON} isolate -- true`, 5],
  };
  if (hostFs.stat("/usr/bin/bwrap")) ways["bwrap, the same set-up"] = [`${bwrap()} true`, 20];
  const timings = await interleaved(ways);
  console.log(table(timings));
  const of = (name: string) => timings.find((timing) => timing.name === name)?.ms ?? [];
  promise("emitted image / bwrap", ratio(of("emitted image"), of("bwrap, the same set-up")), 0.5);
  promise(
    "cordon isolate / libc by FFI",
    ratio(of("cordon isolate"), of("libc by FFI, compiled, no more")),
    1.7,
  );
}

async function manyMounts(): Promise<void> {
  const names = Array.from({ length: MANY }, (_, i) => `many/${i}`);
  for (const name of names) Deno.mkdirSync(`${work}/${name}`, { recursive: true });
  const mounts = names.map((name) => `ro:/${name}=${work}/${name}`).join(" ");
  emit(`${work}/many-emitted`, ["-m", mounts, "--", "true"]);
  Deno.writeTextFileSync(`${work}/mounts`, mounts);
  const binds = names.map((name) => `--ro-bind ${work}/${name} /${name}`).join(" ");
  Deno.writeTextFileSync(`${work}/binds`, binds);
  const ways: Record<string, [string, number]> = {
    [`cordon isolate, ${MANY} binds`]: [`${CORDON} isolate -m "$(cat mounts)" -- true`, 1],
    [`emitted image, ${MANY} binds`]: [`${work}/many-emitted`, 1],
  };
  if (hostFs.stat("/usr/bin/bwrap")) {
    ways[`bwrap, ${MANY} binds`] = [`${bwrap()} $(cat binds) true`, 1];
  }
  const timings = await interleaved(ways, 3);
  console.log(table(timings));
  promise(`cordon isolate, ${MANY} binds, seconds`, median(timings[0]!.ms) / 1000, 1);
}

/** Sum of Pss (proc_pid_smaps(5)) of everything but the target. */
async function resident(): Promise<void> {
  const child = new Deno.Command(CORDON, {
    args: ["isolate", "--", "sleep", "60"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const processes = [child.pid, ...childrenOf(child.pid)];
  const kib = processes.map((pid) => {
    const name = Deno.readTextFileSync(`/proc/${pid}/comm`).trim();
    const pss = Number(/^Pss:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`))?.[1]);
    console.log(`${name} ${pss} KB`);
    return pss;
  });
  promise("resident beside the target, KB", kib.reduce((a, b) => a + b), 100);
  child.kill("SIGTERM");
  await child.status;
}

function childrenOf(pid: number): number[] {
  return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
}

/** Median of the ratios of each round: what else the machine did in it slowed down both. */
function ratio(these: number[], those: number[]): number {
  return median(these.map((ms, round) => ms / (those[round] ?? NaN)));
}

function promise(what: string, value: number, most: number): void {
  if (Number.isNaN(value)) console.log(`${what}: not measured here`);
  else console.log(`${what}: ${value.toFixed(2)}, at most ${most}: ${value <= most ? "yes" : "NO"}`);
}

function emit(file: string, rest: string[]): void {
  run(CORDON, ["isolate", "--emit", file, ...rest]);
}

/** A program that loads libc and does nothing with it: what the runtime alone costs. */
function compiledFfi(): string {
  const source = `${work}/ffi.js`, out = `${work}/ffi`;
  Deno.writeTextFileSync(
    source,
    'Deno.dlopen("libc.so.6", { getpid: { parameters: [], result: "i32" } }).symbols.getpid();\n',
  );
  const own = dirname(Deno.execPath());
  const base = ["denort", "denort-registry"].map((name) => `${own}/${name}`).find((path) =>
    hostFs.stat(path)
  );
  const args = ["compile", "-q", "-A", "--no-check", "--no-code-cache", "--no-config", "-o", out, source];
  run(Deno.execPath(), args, base === undefined ? {} : { DENORT_BIN: base });
  return out;
}

function run(program: string, args: string[], env: Record<string, string> = {}): void {
  const { success, stderr } = new Deno.Command(program, { args, env }).outputSync();
  if (!success) throw new Error(`${program} ${args[0]} failed: ${new TextDecoder().decode(stderr)}`);
}

/** bwrap's command line for the very steps that cordon takes, for a shell. */
function bwrap(): string {
  const parsed = parseCommand(ISOLATE_TABLE, ["--", "true"]);
  if (!("parsed" in parsed)) throw new Error("the command line asks for help");
  const options: IsolateOptions = readIsolate(parsed.parsed, {});
  const host = gatherHost();
  const steps = planRoot(toSpec(options, host), hostFs);
  const filter = `${work}/filter`;
  Deno.writeFileSync(filter, defaultFilter(host.arch, { nested: false }));
  let fd = 3;
  const redirections = [`${fd}<${filter}`];
  const args = [
    "--unshare-user --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try",
    `--die-with-parent --new-session --hostname cordon --cap-drop ALL --seccomp ${fd} --dev /dev`,
    ...steps.filter((step) => !placeOf(step).startsWith("/dev")).map((step) => {
      switch (step.do) {
        case "directory":
          return `--perms ${step.mode.toString(8).padStart(4, "0")} --dir ${step.path}`;
        case "symlink":
          return `--symlink ${step.target} ${step.path}`;
        case "bind":
          return `${step.readOnly ? "--ro-bind" : "--bind"} ${step.source} ${step.dest}`;
        case "proc":
          return `--proc ${step.dest}`;
        case "file": {
          if (step.content === "") return ""; // a place to mount on: bwrap makes those itself
          const file = `${work}/file${++fd}`;
          Deno.writeTextFileSync(file, step.content);
          redirections.push(`${fd}<${file}`);
          return `--file ${fd} ${step.path}`;
        }
        default:
          throw new Error(`no option of bwrap is known for ${step.do}`);
      }
    }),
    `--chdir ${Deno.cwd()}`,
  ];
  return `${redirections.join(" ")} bwrap ${args.join(" ")}`;
}

function placeOf(step: Step): string {
  return "path" in step ? step.path : "dest" in step ? step.dest : "/";
}

/** Each command in its turn, `runs` times in a row by a shell loop, for so many rounds and one that is not counted. */
async function interleaved(
  ways: Record<string, [command: string, runs: number]>,
  rounds = ROUNDS,
): Promise<Timing[]> {
  const timings = Object.keys(ways).map((name): Timing => ({ name, ms: [] }));
  for (let round = rounds > 3 ? -1 : 0; round < rounds; round++) {
    for (const { name, ms } of timings) {
      const [command, runs] = ways[name]!;
      const script = `n=${runs}; while [ $n -gt 0 ]; do ${command} || exit; n=$((n-1)); done`;
      const start = performance.now();
      const { code } = await new Deno.Command("sh", {
        args: ["-c", script],
        stdin: "null",
        stdout: "null",
        stderr: "inherit",
      }).output();
      if (code !== 0) throw new Error(`${name} failed with status ${code}`);
      if (round >= 0) ms.push((performance.now() - start) / runs);
    }
  }
  return timings;
}
