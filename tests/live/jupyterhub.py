"""One JupyterHub with one user, driven from outside as a browser would, and attacked by another uid.

Arguments: a JSON object, see `main`. Prints one JSON object of what happened. Runs as root in a mount namespace of its
own, where /etc/passwd has the users.
"""
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time

import requests
import websocket

OPTIONS = json.loads(sys.argv[1])
VICTIM = "alice"
VICTIM_UID, OTHER_UID = OPTIONS["uids"]
HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "admin-token-of-the-test"

CONFIG = """
import batchspawner
from jupyterhub.spawner import LocalProcessSpawner
from traitlets import Unicode
c = get_config()
c.JupyterHub.bind_url = {public!r}
c.JupyterHub.hub_ip = {hub_ip!r}
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.api_url = {api!r}
c.ConfigurableHTTPProxy.pid_file = {directory!r} + "/proxy.pid"
c.JupyterHub.cookie_secret_file = {directory!r} + "/cookie"
c.JupyterHub.db_url = "sqlite:///" + {directory!r} + "/hub.sqlite"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.internal_ssl = {ssl!r}
c.JupyterHub.internal_certs_location = {directory!r} + "/certs"
c.JupyterHub.trusted_alt_names = {alt_names!r}
c.JupyterHub.services = [{{"name": "test", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [{{"name": "test", "scopes": ["admin:users", "admin:servers"], "services": ["test"]}}]
c.Spawner.environment = {environment!r}
c.Spawner.notebook_dir = {home!r}
c.Spawner.start_timeout = 60
c.Spawner.http_timeout = 60
c.Spawner.cmd = {cmd!r}

class LocalBatch(batchspawner.BatchSpawnerRegexStates):
    \"\"\"The script runs at once, on this machine, as the user.\"\"\"
    batch_script = Unicode("#!/bin/sh\\ncd {{homedir}}\\nexec {{cmd}}\\n")
    batch_submit_cmd = Unicode({submit!r})
    batch_query_cmd = Unicode("sh -c 'kill -0 {{job_id}} && echo RUNNING {node} || echo GONE'")
    batch_cancel_cmd = Unicode("kill {{job_id}}")
    exec_prefix = Unicode("")
    state_pending_re = Unicode("^PENDING")
    state_running_re = Unicode("^RUNNING")
    state_exechost_re = Unicode("^RUNNING (.*)$")

    async def move_certs(self, paths):
        return await LocalProcessSpawner.move_certs(self, paths)

if {sudo!r}:
    c.JupyterHub.spawner_class = "sudospawner.SudoSpawner"
    c.SudoSpawner.sudospawner_path = {sudo!r}
if {batch!r}:
    c.JupyterHub.spawner_class = LocalBatch
    if {singleuser!r}:
        c.BatchSpawnerBase.batchspawner_singleuser_cmd = {singleuser!r}
"""

JUPYTER_CONFIG = """
c = get_config()
c.ServerProxy.servers = {{
    "app": {{"command": [{python!r}, "-m", "http.server", "--bind", "127.0.0.1", "{{port}}", "-d", {site!r}], "port": {port}}}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


APP_PORT, BAIT_PORT = free_port(), free_port()


def until(what, seconds=60):
    end = time.time() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.time() > end:
            raise TimeoutError(f"not within {seconds} s: {what.__name__}")
        time.sleep(0.1)


class Hub:
    def __init__(self, options):
        self.options = options
        self.directory = options["directory"]
        self.netns = options.get("netns")
        self.public_ip = options["publicIp"]
        self.public = f"http://{self.public_ip}:{free_port()}"
        self.home = f"{self.directory}/home"
        self.log = open(f"{self.directory}/hub.log", "wb")

    def write(self):
        o, d = self.options, self.directory
        site = f"{d}/site"
        os.makedirs(self.home)
        os.makedirs(site)
        with open(f"{site}/index.html", "w") as f:
            f.write("the app of alice")
        os.makedirs(f"{self.home}/.jupyter")
        with open(f"{self.home}/.jupyter/jupyter_server_config.py", "w") as f:
            f.write(JUPYTER_CONFIG.format(python=sys.executable, port=APP_PORT, site=site))
        for place in (self.home, f"{self.home}/.jupyter"):
            os.chown(place, VICTIM_UID, VICTIM_UID)
        os.chmod(self.home, 0o700)
        as_user = f"setpriv --reuid {VICTIM_UID} --regid {VICTIM_UID} --clear-groups"
        enter = f"nsenter -n/proc/{os.getpid()}/ns/net " if self.netns else ""
        submit = f"sh {HERE}/jupyterhub_submit.sh {self.home} {d}/job.log {enter}{as_user}"
        with open(f"{d}/jupyterhub_config.py", "w") as f:
            f.write(CONFIG.format(
                public=self.public, hub_ip=o["hubIp"], hub_port=free_port(), proxy=o["proxy"],
                api=("https" if o["ssl"] else "http") + f"://127.0.0.1:{free_port()}", directory=d, ssl=o["ssl"], token=TOKEN,
                alt_names=["IP:" + o["hubIp"], "IP:" + o["node"], "DNS:localhost"],
                environment={"HOME": self.home, "JUPYTER_PREFER_ENV_PATH": "1",
                             "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"]},
                home=self.home, cmd=o["cmd"], submit=submit, node=o["node"], batch=o["batch"],
                sudo=o.get("sudo", ""), singleuser=o.get("singleuser", "")))

    def start(self):
        command = [os.path.dirname(sys.executable) + "/jupyterhub", "-f", f"{self.directory}/jupyterhub_config.py"]
        if self.netns:
            command = ["ip", "netns", "exec", self.netns] + command
        env = {**os.environ, "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"]}
        self.process = subprocess.Popen(command, cwd=self.directory, env=env, stdout=self.log, stderr=self.log,
                                        start_new_session=True)

        def up():
            if self.process.poll() is not None:
                raise RuntimeError("the Hub ended: " + self.tail())
            try:
                return requests.get(self.public + "/hub/login", timeout=5).ok
            except requests.RequestException:
                return False
        until(up)

    def tail(self):
        lines = open(f"{self.directory}/hub.log", errors="replace").read().splitlines()
        text = "\n".join(line for line in lines if " 200 " not in line)[-6000:]
        job = f"{self.directory}/job.log"
        return text + ("\n--- job\n" + open(job, errors="replace").read()[-3000:] if os.path.exists(job) else "")

    def api(self, method, path, **more):
        return requests.request(method, f"{self.public}/hub/api{path}", timeout=90,
                                headers={"Authorization": f"token {TOKEN}"}, **more)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)


class Browser:
    def __init__(self, hub):
        self.hub, self.session = hub, requests.Session()

    def log_in(self):
        login = self.hub.public + "/hub/login"
        self.session.get(login)
        xsrf = self.session.cookies.get("_xsrf", path="/hub/")
        answer = self.session.post(login, params={"_xsrf": xsrf}, data={"username": VICTIM, "password": "x"})
        assert answer.ok, answer.status_code

    def open_server(self):
        """Through the Hub's pages, until the server itself answers."""
        user = f"{self.hub.public}/user/{VICTIM}/"
        self.session.get(self.hub.public + f"/hub/spawn/{VICTIM}")

        def answers():
            status = self.hub.api("GET", f"/users/{VICTIM}").json()
            server = status["servers"].get("")
            return server and server["ready"]
        until(answers, 90)
        self.session.get(user)  # sends us through the Hub's log-in
        answer = self.session.get(user + "api/status")
        assert answer.ok and "kernels" in answer.text, (answer.status_code, answer.text[:300])

    def get(self, path):
        return self.session.get(f"{self.hub.public}/user/{VICTIM}/{path}", timeout=40)

    def run_cell(self, code):
        """A kernel over the WebSocket; returns what it printed."""
        xsrf = self.session.cookies.get("_xsrf", path=f"/user/{VICTIM}/")
        base = f"{self.hub.public}/user/{VICTIM}/"
        answer = self.session.post(base + "api/kernels", json={}, headers={"X-XSRFToken": xsrf or ""}, timeout=40)
        assert answer.ok, (answer.status_code, answer.text[:300])
        cookies = "; ".join(f"{c.name}={c.value}" for c in self.session.cookies if base.find(c.path) >= 0)
        ws = websocket.create_connection(f"{base}api/kernels/{answer.json()['id']}/channels".replace("http", "ws", 1),
                                         cookie=cookies, timeout=60)
        header = {"msg_id": "m1", "msg_type": "execute_request", "session": "s", "username": "u", "version": "5.3",
                  "date": "2020-01-01T00:00:00Z"}
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {},
                   "allow_stdin": False, "stop_on_error": True}
        ws.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content,
                            "channel": "shell", "buffers": []}))
        text = ""
        while True:
            message = json.loads(ws.recv())
            if message["parent_header"].get("msg_id") != "m1":
                continue
            if message["msg_type"] == "stream":
                text += message["content"]["text"]
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(message["content"]["traceback"]))
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                ws.close()
                return text


def as_other(*argv, **more):
    return subprocess.run(["setpriv", "--reuid", str(OTHER_UID), "--regid", str(OTHER_UID), "--clear-groups",
                           sys.executable, f"{HERE}/jupyterhub_other.py", *argv], stdout=subprocess.PIPE, text=True, **more)


def listening_ports(uid):
    """TCP ports of this network namespace on which this uid listens."""
    found = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in open(name).read().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[7]) == uid:
                found.add(int(fields[1].split(":")[1], 16))
    return found


def victims():
    return [p for p in os.listdir("/proc") if p.isdigit() and owner(p) == VICTIM_UID]


def owner(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            text = f.read()
        return None if "State:\tZ" in text else int(re.search(r"^Uid:\t(\d+)", text, re.M)[1])
    except OSError:
        return None


def sh(command):
    subprocess.run(command.split(), check=True)


def network_namespace(options):
    """The Hub on another machine, as far as the network can tell."""
    name, here, there = f"cordon-{os.getpid()}", "10.213.77.1", "10.213.77.2"
    sh(f"ip netns add {name}")
    link = f"cdn{os.getpid()}"[:14]
    sh(f"ip link add {link} type veth peer name eth0 netns {name}")
    sh(f"ip addr add {here}/24 dev {link}")
    sh(f"ip link set {link} up")
    sh(f"ip -n {name} addr add {there}/24 dev eth0")
    sh(f"ip -n {name} link set eth0 up")
    sh(f"ip -n {name} link set lo up")
    options.update(netns=name, publicIp=there, hubIp=there, node=here)


def main():
    options = OPTIONS
    if victims():
        raise SystemExit(f"uid {VICTIM_UID} is in use")
    if options.get("elsewhere"):
        network_namespace(options)
    hub = Hub(options)
    hub.write()
    result = {}
    try:
        hub.start()
        browser = Browser(hub)
        browser.log_in()
        browser.open_server()
        result["app"] = browser.get("app/").text
        result["cell"] = browser.run_cell("print(6 * 7)").strip()
        # The kernel's ports, from its connection file.
        place = browser.run_cell("import ipykernel; print(ipykernel.get_connection_file())").strip()
        connection = json.load(open(place))
        result["ports"] = sorted(listening_ports(VICTIM_UID))
        addresses = ["127.0.0.1", "::1", options["node"]]
        result["attackApp"] = json.loads(as_other("get", str(APP_PORT), *addresses).stdout)
        result["attackIopub"] = json.loads(as_other("greet", str(connection["iopub_port"]), *addresses).stdout)
        bait = subprocess.Popen(["setpriv", "--reuid", str(OTHER_UID), "--regid", str(OTHER_UID), "--clear-groups",
                                 sys.executable, f"{HERE}/jupyterhub_other.py", "bait", str(BAIT_PORT)])
        try:
            until(lambda: BAIT_PORT in listening_ports(OTHER_UID))
            result["bait"] = browser.get(f"proxy/{BAIT_PORT}/").text[:40]
        finally:
            bait.kill()
            bait.wait()
        # Restart: stop, and again the same.
        stopped = hub.api("DELETE", f"/users/{VICTIM}/server").status_code
        assert stopped in (202, 204), stopped
        until(lambda: not hub.api("GET", f"/users/{VICTIM}").json()["servers"], 40)
        browser.open_server()
        result["appAgain"] = browser.get("app/").text
        hub.api("DELETE", f"/users/{VICTIM}/server")
        until(lambda: not hub.api("GET", f"/users/{VICTIM}").json()["servers"], 40)
        try:
            until(lambda: not victims(), 10)
        except TimeoutError:
            pass
        result["left"] = [open(f"/proc/{p}/cmdline").read().replace("\0", " ") for p in victims()]
    except Exception as error:
        result["error"] = f"{type(error).__name__}: {error}\n{hub.tail()}"
    finally:
        hub.stop()
        for pid in victims():
            os.kill(int(pid), signal.SIGKILL)
        if hub.netns:
            subprocess.run(["ip", "netns", "del", hub.netns])
    print(json.dumps(result))


main()
