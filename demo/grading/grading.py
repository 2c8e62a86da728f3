"""Grades an assignment without and with cordon, and shows the difference. Started by ./run; see there."""

import os
import resource
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from submissions import LOOP, attack, loot, submit

CORDON = os.environ["CORDON"]
KERNEL = "python3-isolated"
HONEST, HOSTILE, ENDLESS = "ada", "mallory", "zeno"
CELL_SECONDS = 20
MEMORY = 600 << 20
# Nothing here is to harm the machine, also where nothing else limits it.
CEILING = 1 << 30


class Demo:
    def __init__(self, directory: Path):
        self.directory = directory
        self.home = directory / "home"
        self.token = secrets.token_hex(16)
        self.sleep = f"86400.{secrets.randbelow(10**9):09}"
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(directory / "tmp"),
            "JUPYTER_PLATFORM_DIRS": "0",
            "PYTHONWARNINGS": "ignore",
            # Such as a grader on a JupyterHub has.
            "JUPYTERHUB_API_TOKEN": self.token,
        }

    def run(self, *argv: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            argv, cwd=cwd, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=limit,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}")
        return done

    def prepare(self, setup: list[str]) -> None:
        for path in self.home, self.directory / "tmp":
            path.mkdir()
        (self.home / ".bashrc").write_text("# empty\n")
        self.course = self.directory / "course"
        self.run("nbgrader", "quickstart", "course", cwd=self.directory)
        for student in HONEST, HOSTILE, ENDLESS:
            self.run("nbgrader", "db", "student", "add", student, cwd=self.course)
        self.run("nbgrader", "generate_assignment", "ps1", "--create", cwd=self.course)
        limits = ["--memory", str(MEMORY), "--best-effort"]
        said = self.run(CORDON, "kernel", "setup", "--user", "--name", KERNEL, *limits, *setup, cwd=self.directory)
        print(said.stdout.strip().splitlines()[0])

    def grade(self, name: str, *options: str) -> dict:
        """Grades a copy of the course; what came of it."""
        course = self.directory / name
        shutil.copytree(self.course, course)
        targets = {
            "change ~/.bashrc": self.home / ".bashrc",
            "write to the course directory": course / "mallory-was-here",
            "write to the temporary directory": self.directory / "tmp/mallory-was-here",
        }
        with Listener() as listener:
            facts = {
                "course": str(course), "token": self.token, "port": listener.port, "address": listener.address,
                "write": [str(path) for path in targets.values()], "sleep": self.sleep,
            }
            submit(course, HONEST)
            submit(course, HOSTILE, extra=attack(facts))
            submit(course, ENDLESS, extra=LOOP)
            before = {path: content(path) for path in targets.values()}
            start = time.monotonic()
            with Peak() as peak:
                timeout = f"--ExecutePreprocessor.timeout={CELL_SECONDS}"
                log = self.run("nbgrader", "autograde", "ps1", timeout, *options, cwd=course, check=False)
            seconds = time.monotonic() - start
        left = processes_with(self.sleep)
        for pid in left:
            os.kill(pid, 9)
        got = loot(course, HOSTILE)
        for what, path in targets.items():
            if content(path) != before[path]:
                got[what] = "done"
        (self.home / ".bashrc").write_text("# empty\n")
        (self.directory / "tmp/mallory-was-here").unlink(missing_ok=True)
        if left:
            got["leave a process behind"] = "it runs on"
        scores = {student: self.score(course, student) for student in (HONEST, HOSTILE, ENDLESS)}
        return {"got": got, "scores": scores, "peak": peak.bytes, "seconds": seconds, "log": log.stdout}

    def score(self, course: Path, student: str) -> str:
        """Points of a student, as the gradebook has them; a submission that could not be graded has none."""
        script = (
            "import sys; from nbgrader.api import Gradebook, MissingEntry\n"
            "with Gradebook('sqlite:///gradebook.db') as book:\n"
            "    try:\n"
            "        work = book.find_submission('ps1', sys.argv[1])\n"
            "        print(f'{work.score:g} of {work.max_score:g}')\n"
            "    except MissingEntry:\n"
            "        print('not graded')"
        )
        if not (course / "autograded" / student / "ps1").exists():
            return "not graded"
        return self.run(sys.executable, "-c", script, student, cwd=course).stdout.strip().splitlines()[-1]


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (CEILING, CEILING))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def content(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def processes_with(argument: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if argument.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


class Listener:
    """A service of this machine, on its loopback interface and on the address it has in its network, if it has one."""

    def __enter__(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # sends nothing: it only looks for the way
                self.address = probe.getsockname()[0]
            except OSError:
                self.address = "127.0.0.1"
        self.socket = socket.create_server(("0.0.0.0", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"reached")

    def __exit__(self, *_):
        self.socket.close()


class Peak:
    """The most memory that this process' descendants had at once, looked at five times a second."""

    def __enter__(self):
        self.bytes = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        page = resource.getpagesize()
        while not self.ended.wait(0.2):
            parents, sizes = {}, {}
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                    except OSError:
                        continue
                    parents.setdefault(int(fields[1]), []).append(int(entry.name))
                    sizes[int(entry.name)] = int(fields[21]) * page
            members = [os.getpid()]
            for member in members:
                members.extend(parents.get(member, []))
            self.bytes = max(self.bytes, max((sizes[member] for member in members[1:]), default=0))

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


ATTEMPTS = [
    "read the gradebook", "write to the gradebook", "read the solutions", "read another student's work",
    "find the grader's API token", "reach a service of this machine", "reach the network", "change ~/.bashrc",
    "write to the course directory", "write to the temporary directory", "leave a process behind",
]


def table(rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()


def verdicts(without: dict, with_: dict) -> list[tuple[str, bool]]:
    return [
        ("without cordon the attacks work, so that there is something to prevent", len(without["got"]) >= 9),
        (f"with cordon {HOSTILE} gains nothing and leaves nothing", not with_["got"]),
        (f"{HONEST} gets the same points", without["scores"][HONEST] == with_["scores"][HONEST] != "not graded"),
        (f"{HOSTILE} gets the points of the answers handed in", with_["scores"][HOSTILE] == with_["scores"][HONEST]),
        # By the memory limit, or interrupted by the time limit: then nbgrader goes on with the next cell.
        (f"{ENDLESS} is ended by a limit and has no points", with_["scores"][ENDLESS] in ("not graded", "0 of 13")),
        ("its memory stays below its limit", with_["peak"] <= MEMORY * 1.2 < without["peak"]),
    ]


def main() -> int:
    directory = Path(tempfile.mkdtemp(prefix="cordon-demo-"))
    demo = Demo(directory)
    try:
        demo.prepare(sys.argv[1:])
        print("Grading without cordon …", flush=True)
        without = demo.grade("without")
        print("Grading with cordon …\n", flush=True)
        with_ = demo.grade("with", f"--ExecutePreprocessor.kernel_name={KERNEL}")
        names = ["without cordon", "with cordon"]
        runs = [without, with_]
        table([
            [f"{HOSTILE} tries to", *names],
            *[[what, *[run["got"].get(what, "-") for run in runs]] for what in ATTEMPTS],
        ])
        table([
            ["points", *names],
            *[[student, *[run["scores"][student] for run in runs]] for student in (HONEST, HOSTILE, ENDLESS)],
        ])
        table([
            ["", *names],
            ["largest process", *[f"{run['peak'] / (1 << 20):.0f} MiB" for run in runs]],
            ["time", *[f"{run['seconds']:.0f} s" for run in runs]],
        ])
        failed = [what for what, holds in verdicts(without, with_) if not holds]
        for what in failed:
            print(f"NOT SO: {what}")
        if failed and os.environ.get("DEMO_LOG"):
            print(without["log"], with_["log"], sep="\n====\n")
        return 1 if failed else 0
    finally:
        for pid in processes_with(demo.sleep):
            os.kill(pid, 9)
        shutil.rmtree(directory)


sys.exit(main())
