"""Runs a cell that takes too much: kernel_memory.py KERNEL CODE. Prints its error or the launcher's exit status, and
what the launcher said."""

import json
import sys
import time

from kernel_client import PATIENCE, Kernel

kernel = Kernel(sys.argv[1])
message = kernel.client.execute(sys.argv[2])
ended = None
while ended is None:
    if kernel.client.shell_channel.msg_ready():
        reply = kernel.client.get_shell_msg(timeout=PATIENCE)
        if reply["parent_header"].get("msg_id") == message:
            ended = reply["content"].get("ename", reply["content"]["status"])
    elif (status := kernel.process.poll()) is not None:
        ended = status
    else:
        time.sleep(0.05)
kernel.shutdown(now=True)
print(json.dumps([ended, kernel.said()]))
