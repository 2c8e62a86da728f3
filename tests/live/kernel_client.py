"""A kernel and its client for the other kernel_*.py here: what a notebook server does, with answers that compare."""

import http.client
import json
import os
import queue
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from jupyter_client import KernelManager

PATIENCE = 120


class Kernel:
    """A started kernel whose client is connected. What the launcher writes to stderr goes to `said`."""

    def __init__(self, name, transport="tcp"):
        self.output = tempfile.TemporaryFile("w+")
        self.start = {"stdout": subprocess.DEVNULL, "stderr": self.output}
        self.manager = KernelManager(kernel_name=name, transport=transport)
        self.manager.start_kernel(**self.start)
        self.connection = Path(self.manager.connection_file)
        self.written = self.connection.read_bytes()
        self.connect()

    def connect(self):
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    @property
    def pid(self):
        return self.manager.provisioner.pid

    @property
    def process(self):
        return self.manager.provisioner.process

    def run(self, code, stdin=None):
        """Runs a cell to its end: its messages as (type, content); the last one is the reply."""
        message = self.client.execute(code, allow_stdin=stdin is not None)
        said = []
        while True:
            if stdin is not None and self.client.stdin_channel.msg_ready():
                self.client.get_stdin_msg(timeout=PATIENCE)
                self.client.input(stdin)
            try:
                got = self.client.get_iopub_msg(timeout=0.05 if stdin is not None else PATIENCE)
            except queue.Empty:
                if stdin is None:
                    raise
                continue
            if got["parent_header"].get("msg_id") != message:
                continue
            if got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
                break
            said.append((got["msg_type"], got["content"]))
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == message:
                return [*said, ("reply", reply["content"])]

    def value(self, code, stdin=None):
        """What the cell's last expression gave, or its output, or the name of its error."""
        said = self.run(code, stdin)
        for kind, content in said:
            if kind == "execute_result":
                return content["data"]["text/plain"]
        if said[-1][1]["status"] != "ok":
            return said[-1][1].get("ename", said[-1][1]["status"])
        return "".join(content["text"] for kind, content in said if kind == "stream")

    def interrupted(self, code):
        """Interrupts a cell once it has printed something; how it ended, and what it printed after that."""
        message = self.client.execute(code)
        told = False
        text = ""
        while True:
            got = self.client.get_iopub_msg(timeout=PATIENCE)
            if got["parent_header"].get("msg_id") != message:
                continue
            if got["msg_type"] == "stream" and not told:
                told = True
                self.manager.interrupt_kernel()
            elif got["msg_type"] == "stream":
                text += got["content"]["text"]
            if got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
                break
        reply = self.client.get_shell_msg(timeout=PATIENCE)["content"]
        return [reply.get("ename", reply["status"]), text]

    def restart(self, now=False):
        self.client.stop_channels()
        self.manager.restart_kernel(now=now, **self.start)
        self.connect()

    def shutdown(self, now=False):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=now)

    def said(self):
        """Without what ipykernel and R say, bare too, of an interrupt between two cells (one comes before a shutdown)."""
        self.output.seek(0)
        own = "KeyboardInterrupt caught in kernel", "Execution halted"
        said = "".join(line for line in self.output if not any(word in line for word in own))
        return said if said.strip() else ""


def identity(pid):
    """A process for good: its pid and when it started; None when it has ended (a zombie has)."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else (pid, fields[18])


def family(pid):
    """Identities of a process and of everything below it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(int(stat.rpartition(") ")[2].split()[1]), []).append(int(name))
    members = [pid]
    for member in members:
        members.extend(parents.get(member, []))
    return [who for who in map(identity, members) if who]


def after(seconds, *checks):
    """Waits until every check is empty, at most so long; what they say then."""
    until = time.monotonic() + seconds
    while True:
        left = [check() for check in checks]
        if not any(left) or time.monotonic() > until:
            return [item for found in left for item in found]
        time.sleep(0.02)


def living(members):
    """Those of the members that still run, with their command lines."""
    found = []
    for pid, started in members:
        if identity(pid) == (pid, started):
            found.append(f"{pid} {Path(f'/proc/{pid}/comm').read_text().strip()}")
    return found


class Leftovers:
    """What of a launch is left: its processes, its containers and what lies in the directories where it keeps things."""

    def __init__(self, outside):
        self.directories = outside["directories"]
        self.engine = outside.get("engine")

    def soon(self, members):
        """What is still there when it has been waited for: 3 s are promised, a busy machine gets longer."""
        checks = [lambda: living(members), self.files]
        return after(20, *checks, *([self.containers] if self.engine else []))

    def files(self):
        """Without the connection files, which Jupyter makes there."""
        names = [str(path) for directory in self.directories for path in Path(directory).iterdir()]
        return sorted(name for name in names if not name.endswith(".json"))

    def containers(self):
        connection = http.client.HTTPConnection("engine", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.engine)
        connection.request("GET", "/v1.41/containers/json?all=1")
        found = json.load(connection.getresponse())
        connection.close()
        return [f"{one['Image']} {one['State']}" for one in found]
