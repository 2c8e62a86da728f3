"""A Jupyter server over its REST and WebSocket API. kernel_server.py KERNEL OUTSIDE; prints JSON.

OUTSIDE as in kernel_life.py.
"""

import atexit
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import websocket
from kernel_client import PATIENCE, Leftovers, family

name, outside = sys.argv[1], json.loads(sys.argv[2])
answers = {}
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
url = f"http://127.0.0.1:{port}/"
TOKEN = uuid.uuid4().hex
log = tempfile.TemporaryFile("w+")
server = subprocess.Popen(
    [
        *[sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}"],
        *["--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={TOKEN}"],
    ],
    stdout=log,
    stderr=log,
)


atexit.register(server.kill)


def wait_for(url):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        try:
            return urllib.request.urlopen(f"{url}api", timeout=PATIENCE).close()
        except urllib.error.URLError:
            time.sleep(0.05)
    log.seek(0)
    sys.exit(f"no Jupyter server: {log.read()}")


wait_for(url)


def api(method, path, body=None):
    request = urllib.request.Request(f"{url}api/{path}", method=method, headers={"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, None if body is None else json.dumps(body).encode(), PATIENCE) as answer:
        return json.loads(answer.read() or b"null")


class Channels:
    def __init__(self, kernel):
        address = f"{url}api/kernels/{kernel}/channels".replace("http", "ws", 1)
        self.socket = websocket.create_connection(address, PATIENCE, header={"Authorization": f"token {TOKEN}"})

    def send(self, code):
        header = {"msg_id": uuid.uuid4().hex, "session": "test", "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = {"header": {**header, "msg_type": "execute_request"}, "parent_header": {}, "metadata": {}}
        self.socket.send(json.dumps({**message, "content": content, "channel": "shell", "buffers": []}))
        return header["msg_id"]

    def until(self, met):
        """Text that was printed until a message comes for which `met` holds, and that message."""
        text = ""
        while True:
            message = json.loads(self.socket.recv())
            if message["msg_type"] == "stream":
                text += message["content"]["text"]
            if met(message):
                return text, message

    def run(self, code):
        """What the cell printed, or the name of its error. Reply and output come in either order."""
        id, reply, text, idle = self.send(code), None, "", False
        while reply is None or not idle:
            printed, message = self.until(lambda message: message["parent_header"].get("msg_id") == id)
            text += printed
            if message["msg_type"] == "execute_reply":
                reply = message["content"]
            if message["msg_type"] == "status":
                idle = message["content"]["execution_state"] == "idle"
        return reply.get("ename", text)


def children():
    """Who of the server's family there is besides itself."""
    return [member for member in family(server.pid) if member[0] != server.pid]


kernel = api("POST", "kernels", {"name": name})["id"]
channels = Channels(kernel)
answers["runs"] = channels.run("print(6 * 7)")
id = channels.send("import time\nprint('go', flush=True)\ntime.sleep(600)")
channels.until(lambda message: message["msg_type"] == "stream")
api("POST", f"kernels/{kernel}/interrupt")
answers["interrupted"] = channels.until(lambda message: message["msg_type"] == "execute_reply")[1]["content"]["ename"]
channels.run("kept = 1")
first = children()
api("POST", f"kernels/{kernel}/restart")
answers["restarted"] = [channels.run("kept"), [member for member in children() if member in first]]
channels.send("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
# The server looks every three seconds.
channels.until(
    lambda message: message["msg_type"] == "status" and message["content"]["execution_state"] == "restarting"
)
answers["after its death"] = Channels(kernel).run("print('again')").splitlines()[-1]
last = children()
api("DELETE", f"kernels/{kernel}")
answers["left"] = Leftovers(outside).soon(last)

# A server that ends takes its kernels with it.
kernel = api("POST", "kernels", {"name": name})["id"]
Channels(kernel).run("1")
last = children()
api("POST", "shutdown")
server.wait(PATIENCE)
answers["left by the server"] = Leftovers(outside).soon(last)
log.seek(0)
answers["log"] = [line for line in log.read().splitlines() if "cordon:" in line]
print(json.dumps(answers))
