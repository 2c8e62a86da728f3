"""A notebook and a kernel's life on a kernel.json that starts the kernel in a sandbox (used by isolate_notebook_test.ts).

isolate_notebook.py KERNEL SECRET: KERNEL is the kernelspec's name, SECRET a file that exists outside. Prints JSON.
"""

import json
import os
import queue
import sys
import tempfile

import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient

kernel, secret = sys.argv[1:]
answers = {}
said = tempfile.TemporaryFile("w+")  # what the launcher and the kernel write to stdout and stderr


def notebook():
    cells = [
        "1 + 1",
        f"import os; os.path.exists({secret!r})",
        # Longer than ipykernel's look-out for its parent takes.
        "import time; time.sleep(2.5); print('still here')",
        "open('written-inside', 'w').write('by the notebook'); os.getcwd()",
        "import os; (os.getuid(), os.environ['JPY_PARENT_PID'])",
    ]
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(document, kernel_name=kernel, timeout=120).execute(stdout=said, stderr=said)
    outputs = []
    for cell in document.cells:
        for output in cell.outputs:
            outputs.append(output.get("text") or output["data"]["text/plain"])
    return outputs


def answer_to(client, id):
    """The content of the answer to one request; a slow kernel still answers what wait_for_ready asked."""
    while True:
        message = client.get_shell_msg(timeout=120)
        if message["parent_header"].get("msg_id") == id:
            return message["content"]


def reply(client, code):
    """The status or the exception's name, and what the code's last expression gave."""
    id = client.execute(code)
    content = answer_to(client, id)
    value = None
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") != id:
            continue
        if message["msg_type"] == "execute_result":
            value = message["content"]["data"]["text/plain"]
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return [content.get("ename", content["status"]), value]


def interrupted(manager, client, code):
    """Interrupts `code` once it has said that it runs."""
    id = client.execute(code)
    while client.get_iopub_msg(timeout=120)["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    content = answer_to(client, id)
    while True:
        try:
            client.get_iopub_msg(timeout=0.2)
        except queue.Empty:
            return content.get("ename", content["status"])


def life():
    manager = KernelManager(kernel_name=kernel)
    manager.start_kernel(stdout=said, stderr=said)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    answers["set"] = reply(client, "x = 1; x")
    answers["interrupted"] = interrupted(manager, client, "import time; print('go', flush=True); time.sleep(600)")
    child = "import subprocess; print('go', flush=True); subprocess.run(['sleep', '601'])"
    answers["child interrupted"] = interrupted(manager, client, child)
    names = "[open(f'/proc/{n}/cmdline').read() for n in os.listdir('/proc') if n.isdigit()]"
    answers["child gone"] = reply(client, f"import os; any('601' in line for line in {names})")
    answers["kept"] = reply(client, "x")
    first = manager.provisioner.pid
    manager.restart_kernel(stdout=said, stderr=said)
    client.wait_for_ready(timeout=120)
    answers["restarted"] = [alive(first), reply(client, "x")]
    answers["works again"] = reply(client, "2 + 2")
    second = manager.provisioner.pid
    client.stop_channels()
    manager.shutdown_kernel()
    answers["shut down"] = [manager.is_alive(), alive(second)]
    manager = KernelManager(kernel_name=kernel)
    manager.start_kernel(stdout=said, stderr=said)
    third = manager.provisioner.pid
    manager.shutdown_kernel(now=True)
    answers["killed"] = [manager.is_alive(), alive(third)]


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


try:
    answers["notebook"] = notebook()
    life()
finally:
    said.seek(0)
    answers["said"] = said.read()
    print(answers["said"], file=sys.stderr)
print(json.dumps(answers))
