"""A kernel of any language: kernel_kinds.py KERNEL CODE LONG [TRANSPORT].

Prints what CODE printed, what runs after the end (LONG is interrupted first), and what the launcher said.
"""

import json
import sys
import time

from kernel_client import PATIENCE, Kernel, after, family, living

name, code, long, *transport = sys.argv[1:]
kernel = Kernel(name, transport=transport[0] if transport else "tcp")
printed = kernel.value(code)
message = kernel.client.execute(long)
time.sleep(1)  # not every language can say that it has begun
kernel.manager.interrupt_kernel()
while True:
    reply = kernel.client.get_shell_msg(timeout=PATIENCE)
    if reply["parent_header"].get("msg_id") == message:
        break
members = family(kernel.pid)
kernel.shutdown()
print(json.dumps([printed, after(20, lambda: living(members)), kernel.said()], separators=(",", ":")))
