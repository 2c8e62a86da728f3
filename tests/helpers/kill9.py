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
    return {place: sorted(os.listdir(place)) for place in places}


def mounts():
    """The mounts of this namespace by their numbers: number of the parent, device, place and options."""
    with open("/proc/self/mountinfo") as file:
        fields = [line.split() for line in file]
    # Where the root of a mount or its place was removed, the kernel says so behind the name.
    return {number: (parent, device, place.removesuffix("//deleted"), options)
            for number, parent, device, _, place, options, *_ in fields}


def changed(before, after):
    """
    Mounts that came, changed or went. A directory that is removed outside takes the mounts on it along, in every
    namespace: other tests have mounts too, and they were here when this namespace was made.
    """
    came = [after[number] for number in after if after[number] != before.get(number)]
    went = [before[number] for number in before.keys() - after.keys()]
    return came + [mount for mount in went if os.path.lexists(mount[2])]


before, mounted = surroundings(), mounts()
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
if changed(mounted, mounts()):
    left["mounts"] = changed(mounted, mounts())
print(json.dumps({"hit": hit, "setup": setup, "survivors": survivors, "left": left}))
