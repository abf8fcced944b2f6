#!/usr/bin/env bash
# Trains on several machines: start it on each of them, with the same settings, MASTER, NNODES and NPROC.
set -eu

usage="usage: MASTER=IP:PORT NNODES=N [NODE_RANK=K] $0 CONFIG [key=value ...]
  MASTER     address of one of the nodes, with a free port; or etcd://IP:PORT
  NNODES     number of nodes
  NODE_RANK  0 to NNODES-1, on all nodes or on none; the node with rank 0 (else the one at MASTER) writes the run
  HOST       this node's own address       (else: of IFNAME, or the one towards MASTER)
  IFNAME     network interface of HOST     (else: looked up)
  NPROC, CUDA_VISIBLE_DEVICES, PYTHON      as for one_node.sh"
case ${1:-} in
    -h | --help) printf '%s\n' "$usage"; exit 0 ;;
    '' | -*) printf '%s\n' "$usage" >&2; exit 2 ;;
esac
# shellcheck source=launch/env.sh
. "$(dirname "$0")/env.sh"

# Paddle's launcher compares MASTER's host with the node's address as text: with a name, nobody would be the master.
[[ ${MASTER:-} =~ ^(etcd://)?([0-9]+(\.[0-9]+){3}):[0-9]+$ ]] || refuse "MASTER is '${MASTER:-}'" "write IP:PORT"
master_ip=${BASH_REMATCH[2]}
[[ ${NNODES:-} =~ ^[1-9][0-9]*$ ]] || refuse "NNODES is '${NNODES:-}'" "give the number of nodes"
rank=()
if [ -n "${NODE_RANK:-}" ]; then
    [[ $NODE_RANK =~ ^[0-9]+$ ]] && [ "$NODE_RANK" -lt "$NNODES" ] ||
        refuse "NODE_RANK is '$NODE_RANK'" "nodes are counted from 0 to $((NNODES - 1))"
    rank=(--rank "$NODE_RANK")
fi

# Both are necessary. Without --host a node gives the address of its own name, often 127.0.0.1; without the interface,
# gloo and NCCL choose one themselves.
if [ -z "${HOST:-}" ] || [ -z "${IFNAME:-}" ]; then
    command -v ip >/dev/null || refuse "HOST and IFNAME are not both set" "set them, or install iproute2"
fi
if [ -z "${HOST:-}" ] && [ -n "${IFNAME:-}" ]; then
    HOST=$(ip -4 -o addr show dev "$IFNAME" | awk 'NR == 1 { sub("/.*", "", $4); print $4 }')
elif [ -z "${HOST:-}" ]; then
    HOST=$(ip -4 -o route get "$master_ip" | sed -n 's/.* src \([^ ]*\).*/\1/p')
fi
[ -n "${IFNAME:-}" ] || IFNAME=$(ip -4 -o addr show to "$HOST" | awk 'NR == 1 { print $2 }')
[ -n "$HOST" ] && [ -n "$IFNAME" ] || refuse "no network interface found for '$HOST$IFNAME'" "set HOST and IFNAME"
export GLOO_SOCKET_IFNAME=${GLOO_SOCKET_IFNAME:-$IFNAME} NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-$IFNAME}

# A folder for each node: where they share a disk, two would write the same workerlog.0.
run=$(run_folder "$((NNODES * processes))" "$@")
private_folder "$run/log"
private_folder "$run/log/node-${NODE_RANK:-$HOST}"
launch --master "$MASTER" --nnodes "$NNODES" "${rank[@]}" --host "$HOST" \
    --log_dir "$run/log/node-${NODE_RANK:-$HOST}" "$project/pannsdist/train.py" -c "$@"
