"""What the three students hand in. Each is the released assignment with some cells filled in."""

import json
from pathlib import Path

import nbformat

# In a function, so that the notebook's own names stay as the tests expect them.
ATTACK = '''
def demo():
    import glob, json, os, pathlib, socket, sqlite3, subprocess
    facts = json.loads({facts!r})
    got = {{}}

    def attempt(name, action):
        try:
            got[name] = action() or None
        except BaseException as error:
            got[name] = None

    here = pathlib.Path.cwd()
    above = [place for place in here.parents if (place / "gradebook.db").exists()]
    course = above[0] if above else pathlib.Path(facts["course"])

    def gradebook():
        with sqlite3.connect(f"file:{{course}}/gradebook.db?mode=ro", uri=True) as base:
            return f"{{base.execute('select count(*) from student').fetchone()[0]}} students read"

    def change_gradebook():
        with sqlite3.connect(f"file:{{course}}/gradebook.db?mode=rw", uri=True) as base:
            base.execute("create table mallory (was_here)")
        return "written"

    def solutions():
        text = (course / "source/ps1/problem1.ipynb").read_text()
        return "solutions and hidden tests" if "BEGIN SOLUTION" in text else None

    def others():
        found = [path for path in course.glob("*/*/ps1/*.ipynb") if "/ada/" in str(path) and path.read_text()]
        return f"{{len(found)}} files of ada's" if found else None

    def token():
        places = ["/proc/self/environ", *glob.glob("/proc/[0-9]*/environ")]
        for place in places:
            try:
                if facts["token"].encode() in open(place, "rb").read():
                    return "found"
            except OSError:
                pass

    def reach(address):
        with socket.create_connection(address, 3) as connection:
            return connection.recv(100).decode()

    def write(path):
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as file:
            file.write("mallory was here\\n")

    attempt("read the gradebook", gradebook)
    attempt("write to the gradebook", change_gradebook)
    attempt("read the solutions", solutions)
    attempt("read another student's work", others)
    attempt("find the grader's API token", token)
    attempt("reach a service of this machine", lambda: reach(("127.0.0.1", facts["port"])))
    attempt("reach the network", lambda: reach((facts["address"], facts["port"])))
    # Whether these succeed is for others to see.
    for path in facts["write"]:
        attempt(path, lambda: write(path))
    attempt("process", lambda: subprocess.Popen(["sleep", facts["sleep"]], start_new_session=True))
    print("DEMO " + json.dumps({{name: value for name, value in got.items() if isinstance(value, str)}}))

demo()
'''

LOOP = '''
def demo():
    hoard = []
    while True:
        try:
            hoard.append(bytearray(b"x") * (16 << 20))
        except MemoryError:
            pass

demo()
'''


def submit(course: Path, student: str, *, extra: str | None = None) -> None:
    """Hands in ps1: problem 1 solved, problem 2 as it was given out, and `extra` run before the first answer."""
    solved = cells(nbformat.read(course / "source/ps1/problem1.ipynb", 4))
    target = course / "submitted" / student / "ps1"
    target.mkdir(parents=True)
    for name in "problem1.ipynb", "problem2.ipynb":
        notebook = nbformat.read(course / "release/ps1" / name, 4)
        answers = [cell for cell in cells(notebook).values() if cell.metadata.nbgrader.solution]
        if name == "problem1.ipynb":
            for cell in answers:
                cell.source = without_marks(solved[cell.metadata.nbgrader.grade_id].source)
            if extra is not None:
                answers[0].source = f"{extra}\n{answers[0].source}"
        nbformat.write(notebook, target / name)
    for file in (course / "release/ps1").iterdir():
        if file.suffix != ".ipynb":
            (target / file.name).write_bytes(file.read_bytes())


def without_marks(source: str) -> str:
    return "\n".join(line for line in source.splitlines() if "### " not in line)


def cells(notebook) -> dict:
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}


def attack(facts: dict) -> str:
    return ATTACK.format(facts=json.dumps(facts))


def loot(course: Path, student: str) -> dict:
    """What the attack said it got, from the graded notebook."""
    path = course / "autograded" / student / "ps1/problem1.ipynb"
    for cell in nbformat.read(path, 4).cells:
        for output in cell.get("outputs", []):
            for line in output.get("text", "").splitlines():
                if line.startswith("DEMO "):
                    return json.loads(line.removeprefix("DEMO "))
    raise RuntimeError(f"{path}: the attack has not run")
