"""The ways a kernel ends other than by Jupyter's wish. kernel_ends.py KERNEL OUTSIDE; prints JSON.

OUTSIDE as in kernel_life.py. After each end nothing may run or lie about for longer than three seconds.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

from kernel_client import PATIENCE, Kernel, Leftovers, family

name, outside = sys.argv[1], json.loads(sys.argv[2])
left = Leftovers(outside)
answers = {}

# A parent to be killed: starts a kernel, tells its launcher's pid, and waits.
PARENT = """
import sys, time
from kernel_client import Kernel
kernel = Kernel(sys.argv[1])
kernel.value("import subprocess; child = subprocess.Popen(['sleep', '602'], start_new_session=True)")
print(kernel.pid, flush=True)
time.sleep(600)
"""


def by_itself(code):
    """The launcher's exit status, what it said and what it left, when a cell ends the kernel."""
    kernel = Kernel(name)
    kernel.value("import subprocess; child = subprocess.Popen(['sleep', '602'], start_new_session=True)")
    members = family(kernel.pid)
    kernel.client.execute(f"import os, signal; {code}")
    kernel.process.wait(PATIENCE)
    kernel.client.stop_channels()
    answer = [kernel.process.returncode, kernel.said(), left.soon(members)]
    kernel.manager.cleanup_resources()
    return answer


def launcher_killed():
    kernel = Kernel(name)
    kernel.value("import subprocess; child = subprocess.Popen(['sleep', '602'], start_new_session=True)")
    members = family(kernel.pid)
    os.kill(kernel.pid, signal.SIGKILL)
    kernel.process.wait(PATIENCE)
    answer = left.soon(members)
    kernel.client.stop_channels()
    kernel.manager.cleanup_resources()
    return answer


def parent_killed():
    argv = [sys.executable, "-c", PARENT, name]
    path = os.path.dirname(os.path.abspath(__file__))
    parent = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    launcher = int(parent.stdout.readline())
    members = family(launcher)
    parent.kill()
    parent.wait()
    return left.soon(members)


def group_killed():
    """What Jupyter does in the end with a kernel that does not react: SIGKILL to the launcher's whole group."""
    kernel = Kernel(name)
    members = family(kernel.pid)
    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.process.wait(PATIENCE)
    answer = left.soon(members)
    kernel.client.stop_channels()
    kernel.manager.cleanup_resources()
    return answer


def while_starting():
    """Ended before anything answers, by each of two signals after each of a few delays."""
    found = []
    for delay, by in itertools.product((0.02, 0.06, 0.1, 0.2, 0.4), (signal.SIGTERM, signal.SIGKILL)):
        kernel = Kernel.__new__(Kernel)
        kernel.connect = lambda: None
        kernel.__init__(name)
        time.sleep(delay)
        members = family(kernel.pid)
        os.killpg(kernel.pid, by)
        kernel.process.wait(PATIENCE)
        found += left.soon(members)
        kernel.manager.cleanup_resources()
    return found


answers["exit 3"] = by_itself("os._exit(3)")
answers["kill -9"] = by_itself("os.kill(os.getpid(), signal.SIGKILL)")
answers["launcher killed"] = launcher_killed()
answers["group killed"] = group_killed()
answers["parent killed"] = parent_killed()
answers["while starting"] = while_starting()
print(json.dumps(answers))
