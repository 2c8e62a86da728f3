"""The magics %%docker and %docker for IPython and Jupyter, and a ! that runs in containers.

    %load_ext cordon

Written by `cordon magics install`; `cordon magics remove` takes it out. It decides nothing: what is typed goes to
`cordon run`, and what that prints is shown as it comes. Commands and sentences are those of Dockyter.
"""

import codecs
import json
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.utils.text import LSString, SList
from traitlets import Int

CORDON = "cordon"

# The status of `cordon run` when it is cordon itself that failed.
FAILED = 125

# How an interrupt ends what runs: a signal, and the seconds until the next. `cordon run` passes two on to a container
# and removes it at the third, which takes an engine a while.
ENDING = ((signal.SIGINT, 2), (signal.SIGTERM, 2), (signal.SIGHUP, 30), (signal.SIGKILL, None))


@magics_class
class Cordon(Magics):
    shown = Int(1_000_000, help="Characters that one command may show; of what is more, the end is shown").tag(
        config=True
    )

    def __init__(self, shell):
        super().__init__(shell=shell)
        self.backend = []  # options of `cordon run`; without any it is the configured backend
        self.url = None  # of the API: it may hold a token, and arguments are everybody's to read
        self.arguments = []  # what %docker or %docker_profile was given
        self.text = None  # the same as it was typed
        self.replaced = None  # what ! was, while it runs in containers
        self.directory = os.readlink("/proc/self/cwd")  # whose configuration counts, wherever a notebook goes
        self.ask("config", "check")

    @cell_magic("docker")
    def docker_cell(self, line, cell):
        """%%docker [DOCKER ARGS...] IMAGE: run the cell, a shell script, in one container."""
        arguments = self.split(line)
        if arguments is not None:
            self.show(arguments or self.arguments, cell)

    @line_magic
    def docker(self, line):
        """%docker [DOCKER ARGS...] IMAGE: run each !command in a fresh container from here on."""
        arguments = self.split(line)
        if arguments is None:
            return
        if arguments:
            self.arguments, self.text = arguments, line.strip()
        self.docker_on()
        self.show(self.arguments, "echo 'Connected'")

    @line_magic
    def docker_on(self, line=""):
        """Run !commands in containers again."""
        if self.replaced is None:
            mine = vars(self.shell)
            self.replaced = {name: mine[name] for name in ("system", "getoutput") if name in mine}
            self.shell.system, self.shell.getoutput = self.system, self.getoutput

    @line_magic
    def docker_off(self, line=""):
        """Run !commands on this machine again."""
        if self.replaced is not None:
            del self.shell.system, self.shell.getoutput
            vars(self.shell).update(self.replaced)
            self.replaced = None

    @line_magic
    def docker_status(self, line="", switched=False):
        """Show the backend, whether it answers, and where !commands run."""
        options = [*self.backend]
        if self.replaced is not None:
            options.append("--redirected")
        if switched:
            options.append("--switched")
        if self.text is not None:
            options.append(f"--args={self.text}")
        print(self.ask("magics", "status", *options) or "", end="")

    @line_magic
    def docker_backend(self, line):
        """%docker_backend docker | api URL | namespaces: choose what runs the containers."""
        name, *rest = line.split() or [""]
        name = name.lower()
        if name == "":
            error("Usage: %docker_backend <docker|api|namespaces> [api_url]")
        elif name == "api" and not rest:
            error("Usage: %docker_backend api <api_url>")
        elif name not in ("docker", "api", "namespaces"):
            error("Unknown backend. Use docker, api or namespaces.")
        else:
            self.url = rest[0] if name == "api" else None
            self.backend = [] if name == "api" else ["--engine", name]
            self.docker_status(switched=True)

    @line_magic
    def docker_profile(self, line):
        """%docker_profile NAME: what %docker does, with the arguments that are configured under a name."""
        name = line.strip()
        answer = self.ask("config", "show", "--json")
        if answer is None:
            return
        profiles = {name: profile["value"] for name, profile in json.loads(answer)["profiles"].items()}
        known = f"Available profiles: {', '.join(sorted(profiles))}" if profiles else "No profiles configured."
        if not name:
            error(f"Usage: %docker_profile <name>. {known}")
        elif name not in profiles:
            error(f"No args found for docker profile '{name}'. {known}")
        else:
            self.arguments, self.text = ["--profile", name], profiles[name]
            self.docker("")

    # What ! and !! and `y = !` call, with the depth of frames that IPython's own have: {x} and $x are the caller's.

    def system(self, command):
        """Stands in for get_ipython().system."""
        self.check(command, self.show(self.arguments, self.shell.var_expand(command, depth=1)))

    def getoutput(self, command, split=True, depth=0):
        """Stands in for get_ipython().getoutput: stdout and stderr as they came."""
        pieces = []
        expanded = self.shell.var_expand(command, depth=depth + 1)
        status = self.run(["--quiet", *self.arguments], expanded, lambda *piece: pieces.append(piece))
        if status == FAILED:  # why nothing ran is for a person to read
            print(red("".join(text for stream, text in pieces if stream is sys.stderr)), end="", file=sys.stderr)
            pieces = [piece for piece in pieces if piece[0] is not sys.stderr]
        self.check(command, status)
        output = "".join(text for _, text in pieces)
        return SList(output.splitlines()) if split else LSString(output)

    def check(self, command, status):
        if status != 0 and getattr(self.shell, "system_raise_on_error", False):
            raise subprocess.CalledProcessError(status, command)

    # What is below knows nothing of magics.

    def split(self, line):
        """The words of a line, or None when it has none."""
        try:
            return shlex.split(line)
        except ValueError as reason:
            error(f"cordon: Cannot read {line!r}: {reason}")

    def environment(self):
        api = {"CORDON_API": self.url} if self.url else {}
        return {**os.environ, "CORDON_CONFIG_DIR": self.directory, **api}

    def ask(self, *command):
        """What a command of cordon prints on stdout; None when it fails. What it has to say besides is shown."""
        try:
            answer = subprocess.run(
                [CORDON, *command],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        except (OSError, ValueError) as reason:
            return missing(reason)
        print(red(answer.stderr), end="", file=sys.stderr)
        return answer.stdout if answer.returncode == 0 else None

    def show(self, arguments, script):
        """Runs a script and shows what it prints."""
        screen = Screen(self.shown)
        try:
            return self.run(arguments, script, screen.show)
        finally:
            screen.close()

    def run(self, arguments, script, receive):
        """Runs a script; `receive` gets the stream and the text of each piece of output. Its status, as after any !."""
        watched = ["--unprivileged", "--parent", str(os.getpid())]
        command = [CORDON, "run", "--rm", "--script", "-", *watched, *self.backend, *arguments]
        try:
            status = run(command, script, receive, self.environment())
        except (OSError, ValueError) as reason:
            status = missing(reason) or FAILED
        self.shell.user_ns["_exit_code"] = 128 - status if status > 128 else status
        return status


def run(command, script, receive, environment):
    """Runs a command that reads a script, to its end. An interrupt ends it."""
    with tempfile.TemporaryFile() as stdin:
        stdin.write(script.encode("utf-8", "replace"))
        stdin.seek(0)
        # In a session of its own: interrupts are sent below, where it is known what has ended.
        child = subprocess.Popen(
            command,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    with child, selectors.DefaultSelector() as pipes:
        for pipe, stream in ((child.stdout, sys.stdout), (child.stderr, sys.stderr)):
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            pipes.register(pipe, selectors.EVENT_READ, (stream, decoder))
        try:
            read(pipes, receive)
        except BaseException:
            end(child, pipes, receive)
            raise
    return 128 - child.returncode if child.returncode < 0 else child.returncode


def read(pipes, receive, seconds=None):
    """Passes on what comes; whether both ends were closed before the time was over."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while pipes.get_map():
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        for key, _ in pipes.select(left):
            stream, decoder = key.data
            data = os.read(key.fd, 1 << 16)
            text = decoder.decode(data, final=not data)
            if not data:
                pipes.unregister(key.fileobj)
            if text:
                receive(stream, text)
    return True


def end(child, pipes, receive):
    for number, seconds in ENDING:
        try:
            child.send_signal(number)
            if read(pipes, receive, seconds):
                return
        except KeyboardInterrupt:
            continue  # whoever asks again does not want to wait


class Screen:
    """Shows the streams in the order of what comes. Of very much only the beginning and the end: a notebook keeps it."""

    END = 10_000

    def __init__(self, room):
        self.room = room
        self.more = 0  # characters that found no room
        self.ends = {}  # the newest of them, for each stream
        self.last = None
        self.fresh = True  # whether stderr is at the beginning of a line

    def show(self, stream, text):
        now, later = text[: self.room], text[self.room :]
        self.room -= len(now)
        if now:
            self.write(stream, now)
        if later:
            self.more += len(later)
            self.ends[stream] = (self.ends.get(stream, "") + later)[-self.END :]

    def write(self, stream, text):
        # Each stream travels in packets of its own; the one that was written to goes first.
        if self.last not in (None, stream):
            self.last.flush()
        self.last = stream
        if stream is sys.stderr:
            text, self.fresh = red(text, self.fresh), text.endswith("\n")
        stream.write(text)
        if stream.isatty():
            stream.flush()

    def close(self):
        lost = self.more - sum(map(len, self.ends.values()))
        if lost:
            self.write(sys.stderr, f"\ncordon: {lost} characters of output are not shown\n")
        for stream, text in self.ends.items():
            self.write(stream, text)
        if self.last:
            self.last.flush()


def error(message):
    print(f"\033[91m{message}\033[0m", file=sys.stderr)


def missing(reason):
    error(f"cordon: Cannot start {CORDON}: {reason}")


def red(text, fresh=True):
    """With cordon's own messages in red."""
    middle, newline, lines = ("", "", text) if fresh else text.partition("\n")
    return middle + newline + re.sub(r"(?m)^cordon: .*", "\033[91m\\g<0>\033[0m", lines)


def load_ipython_extension(shell):
    """`%load_ext`. Loaded under a second name it is still one."""
    if Cordon.__name__ not in shell.magics_manager.registry:
        shell.register_magics(Cordon(shell))


def unload_ipython_extension(shell):
    """`%unload_ext`: everything as it was before."""
    manager = shell.magics_manager
    magics = manager.registry.pop(Cordon.__name__, None)
    if magics is None:
        return
    magics.docker_off()
    for table in manager.magics.values():
        for name in [name for name, magic in table.items() if getattr(magic, "__self__", None) is magics]:
            del table[name]
