#!/bin/sh
# Installs a release of cordon for one user:
#
#     curl -fsSL BASE/install.sh | sh -s -- --base-url BASE
#
#   --base-url URL   where the release lies (or CORDON_BASE_URL): cordon-linux-ARCH and cordon-linux-ARCH.sha256
#   --prefix DIR     install into DIR/bin instead of ~/.local/bin
#   --old-names      also answer to isolate.sh, portwrap and jupyter_docker_kernel.py
#
# Needs curl or wget, and sha256sum. The file is put in place only when it is whole; on any failure nothing is left
# and what was installed before stays.
set -u

# Everything is in functions that the last line calls: a script cut off while it is downloaded does nothing.

fail() {
  printf 'install.sh: %s\n' "$1" >&2
  [ -z "${2-}" ] || printf '\nhint: %s\n' "$2" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

usage() {
  echo "usage: install.sh --base-url URL [--prefix DIR] [--old-names]"
}

# value OPTION COUNT VALUE: what follows an option.
value() {
  [ "$2" -gt 1 ] && [ -n "$3" ] || fail "$1 needs a value"
  printf %s "$3"
}

fetch() {
  if have curl; then
    curl -fsSL --connect-timeout 15 -o "$2" "$1"
  else
    wget -q -T 30 -t 2 -O "$2" "$1"
  fi
}

clean() { [ -z "$work" ] || rm -rf "$work"; }

# undo: the directories we made, innermost first; rmdir leaves alone what somebody has put a file in since.
undo() {
  clean
  [ "$done" = yes ] || for directory in $made; do rmdir "$directory" 2>/dev/null; done
}

# make_directory DIR: like mkdir -p, remembering what is new. Names with spaces are not remembered, only made.
make_directory() {
  missing=$1
  while [ ! -d "$missing" ]; do
    case $missing in *[[:space:]]*) ;; *) made="$made $missing" ;; esac
    missing=$(dirname -- "$missing")
  done
  mkdir -p -- "$1" || fail "cannot create $1"
}

# link NAME: to cordon in the same directory. A program that is no link of ours stays.
link() {
  target=$(readlink -- "$bin/$1" 2>/dev/null)
  if { [ -e "$bin/$1" ] || [ -L "$bin/$1" ]; } && [ "${target##*/}" != cordon ]; then
    printf 'install.sh: %s\n' "$bin/$1 exists and is not cordon's; left as it is" >&2
    return
  fi
  ln -s cordon "$work/$1" && mv -f -- "$work/$1" "$bin/$1" || fail "cannot write $bin/$1"
}

main() {
  base=${CORDON_BASE_URL-} prefix='' old_names=''
  while [ $# -gt 0 ]; do
    case $1 in
      --base-url) base=$(value "$1" $# "${2-}") || exit; shift ;;
      --base-url=*) base=${1#*=} ;;
      --prefix) prefix=$(value "$1" $# "${2-}") || exit; shift ;;
      --prefix=*) prefix=${1#*=} ;;
      --old-names) old_names=1 ;;
      -h | --help) usage; exit 0 ;;
      *) usage >&2; exit 2 ;;
    esac
    shift
  done
  [ -n "$base" ] || fail "no address to download from" "install.sh --base-url URL   (or set CORDON_BASE_URL)"
  base=${base%/}

  case $(uname -s)-$(uname -m) in
    Linux-x86_64 | Linux-amd64) file=cordon-linux-x86_64 ;;
    Linux-aarch64 | Linux-arm64) file=cordon-linux-aarch64 ;;
    *) fail "no release for $(uname -s) on $(uname -m): cordon runs on Linux on x86_64 and aarch64" ;;
  esac
  have curl || have wget || fail "neither curl nor wget is installed"
  have sha256sum || fail "sha256sum is not installed"

  if [ -n "$prefix" ]; then
    case $prefix in /*) ;; *) prefix=$(pwd)/$prefix ;; esac
    bin=$prefix/bin
  else
    [ -n "${HOME-}" ] || fail "HOME is not set" "install.sh --prefix DIR"
    bin=$HOME/.local/bin
  fi

  work='' made='' done=no
  trap undo EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  make_directory "$bin"
  # On the same file system as its destination, so that the rename is atomic; private, with a name nobody can guess.
  work=$(mktemp -d "$bin/.cordon-install.XXXXXXXX") || fail "cannot write to $bin"

  fetch "$base/$file.sha256" "$work/sum" || fail "cannot download $base/$file.sha256"
  read -r sum rest <"$work/sum" || [ -n "${sum-}" ] || fail "$base/$file.sha256 is empty"
  case $sum in
    *[!0-9a-fA-F]* | '') fail "$base/$file.sha256 is not a checksum" ;;
  esac
  [ ${#sum} = 64 ] || fail "$base/$file.sha256 is not a sha256 checksum"
  fetch "$base/$file" "$work/cordon" || fail "cannot download $base/$file (network, or no space in $bin)"
  got=$(sha256sum <"$work/cordon") || fail "cannot read the downloaded file"
  [ "${got%% *}" = "$(printf %s "$sum" | tr A-F a-f)" ] ||
    fail "$base/$file does not have the checksum that $file.sha256 states; nothing was installed"

  chmod 755 "$work/cordon" || fail "cannot make the file executable"
  said=$(cd / && "$work/cordon" --version 2>&1 </dev/null) || fail "the downloaded cordon does not start here: $said"
  [ ! -d "$bin/cordon" ] || fail "$bin/cordon is a directory"
  mv -f -- "$work/cordon" "$bin/cordon" || fail "cannot write $bin/cordon"
  done=yes
  if [ -n "$old_names" ]; then
    for name in isolate.sh portwrap jupyter_docker_kernel.py; do link "$name"; done
    [ -e "$bin/batchspawner-portwrap" ] ||
      echo "batchspawner-portwrap is a script; write it with: $bin/cordon portwrap --install-batchspawner $bin"
  fi
  echo "$said installed as $bin/cordon"
  case :${PATH-}: in
    *":$bin:"*) ;;
    *) echo "$bin is not on PATH; add it with: export PATH=\"$bin:\$PATH\"" ;;
  esac
}

main "$@"
