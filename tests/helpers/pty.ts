/** A real pseudo-terminal with a program on it, as if a person sat before it. Python opens it: Deno cannot. */
import { baseEnv } from "./run.ts";
import { family, type Running } from "./processes.ts";
import { asUserArgv, ordinaryHome } from "./user.ts";

/** Needed on the path. */
export const PYTHON = "python3";

/**
 * Runs argv in a new session on a new terminal. stdin takes lines of JSON: {"type": text}, {"size": [rows, columns]},
 * {"hangup": true}; stdout gives what appears on the terminal. Ends as the program ends.
 */
const BRIDGE = `
import fcntl, json, os, pty, select, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
pending = b""
watched = [0, terminal]
while terminal in watched:
    ready, _, _ = select.select(watched, [], [])
    if terminal in ready:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            break
        os.write(1, data)
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            break
        pending += data
        while b"\\n" in pending:
            line, pending = pending.split(b"\\n", 1)
            order = json.loads(line)
            if "type" in order:
                os.write(terminal, order["type"].encode())
            elif "size" in order:
                rows, columns = order["size"]
                fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
os.close(terminal)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
`;

export interface PtyOptions {
  /** Who sits there. Default: the ordinary user. */
  user?: "caller" | "ordinary";
  env?: Record<string, string>;
  cwd?: string;
}

export class Pty {
  /** Everything that appeared. */
  seen = "";
  #from = 0;
  #child: Deno.ChildProcess;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #ended: Promise<void>;
  #changed: () => void = () => {};

  constructor(argv: readonly string[], options: PtyOptions = {}) {
    const whole = [PYTHON, "-c", BRIDGE, ...argv];
    const [program, ...args] = options.user === "caller" ? whole : asUserArgv(whole);
    const home = ordinaryHome();
    this.#child = new Deno.Command(program!, {
      args,
      env: { ...baseEnv(home), TERM: "dumb", SHELL: "/bin/bash", ...options.env },
      clearEnv: true,
      cwd: options.cwd ?? home,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#ended = this.#read();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      this.seen += decoder.decode(chunk, { stream: true });
      this.#changed();
    }
  }

  async #order(order: unknown): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
  }

  /** Presses keys. `\n` is Enter in every mode, `\x03` Ctrl-C, `\x1a` Ctrl-Z. */
  type(keys: string): Promise<void> {
    return this.#order({ type: keys });
  }

  /** Resizes the window. */
  resize(rows: number, columns: number): Promise<void> {
    return this.#order({ size: [rows, columns] });
  }

  /** Waits for something to appear after what was last waited for. Rejects with all that was seen. */
  async expect(pattern: RegExp, deadline = 20_000): Promise<RegExpExecArray> {
    const until = Date.now() + deadline;
    for (;;) {
      const match = pattern.exec(this.seen.slice(this.#from));
      if (match) {
        this.#from += match.index + match[0].length;
        return match;
      }
      const left = until - Date.now();
      if (left <= 0) throw new Error(`${pattern} did not appear in:\n${this.seen}`);
      let timer: number | undefined;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }

  /** The program and all below it. */
  family(): Running[] {
    return family(this.#child.pid);
  }

  /** Waits for the program's own end; returns its status, or -N & 255 after signal N. */
  async ended(): Promise<number> {
    await this.#ended;
    return (await this.#child.status).code;
  }

  /** Closes the window: the terminal hangs up. Returns the status of what ran there. */
  async close(): Promise<number> {
    try {
      await this.#writer.close();
    } catch {
      // It ended by itself: there is nobody to tell.
    }
    return await this.ended();
  }
}

/** An interactive bash on a terminal; ready when this resolves. Its prompt is `$ `, and nothing echoes a marker first. */
export async function shell(options: PtyOptions = {}): Promise<Pty> {
  const pty = new Pty(["bash", "--norc", "--noprofile", "-i"], {
    ...options,
    env: { PS1: "@ ", ...options.env },
  });
  await pty.expect(/@ $/);
  return pty;
}
