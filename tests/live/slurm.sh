#!/bin/sh
# A Slurm of one node on addresses of its own: slurm.sh DIRECTORY UID COMMAND… runs the command as that user, once the
# controller answers and the node is idle. To be started in namespaces of its own (mount, network, hostname, processes).
set -eu
directory=$1 uid=$2
shift 2
mkdir "$directory/munge" "$directory/state" "$directory/spool"
cd "$directory"
printf 'root:x:0:0::/root:/bin/sh\nalice:x:%s:%s::%s/home:/bin/sh\n' "$uid" "$uid" "$directory" >passwd
printf 'root:x:0:\nalice:x:%s:\n' "$uid" >group
printf '127.0.0.1 localhost\n10.213.78.1 slurmctl.test node.test\n' >hosts
for name in passwd group hosts; do mount --bind "$directory/$name" "/etc/$name"; done
hostname node
ip link set lo up
ip address add 10.213.78.1/24 dev lo

chmod 711 munge
chmod 700 state spool
(umask 077 && head -c 1024 /dev/urandom >state/key)
cat >slurm.conf <<END
ClusterName=test
SlurmctldHost=node(slurmctl.test)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$directory/munge/socket
StateSaveLocation=$directory/state
SlurmdSpoolDir=$directory/spool
SlurmctldPidFile=$directory/state/slurmctld.pid
SlurmdPidFile=$directory/state/slurmd.pid
SlurmctldLogFile=$directory/slurmctld.log
SlurmdLogFile=$directory/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1
NodeName=node NodeAddr=node.test CPUs=1
PartitionName=all Nodes=node Default=YES
END
export SLURM_CONF="$directory/slurm.conf"

# until SECONDS COMMAND…
until_true() {
  turns=$(($1 * 10))
  shift
  until "$@"; do
    turns=$((turns - 1))
    [ $turns -gt 0 ] || { echo "not within the time: $*" >&2; tail -n 20 "$directory"/*.log >&2; exit 1; }
    sleep 0.1
  done
}
idle() { timeout 5 sinfo -h -o %T 2>/dev/null | grep -qx idle; }

munged --foreground --force --key-file="$directory/state/key" --socket="$directory/munge/socket" \
  --pid-file="$directory/munge/pid" --log-file="$directory/munged.log" --seed-file="$directory/state/seed" 2>/dev/null &
until_true 20 test -S munge/socket
slurmctld -D -f slurm.conf >/dev/null 2>&1 &
slurmd -D -f slurm.conf -N node >/dev/null 2>&1 &
until_true 60 idle
cd home
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups env "HOME=$directory/home" USER=alice "$@"
