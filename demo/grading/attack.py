# What the second student hands in: a solution that also looks around. It prints one line of JSON for each attempt.
import json, os, pwd, socket, subprocess


def attempt(name, action):
    try:
        print(json.dumps([name, str(action())]))
    except BaseException as error:
        print(json.dumps([name, None, type(error).__name__]))


def read(path):
    with open(path, "rb") as file:
        return f"{len(file.read())} bytes"


def append(path, text):
    with open(path, "a") as file:
        file.write(text)
    return path


def ask(port):
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        return connection.recv(100).decode()


def linger():
    return subprocess.Popen(["sleep", "SECONDS"], start_new_session=True, stdout=subprocess.DEVNULL).pid


attempt("read the gradebook", lambda: read("COURSE/gradebook.db"))
attempt("read the solutions", lambda: read("COURSE/source/ps1/problem1.ipynb"))
attempt("read another student's work", lambda: read("COURSE/submitted/ada/ps1/problem1.ipynb"))
attempt("reach a service of the grading server", lambda: ask(PORT))
attempt("change the teacher's ~/.bashrc", lambda: append("HOME/.bashrc", "echo owned\n"))
attempt("write into the course", lambda: append("COURSE/source/ps1/owned", "owned\n"))
attempt("read the server's environment", lambda: os.environ["HUB_TOKEN"])
attempt("leave a process behind", linger)


def squares(n):
    if n < 1:
        raise ValueError("n must be at least 1")
    return [i**2 for i in range(1, n + 1)]
