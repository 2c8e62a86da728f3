"""A kernel in a container that turns what it shares with its launcher against it. kernel_harm.py KERNEL OUTSIDE.

OUTSIDE as in kernel_life.py. Prints JSON: what came through the relay from a socket of the host, and what was left.
"""

import json
import socket
import sys

from kernel_client import Kernel, Leftovers, family

name, outside = sys.argv[1], json.loads(sys.argv[2])
kernel = Kernel(name)
answers = {}

# The heartbeat's socket becomes a symlink to the engine's, which lies where it does on the host.
kernel.value(f"""
import os
os.chdir('/run/cordon')
os.rename('kernel-5', 'mine')
os.symlink({outside["engine"]!r}, 'kernel-5')
""")
with socket.create_connection(("127.0.0.1", kernel.manager.hb_port)) as connection:
    connection.settimeout(1)
    connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
    try:
        answers["through the relay"] = connection.recv(100).decode()
    except (TimeoutError, ConnectionResetError):
        answers["through the relay"] = ""

# What it shares with the launcher takes nothing of the host's: a file there grows to the limit of a small file system.
answers["a file there"] = json.loads(kernel.value("""
import json
size = 0
try:
    with open('large', 'wb', buffering=0) as file:
        while size < 1 << 26:
            size += file.write(bytes(1 << 16))
    number = 0
except OSError as error:
    number = error.errno
os.remove('large')
print(json.dumps([number, size <= 1 << 20]))
"""))

# Directories that cannot be entered, and more of them than a path can name.
made = kernel.value("""
os.makedirs('closed/inner')
open('closed/inner/file', 'w').close()
os.chmod('closed/inner', 0)
os.chmod('closed', 0)
os.mkdir('deep')
os.chdir('deep')
for _ in range(2000):
    os.mkdir('d' * 50)
    os.chdir('d' * 50)
'made'
""")
assert made == "'made'", made
members = family(kernel.pid)
kernel.shutdown(now=True)
answers["left"] = Leftovers(outside).soon(members)
answers["said"] = kernel.said()
print(json.dumps(answers))
