#!/bin/sh
# What the tests need beyond what cordon needs, in one place. `./run-tests --install` runs it; safe to run again.
# The Debian packages need root; without it the missing ones are named and the tests that need them are skipped.
# Python packages go to build/venv, never into the system's Python.
set -u
cd "$(dirname "$0")/.." || exit 1

# package              for
debian='
binutils               as and objcopy: the listings of the shim on x86_64
gcc                    small C programs that attack a sandbox
libc6-dev              the same
gcc-aarch64-linux-gnu  the listing of the shim on aarch64 (brings its binutils)
qemu-user-static       running that on another machine
bubblewrap             what start-up times and set-up are compared with
util-linux             setpriv, unshare, flock
procps                 ps, for what must not be left behind
curl                   install.sh and the first-run script
wget                   the same without curl
python3                pseudo-terminals, notebooks
python3-venv           build/venv
docker.io              kernels and commands in containers
podman                 the same
busybox-static         a small image made without a registry
docker-registry        pulls without the world
r-cran-irkernel        a kernel of another language
iproute2               network namespaces
passt                  pasta, an uplink for a closed network
slirp4netns            another
socat                  what portwrap is compared with
systemd                systemd-analyze: the unit of packaging/
nginx-light            the proxies of packaging/ before cordon serve
apache2-bin            another
caddy                  another
openssl                a certificate for them
tmux                   a door that portwrap closes
screen                 another
sudo                   the sudospawner of JupyterHub
slurmctld              a batch system, whose commands are used from inside portwrap
slurmd                 its node
slurm-client           its commands
munge                  how they authenticate
chromium               a browser that opens JupyterLab
chromium-driver        what leads it
'

# Jupyter as its users have it: from PyPI, one version each.
python='
nbclient==0.10.2
nbformat==5.10.4
ipykernel==6.30.1
jupyter_client==8.6.3
jupyter_kernel_test==0.7.0
jupyter_server==2.17.0
jupyterlab==4.5.11
pexpect==4.9.0
websocket-client==1.8.0
nbconvert==7.16.6
nbgrader==0.9.5
matplotlib==3.10.6
bash_kernel==0.10.0
jupyterhub==5.3.0
batchspawner==1.3.0
sudospawner==1.0.0
jupyter-server-proxy==4.4.0
requests==2.32.4
schemathesis==4.32.5
'

missing=
for package in $(printf '%s' "$debian" | awk 'NF { print $1 }'); do
  # Ubuntu has Chromium as a snap only; Google's browser does as well.
  case $package in chromium*) command -v google-chrome >/dev/null && command -v chromedriver >/dev/null && continue ;; esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get install -y -q --no-install-recommends $missing >/dev/null ||
      { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } || exit 1
  else
    echo "not installed (needs root and apt-get):$missing"
  fi
fi

wanted=$(printf '%s' "$python" | awk 'NF { print $1 }')
if [ "$(cat build/venv/installed 2>/dev/null)" != "$wanted" ]; then
  echo "installing into build/venv:" $wanted
  mkdir -p build && rm -rf build/venv
  python=/usr/bin/python3
  [ -x "$python" ] || python=python3
  # shellcheck disable=SC2086
  "$python" -m venv build/venv && build/venv/bin/pip install -q --disable-pip-version-check $wanted || exit 1
  printf '%s\n' "$wanted" >build/venv/installed
fi

# The real Dockyter, out of reach of the other tests, which install a dockyter.py of cordon's. It says that it wants
# Python 3.12, and runs on 3.11.
dockyter=dockyter==0.3.5
if [ "$(cat build/dockyter/installed 2>/dev/null)" != "$dockyter" ]; then
  echo "installing into build/dockyter: $dockyter"
  rm -rf build/dockyter
  build/venv/bin/pip install -q --disable-pip-version-check --target build/dockyter --no-deps \
    --ignore-requires-python "$dockyter" || exit 1
  printf '%s\n' "$dockyter" >build/dockyter/installed
fi

# JupyterHub's proxy is a program of Node's.
proxy=configurable-http-proxy@4.6.3
if [ "$(cat build/node/installed 2>/dev/null)" != "$proxy" ]; then
  if command -v npm >/dev/null; then
    echo "installing into build/node: $proxy"
    rm -rf build/node && mkdir -p build/node
    npm install --silent --no-audit --no-fund --prefix build/node "$proxy" >/dev/null || exit 1
    printf '%s\n' "$proxy" >build/node/installed
  else
    echo "not installed (needs npm): $proxy"
  fi
fi
