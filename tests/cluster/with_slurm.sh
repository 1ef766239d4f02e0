#!/bin/sh
# Starts a Slurm of one node with two processors on this machine, runs a command with it, and takes it down again. As root, with Debian's
# slurmctld, slurmd, slurm-client and munge.
#   sh tests/cluster/with_slurm.sh DIR COMMAND ..      DIR: for its state and its logs
# In the command SLURM_CONF names its configuration, and SLURMD_START is the line that starts slurmd again.
# Exit status 77: it cannot run here, and why is said.
dir=$1 && shift
cannot() { echo "no Slurm here: $1"; exit 77; }
for program in munged slurmctld slurmd sbatch scontrol; do
  command -v $program >/dev/null || cannot "$program is not installed"
done
[ "$(id -u)" = 0 ] || cannot "its daemons need root"
rm -rf "$dir" && mkdir -p "$dir/state" "$dir/spool" "$dir/log" || exit 1
dir=$(realpath "$dir")
host=$(hostname -s)
export SLURM_CONF="$dir/slurm.conf"
cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1
KillWait=5
MinJobAge=300
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/ctld.pid
SlurmdPidFile=$dir/d.pid
SlurmctldLogFile=$dir/log/ctld
SlurmdLogFile=$dir/log/d
MpiDefault=none
JobRequeue=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF

# Munge refuses what others can reach, so its files lie in a place of its own.
munge=$(mktemp -d /run/aviary-munge.XXXXXX)
chmod 755 "$munge"
head -c 1024 /dev/urandom >"$munge/key" && chmod 400 "$munge/key"
sed -i "s#^AuthInfo=.*#AuthInfo=socket=$munge/socket#" "$SLURM_CONF"
chown -R munge:munge "$munge"

down() {
  for pid in "$dir/d.pid" "$dir/ctld.pid" "$munge/pid"; do
    [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null
  done
  sleep 1
  rm -rf "$munge"
}
trap down EXIT
trap 'exit 1' INT TERM HUP
su -s /bin/sh munge -c "munged --key-file=$munge/key --socket=$munge/socket --pid-file=$munge/pid --log-file=$munge/log --seed-file=$munge/seed" \
  >"$dir/log/munged" 2>&1 || cannot "munged does not start: $(tail -n 1 "$dir/log/munged")"
slurmctld >"$dir/log/start" 2>&1 || cannot "slurmctld does not start: $(tail -n 1 "$dir/log/start")"
slurmd >"$dir/log/start" 2>&1 || cannot "slurmd does not start: $(tail -n 1 "$dir/log/start")"
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle' && break
  sleep 1
done
sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle' || cannot "its node does not become idle: $(tail -n 1 "$dir/log/ctld")"
export SLURMD_START=slurmd SLURM_DIR="$dir"
"$@"
