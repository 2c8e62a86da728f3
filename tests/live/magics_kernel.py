"""What only shows while a cell runs (used by magics_life_test.ts).

magics_kernel.py SCENARIO DIRECTORY [TIME]: reads cells from stdin, a JSON list, and prints JSON. All but the last cell are run
first. DIRECTORY is one that the last cell's container sees, for what the two have to say to each other.

    order      whenever the cell prints a word, a file of that name is made in DIRECTORY; prints [stream, word] in order
    interrupt  when the cell has printed, the kernel is interrupted; prints the status and what came
    kill       when the cell has printed, the kernel is killed, with nothing said to anybody else

With TIME it does not wait for output but for a process `sleep TIME`.
"""

import json
import os
import sys
import time

from jupyter_client import KernelManager

scenario, directory, *silent = sys.argv[1:]
*first, last = json.load(sys.stdin)

manager = KernelManager()
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=120)


def messages(id):
    """Output of the cell that runs, until it has ended."""
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") != id:
            continue
        content = message["content"]
        if content.get("execution_state") == "idle":
            return
        if message["msg_type"] == "stream":
            yield content["name"], content["text"]


def running(time):
    """Whether a process sleeps for exactly this long."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as line:
                if line.read() == f"sleep\0{time}\0":
                    return True
        except OSError:
            pass  # it ended while we looked
    return False


def ignore(message):
    pass


def strike():
    if scenario == "interrupt":
        manager.interrupt_kernel()
    elif scenario == "kill":
        manager.shutdown_kernel(now=True)


for cell in first:
    client.execute_interactive(cell, timeout=120, output_hook=ignore)
id = client.execute(last)
answer = {"output": []}
if silent:
    while not running(silent[0]):
        time.sleep(0.05)
    strike()
for name, text in [] if silent and scenario == "kill" else messages(id):
    answer["output"].append([name, text])
    if scenario == "order":
        for word in text.split():
            open(os.path.join(directory, word), "w").close()
    elif not silent and len(answer["output"]) == 1:
        strike()
        if scenario == "kill":
            break
if scenario != "kill":
    content = client.get_shell_msg(timeout=120)["content"]
    answer["status"] = content.get("ename", content["status"])
    answer["later"] = client.execute_interactive("1 + 1", timeout=120, output_hook=ignore)["content"]["status"]
    client.stop_channels()
    manager.shutdown_kernel()
print(json.dumps(answer))
