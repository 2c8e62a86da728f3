"""Starts a kernel that cannot start: kernel_refused.py KERNEL. Prints the launcher's exit status and what it said."""

import json
import sys

from kernel_client import PATIENCE, Kernel

Kernel.connect = lambda self: None
kernel = Kernel(sys.argv[1])
status = kernel.process.wait(PATIENCE)
kernel.manager.cleanup_resources()
print(json.dumps([status, kernel.said()]))
