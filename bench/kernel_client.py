"""Starts kernels by turns and times them, for kernel.ts: reads lines NAME from stdin, prints one JSON object for each.

Launch to ready is from start_kernel to the first answer to kernel_info_request. Beside the kernel is the sum of Pss of the
launcher's family without the kernel itself, and of the processes of the launcher's that stand outside it.
"""

import json
import os
import sys
import time
from pathlib import Path

from jupyter_client import KernelManager


def family(root):
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents.setdefault(int(Path(f"/proc/{name}/stat").read_text().rpartition(") ")[2].split()[1]), []).append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    members = [root]
    for member in members:
        members.extend(parents.get(member, []))
    return members


def pss(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def beside(root):
    """Kilobytes of everything that is not the kernel: it alone has ipykernel among its arguments."""
    sizes = {}
    # Pid 1 of a container is a child of the engine's.
    ours = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if comm(pid) in ("cordon-init", "cordon-keeper")]
    for pid in {*family(root), *ours}:
        try:
            if b"ipykernel_launcher" not in Path(f"/proc/{pid}/cmdline").read_bytes() or comm(pid).startswith("bwrap"):
                sizes[pid] = pss(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return sum(sizes.values()), len(sizes)


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


for line in sys.stdin:
    name = line.strip()
    # bwrap has no relay: there the client itself speaks to the sockets of the working directory.
    place = {"transport": "ipc", "ip": f"{os.getcwd()}/socket"} if name == "bwrap" else {}
    manager = KernelManager(kernel_name=name, connection_file=f"{os.getcwd()}/connection.json", **place)
    start = time.monotonic()
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    client.kernel_info()
    client.get_shell_msg(timeout=60)
    ready = time.monotonic() - start
    time.sleep(0.3)
    kilobytes, count = beside(manager.provisioner.pid)
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    print(json.dumps({"ms": ready * 1000, "kilobytes": kilobytes, "processes": count}), flush=True)
