"""Eight kernels at once, each with a variable of its own. kernel_many.py KERNEL OUTSIDE; prints JSON."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from kernel_client import Kernel, Leftovers, family

name, outside = sys.argv[1], json.loads(sys.argv[2])
with ThreadPoolExecutor(8) as pool:
    kernels = list(pool.map(lambda _: Kernel(name), range(8)))
    values = list(pool.map(lambda i: kernels[i].value(f"mine = {i}; mine"), range(8)))
    values += list(pool.map(lambda kernel: kernel.value("mine"), kernels))
    members = [member for kernel in kernels for member in family(kernel.pid)]
    list(pool.map(lambda kernel: kernel.shutdown(), kernels))
said = [kernel.said() for kernel in kernels]
print(json.dumps({"values": values, "said": "".join(said), "left": Leftovers(outside).soon(members)}))
