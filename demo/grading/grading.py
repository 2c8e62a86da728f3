"""Grades three submissions with nbgrader, once as usual and once with kernels isolated by cordon."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import nbformat

HERE = Path(__file__).parent
PYTHON = sys.executable
HONEST = """def squares(n):
    if n < 1:
        raise ValueError("n must be at least 1")
    return [i ** 2 for i in range(1, n + 1)]"""
HOG = """def squares(n):
    held = []
    while len(held) < 100:
        held.append(bytearray(10**7))
    while True:
        pass"""
SUM = "def sum_of_squares(n):\n    return sum(squares(n))"
SECRET = "a secret of the server"
CELL_SECONDS = 5
KERNEL = "python3-isolated"


def main(cordon):
    work = Path(tempfile.mkdtemp(prefix="cordon-grading-"))
    try:
        rows = {}
        with Service() as port:
            for isolated in (False, True):
                rows[isolated] = grade(work / ("with" if isolated else "without"), cordon if isolated else None, port)
        table(rows)
        return 0 if sound(rows) else 1
    finally:
        shutil.rmtree(work)


class Service:
    """Something on the server's loopback that tells whoever connects a secret."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()
        return self.listener.getsockname()[1]

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(SECRET.encode())

    def __exit__(self, *_):
        self.listener.close()


def grade(work, cordon, port):
    """A course, three submissions, one autograde. Gives the scores, what the attack printed, and what it left."""
    home = work / "home"
    home.mkdir(parents=True)
    env = {
        "HOME": str(home),
        "PATH": f"{Path(PYTHON).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HUB_TOKEN": "a token of the server",
    }

    def run(*argv, cwd=work, check=True):
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}")
        return done

    def nbgrader(*argv, **more):
        return run(PYTHON, "-m", "nbgrader", *argv, **more)

    nbgrader("quickstart", "course101")
    course = work / "course101"
    nbgrader("generate_assignment", "ps1", cwd=course)
    seconds = f"8{os.getpid()}" + ("1" if cordon else "0")  # a `sleep` that nobody else has
    attack = (HERE / "attack.py").read_text()
    for word, value in {"COURSE": course, "HOME/": f"{home}/", "PORT": port, "SECONDS": seconds}.items():
        attack = attack.replace(word, str(value))
    for student, squares in {"ada": HONEST, "mallory": attack, "hog": HOG}.items():
        submit(course, student, squares)

    kernel = []
    if cordon:
        limit = ["--memory", "512M", "--best-effort"]
        run(cordon, "kernel", "setup", "--name", KERNEL, "--user", "--python", PYTHON, *limit)
        kernel = [f"--ExecutePreprocessor.kernel_name={KERNEL}"]
    # The status tells that a submission failed, which one is meant to.
    nbgrader("autograde", "ps1", f"--ExecutePreprocessor.timeout={CELL_SECONDS}", *kernel, cwd=course, check=False)
    left = processes(seconds)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return {
        "scores": scores(course, env),
        "got": attempts(course),
        "left": len(left),
        "bashrc": (home / ".bashrc").exists(),
        "course": (course / "source/ps1/owned").exists(),
    }


def submit(course, student, squares):
    place = course / "submitted" / student / "ps1"
    shutil.copytree(course / "release/ps1", place)
    notebook = nbformat.read(place / "problem1.ipynb", 4)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name == "squares":
            cell.source = squares
        elif name == "sum_of_squares":
            cell.source = SUM
    nbformat.write(notebook, place / "problem1.ipynb")


def attempts(course):
    """What the attack printed, from the graded notebook."""
    notebook = nbformat.read(course / "autograded/mallory/ps1/problem1.ipynb", 4)
    lines = "".join(
        output.text for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "stream"
    ).splitlines()
    return {name: got for name, got, *_ in map(json.loads, (line for line in lines if line.startswith("[")))}


def scores(course, env):
    script = (
        "import json, sys\n"
        "from nbgrader.api import Gradebook, MissingEntry\n"
        "found = {}\n"
        "with Gradebook('sqlite:///gradebook.db') as book:\n"
        "    for student in sys.argv[1:]:\n"
        "        try: found[student] = book.find_submission('ps1', student).score\n"
        "        except MissingEntry: found[student] = None\n"
        "print(json.dumps(found))\n"
    )
    argv = [PYTHON, "-c", script, "ada", "mallory", "hog"]
    return json.loads(subprocess.run(argv, cwd=course, env=env, capture_output=True, text=True, check=True).stdout)


def processes(seconds):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(int(entry.name))
        except OSError:
            pass  # it has just ended
    return found


def table(rows):
    without, isolated = rows[False], rows[True]
    lines = [("what the second submission tried", "without cordon", "with cordon")]
    for name, got in without["got"].items():
        if name == "leave a process behind":
            lines.append((name, f"{without['left']} left", f"{isolated['left']} left"))
        elif name == "change the teacher's ~/.bashrc":
            lines.append((name, *("changed" if row["bashrc"] else "not changed" for row in (without, isolated))))
        elif name == "write into the course":
            lines.append((name, *("done" if row["course"] else "nothing" for row in (without, isolated))))
        else:
            lines.append((name, *(row["got"].get(name) or "nothing" for row in (without, isolated))))
    lines.append(("", "", ""))
    for student, what in (("ada", "an honest one"), ("mallory", "the one above"), ("hog", "one without end")):
        points = (row["scores"][student] for row in (without, isolated))
        lines.append((f"score of {what}", *("none" if p is None else f"{p:g}" for p in points)))
    widths = [max(len(short(line[i])) for line in lines) for i in range(3)]
    for line in lines:
        print("  ".join(short(text).ljust(width) for text, width in zip(line, widths)).rstrip())


def short(text):
    return text if len(text) <= 40 else text[:37] + "..."


def sound(rows):
    """Whether isolation took everything from the attack and nothing from the grades."""
    without, isolated = rows[False], rows[True]
    allowed = {"change the teacher's ~/.bashrc", "leave a process behind"}  # done to the sandbox's own, and gone with it
    gained = [name for name, got in isolated["got"].items() if got is not None and name not in allowed]
    return (
        isolated["scores"]["ada"] == without["scores"]["ada"] > 0
        and isolated["scores"]["mallory"] == without["scores"]["mallory"]
        and len(without["got"]) == len(isolated["got"]) == 8
        and all(got is not None for got in without["got"].values())
        and not gained
        and not (isolated["left"] or isolated["bashrc"] or isolated["course"])
        and without["left"] and without["bashrc"] and without["course"]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
