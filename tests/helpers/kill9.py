"""Kills sandboxes at random moments and looks for what is left of them.

Run as pid 1's only child in a pid namespace of its own, so that every other process seen is a sandbox's:
    kill9.py SEED TIMES MOST_MS COMMAND...
COMMAND starts a sandbox in this directory. Prints one line of JSON.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

seed, times, most = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000
command = sys.argv[4:]
random.seed(seed)
own = {os.getpid(), 1}


def others():
    """Processes that have not ended, by pid: (parent, name)."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in own:
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                text = file.read()
        except OSError:
            continue
        comm = text[text.index("(") + 1 : text.rindex(")")]
        state, parent = text[text.rindex(")") + 2 :].split()[:2]
        if state not in "ZX":
            found[int(name)] = (int(parent), comm)
    return found


def surroundings():
    """What must be the same before and after."""
    places = [os.environ["TMPDIR"], os.environ["XDG_RUNTIME_DIR"], "."]
    with open("/proc/self/mountinfo") as file:
        mounts = sorted(file)
    return {"mounts": mounts, **{place: sorted(os.listdir(place)) for place in places}}


before = surroundings()
hit = {"monitor": 0, "init": 0, "target": 0, "pump": 0}
setup = 0
survivors = []
for turn in range(times):
    with open("input") as stdin, open("output", "w") as stdout:
        child = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)
    time.sleep(random.random() * most)
    seen = others()
    inits = [pid for pid, (parent, comm) in seen.items() if comm == "cordon-init" and parent == child.pid]
    targets = [pid for pid, (parent, _) in seen.items() if parent in inits]
    pumps = [pid for pid, (parent, comm) in seen.items() if comm == "cordon-monitor" and parent == child.pid]
    if not any(seen[pid][1] == "sleep" for pid in targets):
        setup += 1
    choice = random.choice(["monitor", "monitor", "init", "target", "pump"])
    victims = {"monitor": [child.pid], "init": inits, "target": targets, "pump": pumps}[choice]
    if not victims:
        choice, victims = "monitor", [child.pid]
    hit[choice] += 1
    try:
        os.kill(victims[0], signal.SIGKILL)
    except ProcessLookupError:
        pass
    if choice == "pump":  # nothing need end of that, but all must still end together
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
    until = time.monotonic() + 10
    while others() and time.monotonic() < until:
        time.sleep(0.001)
    left = others()
    if left:
        survivors.append([turn, choice, left])
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        break
after = surroundings()
left = {name: after[name] for name in before if before[name] != after[name]}
print(json.dumps({"hit": hit, "setup": setup, "survivors": survivors, "left": left}))
