#!/bin/sh
# The batch system of the tests: jupyterhub_submit.sh HOME LOG PREFIX… <script. Runs the script behind PREFIX at once
# and prints its process id.
set -eu
home=$1 log=$2
shift 2
script=$(mktemp "$home/job.XXXXXXXX")
cat >"$script"
chmod 755 "$script"
setsid "$@" sh "$script" >>"$log" 2>&1 &
echo $!
