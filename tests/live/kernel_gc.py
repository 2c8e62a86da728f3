"""A launcher, its relay and its keeper die at once, and `cordon kernel gc` is called. kernel_gc.py KERNEL OUTSIDE.

OUTSIDE as in kernel_life.py, with "gc", that command line. Prints JSON. Another kernel runs all the time.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from kernel_client import PATIENCE, Kernel, Leftovers, after, family, living

name, outside = sys.argv[1], json.loads(sys.argv[2])
left = Leftovers(outside)
answers = {}


def gc():
    """What was removed of ours: other tests may have left things at the same places of the machine."""
    done = subprocess.run(outside["gc"], stdout=subprocess.PIPE, check=True)
    places = tuple(outside["directories"])
    removed = json.loads(done.stdout)["removed"]
    return [one["kind"] for one in removed if one["kind"] == "container" or one["name"].startswith(places)]


other = Kernel(name)
kept = left.files(), left.containers()
kernel = Kernel(name)
answers["while it runs"] = gc()
members = family(kernel.pid)
# The keeper first: it would begin to remove.
for pid, _ in sorted(members, key=lambda who: Path(f"/proc/{who[0]}/comm").read_text() != "cordon-keeper\n"):
    with contextlib.suppress(ProcessLookupError):  # the one before took it along
        os.kill(pid, signal.SIGKILL)
kernel.process.wait(PATIENCE)
assert after(PATIENCE, lambda: living(members)) == []
answers["kinds"] = sorted(gc())
answers["left"] = [] if (left.files(), left.containers()) == kept else [left.files(), left.containers()]
answers["alive"] = other.value("1 + 1")
kernel.client.stop_channels()
kernel.manager.cleanup_resources()
other.shutdown()
print(json.dumps(answers))
