"""What only shows while a cell runs (used by magics_life_test.ts).

magics_kernel.py SCENARIO DIRECTORY: reads cells from stdin, a JSON list, and prints JSON. All but the last cell are run
first. DIRECTORY is one that the last cell's container sees, for what the two have to say to each other.

    order      whenever the cell prints a word, a file of that name is made in DIRECTORY; prints [stream, word] in order
    interrupt  when the cell has printed, the kernel is interrupted; prints the status and what came in the meantime
    kill       when the cell has printed, the kernel is killed, with nothing said to anybody else
"""

import json
import os
import sys

from jupyter_client import KernelManager

scenario, directory = sys.argv[1:]
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


for cell in first:
    client.execute_interactive(cell, timeout=120, output_hook=lambda message: None)
id = client.execute(last)
answer = {"output": []}
for name, text in messages(id):
    answer["output"].append([name, text])
    if scenario == "order":
        for word in text.split():
            open(os.path.join(directory, word), "w").close()
    elif scenario == "interrupt" and len(answer["output"]) == 1:
        manager.interrupt_kernel()
    elif scenario == "kill":
        manager.shutdown_kernel(now=True)
        break
if scenario != "kill":
    content = client.get_shell_msg(timeout=120)["content"]
    answer["status"] = content.get("ename", content["status"])
    answer["later"] = []
    client.execute_interactive(
        "print(_exit_code)",
        timeout=120,
        output_hook=lambda message: answer["later"].append(message["content"].get("text")),
    )
    answer["later"] = "".join(filter(None, answer["later"]))
    client.stop_channels()
    manager.shutdown_kernel()
print(json.dumps(answer))
