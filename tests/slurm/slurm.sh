#!/usr/bin/env bash
# A SLURM of its own on this machine: slurmctld, two slurmd with two fake GPUs each, and a munged, all on the
# loopback interface and all under one folder. Needs no systemd and neither reads nor writes /etc/slurm; runs as root
# or as any user, who is then the only one that may submit.
#
#   SLURM_FOLDER=DIR slurm.sh up             start it; clients find it by SLURM_CONF=DIR/slurm.conf
#   SLURM_FOLDER=DIR slurm.sh kill NODE      the node dies: its slurmd and all that runs on it, by SIGKILL
#   SLURM_FOLDER=DIR slurm.sh kill-daemon NODE   its slurmd dies alone; jobs go on
#   SLURM_FOLDER=DIR slurm.sh start NODE     the node comes back
#   SLURM_FOLDER=DIR slurm.sh down           end it and remove the folder; also after a crash
#
# Ports SLURM_PORT (27817) to SLURM_PORT+2; SLURM_MAX_ARRAY (1001) is MaxArraySize; once the process SLURM_OWNER has
# ended, however it did, the cluster is ended, too.
set -euo pipefail

folder=$(realpath -m "${SLURM_FOLDER:?names the folder of the cluster}")
port=${SLURM_PORT:-27817}
nodes=(n1 n2)
host=$(uname -n); host=${host%%.*}
export SLURM_CONF=$folder/slurm.conf
PATH=$PATH:/usr/sbin:/sbin

configure() {
  mkdir -p "$folder"/{gpus,log,munge,pid,state}
  chmod 755 "$folder"
  chmod 711 "$folder/munge"
  # Names that end in the number of a GPU, on devices that are always there.
  ln -sf /dev/null "$folder/gpus/gpu0"
  ln -sf /dev/zero "$folder/gpus/gpu1"
  [ -s "$folder/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")
  # A requeued job waits for cred_expire, by default 120 s; a dead node is noticed within two SlurmdTimeout.
  cat >"$SLURM_CONF" <<CONF
ClusterName=warmgap
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/pid/slurmctld
SlurmdPidFile=$folder/pid/%n
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/%n
PlugStackConfig=$folder/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=10
ReturnToService=2
MinJobAge=3600
MaxArraySize=${SLURM_MAX_ARRAY:-1001}
$(for i in 0 1; do
    echo "NodeName=${nodes[i]} NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1 + i)) CPUs=4 RealMemory=64000 Gres=gpu:2"
  done)
PartitionName=main Nodes=n[1-2] Default=YES State=UP PriorityTier=10
PartitionName=preempt Nodes=n[1-2] State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
CONF
  for node in "${nodes[@]}"; do
    echo "NodeName=$node Name=gpu File=$folder/gpus/gpu[0-1]"
  done >"$folder/gres.conf"
  : >"$folder/plugstack.conf"
}

start_node() {
  mkdir -p "$folder/spool-$1"
  slurmd -N "$1" -f "$SLURM_CONF"
}

up() {
  configure
  # By force: its user alone may reach the folder, which munged takes for a mistake.
  munged --force --socket="$folder/munge/socket" --key-file="$folder/munge/key" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" 2>/dev/null
  if [ -n "${SLURM_OWNER:-}" ]; then setsid "$0" watch </dev/null >/dev/null 2>&1 & fi
  slurmctld -f "$SLURM_CONF"
  for node in "${nodes[@]}"; do start_node "$node"; done
  for _ in $(seq 120); do
    [ "$(sinfo -h -N -p main -t idle -o %N 2>/dev/null | wc -l)" -eq "${#nodes[@]}" ] && return 0
    sleep 0.25
  done
  echo "the cluster did not come up:" >&2
  tail -n 20 "$folder"/log/* >&2
  return 1
}

# Process ids of everything that jobs of this cluster run on a node, or on any node. slurmstepd names its
# node in no variable, but is the parent of what does.
of_jobs() {
  local environment
  for environment in /proc/[0-9]*/environ; do
    # A process that ends meanwhile has no environment.
    if grep -zqxF "SLURM_CONF=$SLURM_CONF" "$environment" 2>/dev/null &&
      grep -zqx "SLURMD_NODENAME=${1:-.*}" "$environment" 2>/dev/null; then
      environment=${environment%/environ}
      echo "${environment#/proc/}"
    fi
  done
}

kill_daemon() {
  if [ -s "$folder/pid/$1" ]; then
    kill -9 "$(cat "$folder/pid/$1")" 2>/dev/null || true
    rm -f "$folder/pid/$1"
  fi
}

kill_node() {
  local pid parent pids=()
  kill_daemon "$1"
  for pid in $(of_jobs "$1"); do
    parent=$(awk '/^PPid:/ {print $2}' "/proc/$pid/status" 2>/dev/null || true)
    if [ -n "$parent" ] && [[ $(cat "/proc/$parent/comm" 2>/dev/null) = slurmstepd ]]; then pids+=("$parent"); fi
    pids+=("$pid")
  done
  if [ "${#pids[@]}" -gt 0 ]; then kill -9 "${pids[@]}" 2>/dev/null || true; fi
}

down() {
  local pids=() pid
  for node in "${nodes[@]}"; do kill_node "$node"; done
  for pid in "$folder/pid/slurmctld" "$folder/munge/pid"; do
    if [ -s "$pid" ]; then pids+=("$(cat "$pid")"); fi
  done
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    while [ -d "/proc/$pid" ] && ! grep -q '^State:.*Z' "/proc/$pid/status"; do sleep 0.05; done
  done
  rm -rf "$folder"
}

# Until the folder is gone, as after `down`, or the owner is.
watch() {
  while [ -d "$folder" ]; do
    if [ ! -d "/proc/$SLURM_OWNER" ]; then down; fi
    sleep 1
  done
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  watch) watch ;;
  start) start_node "$2" ;;
  kill) kill_node "$2" ;;
  kill-daemon) kill_daemon "$2" ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
