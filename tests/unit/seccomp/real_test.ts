/** The built-in filter in real processes: attacks without and with it, and ordinary programs under it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { syscallNumbers } from "../../../ffi/seccomp-syscalls.ts";
import { defaultFilter } from "../../../lib/engine/namespaces/seccomp.ts";
import { ordinaryUser, program, test, userns } from "../../helpers/need.ts";
import { asUser, ordinaryTmp } from "../../helpers/user.ts";

const ARCH = Deno.build.arch;
const SCRIPT = new URL("under_filter.py", import.meta.url);

interface Stage {
  dir: string;
  script: string;
  filter: string;
  numbers: string;
}

/** The script and the filter where the ordinary user can read them. */
function stage(nested = false): Stage {
  const dir = ordinaryTmp();
  const at = {
    dir,
    script: join(dir, "under_filter.py"),
    filter: join(dir, "filter"),
    numbers: join(dir, "numbers"),
  };
  Deno.writeTextFileSync(at.script, Deno.readTextFileSync(SCRIPT));
  Deno.writeFileSync(at.filter, defaultFilter(ARCH, { nested }));
  Deno.writeTextFileSync(at.numbers, JSON.stringify(Object.fromEntries(syscallNumbers(ARCH))));
  return at;
}

async function attack(filter: string, { script, numbers }: Stage): Promise<Record<string, number | string>> {
  const { code, stdout, stderr } = await asUser(["python3", script, "attacks", filter, numbers]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const EPERM = 1;
const ENOSYS = 38;
const EPROTONOSUPPORT = 93;
const EAFNOSUPPORT = 97;

/** What each attack meets under the filter. */
const REFUSALS: Record<number, readonly string[]> = {
  [EPERM]: [
    ...[
      "clone user",
      "clone user, high bits",
      "clone net",
      "unshare user",
      "unshare net",
      "unshare user, high bits",
    ],
    ...[
      "setns",
      "chroot",
      "pivot_root",
      "mount",
      "umount2",
      "open_tree",
      "open_tree_attr",
      "move_mount",
      "fsopen",
    ],
    ...[
      "fsconfig",
      "fsmount",
      "fspick",
      "mount_setattr",
      "sethostname",
      "setdomainname",
      "bpf",
      "perf_event_open",
    ],
    ...["userfaultfd", "fanotify_init", "kexec_load", "kexec_file_load", "init_module", "finit_module"],
    ...["delete_module", "add_key", "request_key", "keyctl", "syslog", "open_by_handle_at", "quotactl"],
    ...["quotactl_fd", "acct", "swapon", "swapoff", "reboot", "settimeofday", "clock_settime", "vhangup"],
    ...["personality", "personality, high bits", "TIOCSTI", "TIOCSTI, high bits", "TIOCLINUX"],
    ...(ARCH === "x86_64" ? ["iopl", "ioperm"] : []),
  ],
  [ENOSYS]: [
    ...["clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "a call of the future"],
    ...(ARCH === "x86_64" ? ["modify_ldt", "sysfs", "ustat", "x32", "32-bit mount", "32-bit getpid"] : []),
  ],
  [EAFNOSUPPORT]: [
    ...["packet socket", "packet socket, high bits", "packet socket, old spelling"],
    ...[
      "packet socket, old spelling, close on exec",
      "vsock socket",
      "algorithm socket",
      "packet socket pair",
    ],
  ],
  [EPROTONOSUPPORT]: ["netfilter socket", "netfilter socket, high bits"],
};

/** Succeed on every kernel that has user namespaces when no filter is there: it is the filter that stops them. */
const SUCCEED_WITHOUT = [
  ...[
    "clone user",
    "clone user, high bits",
    "clone net",
    "unshare user",
    "unshare net",
    "chroot",
    "mount",
    "fsopen",
  ],
  ...["sethostname", "setdomainname", "personality", "personality, high bits", "packet socket"],
  ...[
    "packet socket, high bits",
    "packet socket, old spelling",
    "packet socket, old spelling, close on exec",
  ],
];

/** Fail there for another reason, which shows that the call was made. */
const REACH_THE_KERNEL = [
  ...[
    "clone3",
    "unshare user, high bits",
    "setns",
    "pivot_root",
    "umount2",
    "move_mount",
    "fsconfig",
    "fsmount",
  ],
  ...["mount_setattr", "clock_settime", "TIOCLINUX", "packet socket pair"],
];

test(
  "seccomp filter: each attack gets further without it",
  { needs: [userns, program("python3")] },
  async () => {
    const at = stage();
    const outside = await attack("-", at);
    const inside = await attack(at.filter, at);
    const expected: Record<string, number> = {};
    for (const [errno, names] of Object.entries(REFUSALS)) {
      for (const name of names) {
        expected[name] = Number(errno);
      }
    }
    for (const name of Object.keys(inside)) if (name.startsWith("fine: ")) expected[name] = 0;
    assert.deepEqual(inside, expected);
    for (const name of SUCCEED_WITHOUT) assert.equal(outside[name], 0, name);
    for (const name of REACH_THE_KERNEL) assert.notEqual(outside[name], inside[name], name);
    for (const [name, result] of Object.entries(outside)) {
      assert.equal(typeof result, "number", `${name}: ${result}`);
      if (name.startsWith("fine: ")) assert.equal(result, 0, name);
    }
  },
);

test(
  "seccomp filter: a sandbox can be built under the nested one",
  { needs: [userns, program("python3")] },
  async () => {
    const at = stage(true);
    const inside = await attack(at.filter, at);
    for (
      const name of ["clone user", "clone net", "unshare user", "chroot", "mount", "fsopen", "sethostname"]
    ) {
      assert.equal(inside[name], 0, name);
    }
    for (
      const name of [
        "bpf",
        "keyctl",
        "userfaultfd",
        "TIOCSTI",
        "TIOCSTI, high bits",
        "reboot",
        "perf_event_open",
      ]
    ) {
      assert.equal(inside[name], EPERM, name);
    }
    for (const name of ["clone3", "io_uring_setup"]) assert.equal(inside[name], ENOSYS, name);
    assert.equal(inside["packet socket"], EAFNOSUPPORT);
  },
);

/** Runs `argv` under the built-in filter in a directory that holds `files`. */
async function underFilter(argv: readonly string[], files: Record<string, string> = {}): Promise<string> {
  const { dir, script, filter } = stage();
  for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(join(dir, name), text);
  const { code, stdout, stderr } = await asUser(["python3", script, "exec", filter, ...argv], {
    cwd: dir,
    env: { HOME: dir, TMPDIR: dir },
    deadline: 120_000,
  });
  assert.equal(code, 0, stderr);
  return stdout;
}

const NEEDS = [ordinaryUser, program("python3")];

test("seccomp filter: bash runs under it", { needs: [...NEEDS, program("bash")] }, async () => {
  const script = `set -euo pipefail
    grep Seccomp: /proc/self/status | tr -d '\\t'
    seq 5 | sort -r | head -n 2 | paste -sd, ; sleep 0.01 & wait $!
    diff <(echo a) <(echo a) && (trap 'echo trapped' USR1; kill -USR1 $BASHPID)
    cat <<< here; mkfifo pipe; echo through > pipe & cat pipe; wait`;
  assert.equal(await underFilter(["bash", "-c", script]), "Seccomp:2\n5,4\ntrapped\nhere\nthrough\n");
});

test(
  "seccomp filter: Python with threads, processes and sockets runs under it",
  { needs: NEEDS },
  async () => {
    const script = `
import asyncio, concurrent.futures, multiprocessing, socket, subprocess, tempfile, threading
if __name__ == "__main__":
    found = []
    threads = [threading.Thread(target=found.append, args=(i,)) for i in range(8)]
    [t.start() for t in threads]; [t.join() for t in threads]
    print(sorted(found))
    with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2]))
    with concurrent.futures.ThreadPoolExecutor() as pool: print(sum(pool.map(abs, range(10))))
    print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname()); client.sendall(b"hello")
    print(server.accept()[0].recv(5))
    print("lo" in [name for _, name in socket.if_nameindex()], len(socket.getaddrinfo("127.0.0.1", 80)) > 0)
    async def later(): await asyncio.sleep(0.01); return "later"
    print(asyncio.run(later()))
    with tempfile.TemporaryFile() as file: print(file.write(b"abc"))
`;
    assert.equal(
      await underFilter(["python3", "main.py"], { "main.py": script }),
      "[0, 1, 2, 3, 4, 5, 6, 7]\n[1, 2]\n45\nchild\nb'hello'\nTrue True\nlater\n3\n",
    );
  },
);

test("seccomp filter: Node runs under it", { needs: [...NEEDS, program("node")] }, async () => {
  const script = `
const { Worker } = require("node:worker_threads");
const { execFileSync } = require("node:child_process");
const { readFile } = require("node:fs/promises");
const worker = new Worker("require('node:worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
worker.on("message", async (answer) => {
  console.log(answer, String(execFileSync("echo", ["child"])).trim(), (await readFile("data", "utf8")).length);
  const server = require("node:http").createServer((_, reply) => reply.end("served"));
  server.listen(0, "127.0.0.1", async () => {
    console.log(await (await fetch("http://127.0.0.1:" + server.address().port)).text());
    process.exit(0);
  });
});`;
  assert.equal(
    await underFilter(["node", "main.js"], { "main.js": script, data: "12345" }),
    "42 child 5\nserved\n",
  );
});

test("seccomp filter: Java compiles and runs under it", { needs: [...NEEDS, program("javac")] }, async () => {
  const source = `
import java.util.stream.IntStream;
public class Main {
  public static void main(String[] args) throws Exception {
    Thread thread = new Thread(() -> System.out.println("thread"));
    thread.start();
    thread.join();
    System.out.println(IntStream.rangeClosed(1, 1000).parallel().sum());
    Process child = new ProcessBuilder("echo", "child").inheritIO().start();
    System.exit(child.waitFor());
  }
}`;
  assert.equal(
    await underFilter(["sh", "-c", "javac Main.java && java Main"], { "Main.java": source }),
    "thread\n500500\nchild\n",
  );
});

test(
  "seccomp filter: gcc compiles and its program runs under it",
  { needs: [...NEEDS, program("gcc")] },
  async () => {
    const source = `
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static void *work(void *number) { return (void *)((long)number * 2); }
int main(void) {
  pthread_t thread; void *result;
  pthread_create(&thread, 0, work, (void *)21L);
  pthread_join(thread, &result);
  printf("%ld\\n", (long)result);
  fflush(stdout);
  return system("echo child");
}`;
    const build = "gcc -O2 -pthread main.c -o main && ./main";
    assert.equal(await underFilter(["sh", "-c", build], { "main.c": source }), "42\nchild\n");
  },
);
