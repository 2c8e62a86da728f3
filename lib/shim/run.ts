/**
 * Running a shim image. `become` replaces this process: same pid, one thread, the runtime's memory gone. The image is
 * sealed in memory, where nobody can change it between writing and executing.
 */
import { E, F, MFD, O, openFlags, SEAL } from "../../ffi/constants.ts";
import { errnoText } from "../../ffi/errno.ts";
import { lastErrno, libc, memfdCreate, vector } from "../../ffi/libc.ts";
import { CordonError } from "../errors.ts";
import { cString } from "../host/bytes.ts";

/** Room for the longer of the names that monitor and init take. */
const ARGV0 = "cordon-monitor";

/** Executes an image in this process' place. Returns only by throwing. */
export function become(image: Uint8Array<ArrayBuffer>): never {
  const fd = memoryFile(image) ?? unlinkedFile(image);
  const argv = vector([cString(ARGV0)]);
  libc().fexecve(fd, argv.vec, new Uint8Array(8));
  const errno = lastErrno();
  throw new CordonError(`Cannot execute the sandbox's program: ${errnoText(errno)}`, {
    why: `execveat(2) of ${image.length} bytes failed`,
  });
}

/**
 * Starts an image beside this process in a session of its own, with no input and no output. It inherits what is not
 * close-on-exec. When this returns, no signal to our process group reaches it any more.
 */
export function startBeside(image: Uint8Array<ArrayBuffer>): void {
  beside(image, (path) => {
    const nothing = { stdin: "null", stdout: "null", stderr: "null", clearEnv: true } as const;
    new Deno.Command(path, { ...nothing, detached: true }).spawn().unref();
  });
}

/** Runs an image beside this process to its end. Without input; its output is dropped, what it says is given back. */
export function runBeside(image: Uint8Array<ArrayBuffer>): { status: number; said: string } {
  return beside(image, (path) => {
    const command = new Deno.Command(path, {
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      clearEnv: true,
    });
    const { code, stderr } = command.outputSync();
    return { status: code, said: new TextDecoder().decode(stderr) };
  });
}

/** Starts an image beside this process, with the streams that the options say. */
export function startImage(
  image: Uint8Array<ArrayBuffer>,
  options: Omit<Deno.CommandOptions, "args">,
): Deno.ChildProcess {
  return beside(image, (path) => new Deno.Command(path, options).spawn());
}

function beside<T>(image: Uint8Array<ArrayBuffer>, start: (path: string) => T): T {
  const fd = memoryFile(image) ?? unlinkedFile(image);
  try {
    return start(`/proc/self/fd/${fd}`);
  } finally {
    libc().close(fd);
  }
}

/** A sealed memfd, executable; undefined where the system forbids executing those (vm.memfd_noexec, memfd_create(2)). */
function memoryFile(image: Uint8Array<ArrayBuffer>): number | undefined {
  const name = cString("cordon");
  const flags = MFD.CLOEXEC | MFD.ALLOW_SEALING;
  let fd = memfdCreate(name, flags | MFD.EXEC);
  if (fd < 0 && -lastErrno() === E.INVAL) fd = memfdCreate(name, flags); // before Linux 6.3
  if (fd < 0) return undefined;
  writeWhole(fd, image);
  const seals = SEAL.SEAL | SEAL.SHRINK | SEAL.GROW | SEAL.WRITE;
  if (libc().fcntl(fd, F.ADD_SEALS, BigInt(seals)) < 0) throw failed("seal the sandbox's program");
  return fd;
}

/**
 * A file without a name, so that nothing is left whenever we are killed. Where the file system has no such files
 * (O_TMPFILE, open(2)): one in a private directory, gone from there before it is executed.
 */
function unlinkedFile(image: Uint8Array<ArrayBuffer>): number {
  const runtime = Deno.env.get("XDG_RUNTIME_DIR");
  const parent = runtime || Deno.env.get("TMPDIR") || "/tmp";
  const flags = O.RDWR | O.CLOEXEC | O.TMPFILE | openFlags(Deno.build.arch).DIRECTORY;
  const nameless = libc().open(cString(parent), flags, 0o700);
  if (nameless >= 0) {
    writeWhole(nameless, image);
    const fd = openToExecute(`/proc/self/fd/${nameless}`);
    libc().close(nameless);
    return fd;
  }
  const directory = Deno.makeTempDirSync({ dir: parent, prefix: "cordon-" });
  const path = `${directory}/sandbox`;
  try {
    Deno.writeFileSync(path, image, { createNew: true, mode: 0o700 });
    return openToExecute(path);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** For reading only: the kernel executes nothing that is open for writing. */
function openToExecute(path: string): number {
  const fd = libc().open(cString(path), O.RDONLY | O.CLOEXEC, 0);
  if (fd < 0) throw failed(`open ${path}`);
  return fd;
}

function writeWhole(fd: number, bytes: Uint8Array<ArrayBuffer>): void {
  for (let rest = bytes; rest.length > 0;) {
    const n = Number(libc().write(fd, rest, BigInt(rest.length)));
    if (n <= 0) throw failed("write the sandbox's program");
    rest = rest.subarray(n);
  }
}

function failed(what: string): CordonError {
  return new CordonError(`Cannot ${what}: ${errnoText(lastErrno())}`);
}
