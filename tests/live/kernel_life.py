"""One kernel from start to end, as a notebook's user sees it. kernel_life.py KERNEL OUTSIDE; prints JSON.

OUTSIDE is JSON about what lies outside: {"secrets": [PATH], "listener": PORT, "directories": [PATH], "engine": SOCKET}.
The directories are where a launch may keep things, and must be empty again.
"""

import base64
import json
import os
import sys

from kernel_client import PATIENCE, Kernel, Leftovers, family, living

name, outside = sys.argv[1], json.loads(sys.argv[2])
answers = {}
os.environ["JUPYTERHUB_API_TOKEN"] = "a token of the host"
os.environ["NBGRADER_EXECUTION"] = "autograde"
kernel = Kernel(name)


def listeners():
    """Local addresses of the listeners at the connection file's ports: proc_net_tcp."""
    found = set()
    for table in "/proc/net/tcp", "/proc/net/tcp6":
        with open(table) as lines:
            for fields in map(str.split, list(lines)[1:]):
                address, port = fields[1].split(":")
                if fields[3] == "0A" and int(port, 16) in kernel.manager.ports:
                    found.add(address)
    return sorted(found)


def comm():
    """A comm from the kernel, a message to it, and its answer."""
    code = """
from comm import create_comm
def on_message(message):
    comm.send({"echo": message["content"]["data"]["text"] * 2})
comm = create_comm(target_name="cordon-test", data={"hello": 1})
comm.on_msg(on_message)
"""
    opened = next(content for kind, content in kernel.run(code) if kind == "comm_open")
    content = {"comm_id": opened["comm_id"], "data": {"text": "ab"}}
    kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", content))
    while True:
        got = kernel.client.get_iopub_msg(timeout=PATIENCE)
        if got["msg_type"] == "comm_msg":
            return [opened["target_name"], got["content"]["data"]["echo"]]


def debug():
    """A breakpoint in a cell is reached and left: the Jupyter debug protocol over the control channel."""
    client, counter = kernel.client, iter(range(1, 1000))

    def request(command, **arguments):
        content = {"type": "request", "seq": next(counter), "command": command, "arguments": arguments}
        message = client.session.msg("debug_request", content)
        client.control_channel.send(message)
        while True:
            reply = client.get_control_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"]

    request("initialize", clientID="test", adapterID="", linesStartAt1=True, columnsStartAt1=True)
    request("attach")
    code = "halted = 1\nhalted = 2\nhalted"
    path = request("dumpCell", code=code)["body"]["sourcePath"]
    set_ = request("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2}], sourceModified=False)
    request("configurationDone")
    client.execute(code)
    while True:
        got = client.get_iopub_msg(timeout=PATIENCE)
        if got["msg_type"] == "debug_event" and got["content"]["event"] == "stopped":
            break
    thread = got["content"]["body"]["threadId"]
    frame = request("stackTrace", threadId=thread)["body"]["stackFrames"][0]
    request("continue", threadId=thread)
    reply = client.get_shell_msg(timeout=PATIENCE)["content"]["status"]
    request("disconnect", restart=False, terminateDebuggee=False)
    return [set_["body"]["breakpoints"][0]["verified"], frame["line"], reply]


def plot():
    code = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    for kind, content in kernel.run(code):
        if kind == "display_data":
            return base64.b64decode(content["data"]["image/png"])[1:4].decode()
    return None


def big():
    """50 MB in one output: how much arrived."""
    said = kernel.run("print('x' * 50_000_000)")
    return sum(len(content["text"]) for kind, content in said if kind == "stream")


answers["listeners"] = listeners()
answers["two"] = kernel.value("1 + 1")
answers["identity"] = kernel.value("import os; (os.getuid(), os.getgid(), os.getpid() != 1)")
answers["directory"] = kernel.value("os.getcwd()")
answers["secrets"] = kernel.value(f"[path for path in {outside['secrets']!r} if os.path.exists(path)]")
answers["tokens"] = kernel.value("[name for name in os.environ if 'TOKEN' in name]")
answers["nbgrader"] = kernel.value("os.environ.get('NBGRADER_EXECUTION')")
answers["network"] = kernel.value(f"""
import socket
def reach(address):
    try:
        socket.create_connection(address, 2).close()
        return 'reached'
    except OSError as error:
        return 'refused'
[reach(('127.0.0.1', {outside['listener']})), reach(('192.0.2.1', 80))], sorted(n for _, n in socket.if_nameindex() if n != 'lo')
""")
answers["writable"] = kernel.value("""
import pathlib, tempfile
def writes(place):
    place.mkdir(parents=True, exist_ok=True)
    (place / 'probe').write_text('x')
    return (place / 'probe').read_text() == 'x'
home = pathlib.Path.home()
places = [home, pathlib.Path(tempfile.gettempdir()), pathlib.Path('/tmp')]
places += [pathlib.Path(os.environ.get('IPYTHONDIR', home / '.ipython')), home / '.config/matplotlib']
all(map(writes, places))
""")
answers["written"] = kernel.value("pathlib.Path('written-inside').write_text('by the kernel')")
answers["input"] = kernel.value("print('got ' + input('name? '))", stdin="Ada")
answers["comm"] = comm()
answers["bash"] = kernel.value("%%bash\necho \"$((6 * 7))\"; cat <<< here")
answers["plot"] = plot()
answers["big"] = big()
answers["debug"] = debug()
answers["set"] = kernel.value("kept = 1; kept")
answers["interrupted"] = kernel.interrupted("import time; print('go', flush=True); time.sleep(600)")
# A child that says what it gets: the interrupt goes to the whole group.
answers["child"] = kernel.interrupted("""
import subprocess
script = "trap 'echo interrupted > child; exit 3' INT; echo go; while :; do sleep 0.05; done"
subprocess.run(['bash', '-c', script])
""")[0]
answers["child was"] = kernel.value("time.sleep(0.3); pathlib.Path('child').read_text()")
answers["kept"] = kernel.value("kept")
before = family(kernel.pid)
kernel.restart()
answers["restarted"] = [living(before), kernel.value("kept")]
kernel.value("kept = 2")
before = family(kernel.pid)
kernel.restart(now=True)
answers["restarted now"] = [living(before), kernel.value("kept")]
answers["connection file kept"] = kernel.connection.read_bytes() == kernel.written
last = family(kernel.pid)
kernel.shutdown()
answers["left"] = Leftovers(outside).soon(last)
answers["said"] = kernel.said()
print(json.dumps(answers))
