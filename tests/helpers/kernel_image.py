"""Writes the root file system of an image with ipykernel as a tar: kernel_image.py OUT.

No registry is needed: it is made of this machine's own files, those of Debian's packages and of the Python packages next
to this script's interpreter (build/venv). The tar appears under its name when it is whole.
"""

import io
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path

DEBIAN = ["python3", "python3-distutils", "bash", "dash", "coreutils", "libc-bin", "base-files", "libstdc++6", "zlib1g"]
PYTHON = ["ipykernel", "matplotlib"]
LEFT_OUT = re.compile(r"/usr/share/(doc|man|locale|info|lintian|bug)/|/tests?/")
PACKAGES = "usr/local/lib/python{}.{}/dist-packages".format(*sys.version_info)

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def debian_files():
    """Files of the packages and of all they depend on, as far as installed."""
    query = ["dpkg-query", "-W", "-f", "${Package}\t${Depends}, ${Pre-Depends}\t${Provides}\n"]
    depends, provides = {}, {}
    for line in subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines():
        package, needed, provided = line.split("\t")
        depends[package] = re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)", needed)
        for name in re.findall(r"[a-z0-9][a-z0-9+.-]+", re.sub(r"\(.*?\)", "", provided)):
            provides.setdefault(name, package)
    wanted = [name for name in DEBIAN if name in depends]
    for package in wanted:
        for name in depends[package]:
            name = name if name in depends else provides.get(name)
            if name and name not in wanted:
                wanted.append(name)
    listed = subprocess.run(["dpkg-query", "-L", *wanted], check=True, capture_output=True, text=True).stdout
    return sorted({line for line in listed.splitlines() if line.startswith("/") and line != "/."})


def python_files():
    """(path, name inside) of the files of the Python packages and of all they need."""
    wanted = list(PYTHON)
    for name in wanted:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # needed on other systems only
        for requirement in found.requires or []:
            needed = re.match(r"[A-Za-z0-9._-]+", requirement).group()
            if "extra ==" not in requirement and needed not in wanted:
                wanted.append(needed)
        for file in found.files or []:
            if ".." not in file.parts:
                yield str(file.locate()), f"{PACKAGES}/{file}"


def main(out):
    part = Path(f"{out}.{os.getpid()}")
    with tarfile.open(part, "w") as tar:
        added = set()

        def add(path, name):
            if name in added or LEFT_OUT.search(path) or not os.path.lexists(path):
                return
            added.add(name)
            info = tar.gettarinfo(path, name)
            if info is None:  # a socket, say
                return
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            # gettarinfo makes links of files with two names; one of them may be left out.
            if info.islnk():
                info.type, info.size = tarfile.REGTYPE, os.lstat(path).st_size
            if info.isreg():
                with open(path, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)

        # Merged /usr: a package says /bin/bash, which lies in usr/bin.
        for name in "bin", "lib", "lib64", "sbin":
            if os.path.islink(f"/{name}"):
                add(f"/{name}", name)
        for path in debian_files():
            if not path.startswith(("/etc/passwd", "/etc/group", "/var", "/boot")):
                parent = os.path.realpath(os.path.dirname(path))
                add(path, os.path.join(parent, os.path.basename(path)).lstrip("/"))
                if path.endswith(".py"):
                    # Compiled when the package was installed, and not among its files. Inside nothing can be written.
                    compiled = cache_from_source(os.path.join(parent, os.path.basename(path)))
                    add(compiled, compiled.lstrip("/"))
        for path, name in python_files():
            add(path, name)
        add("/etc/ld.so.cache", "etc/ld.so.cache")
        for name, text in FILES.items():
            if name not in added:
                info = tarfile.TarInfo(name)
                info.size = len(text)
                info.mode = 0o644
                tar.addfile(info, io.BytesIO(text.encode()))
        for name, mode in (("tmp", 0o1777), ("run", 0o755), ("proc", 0o555), ("dev", 0o755), ("sys", 0o555)):
            if name not in added:
                info = tarfile.TarInfo(name)
                info.type, info.mode = tarfile.DIRTYPE, mode
                tar.addfile(info)
    part.rename(out)


main(sys.argv[1])
