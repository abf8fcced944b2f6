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

# The same rule as in pannsdist/runtime/cpu.py. It stands here too because the launcher itself imports Paddle.
if [ -z "${MKL_DEBUG_CPU_TYPE+set}" ] && [ "$(uname -m)" = x86_64 ] && grep -qs '^vendor_id.*AuthenticAMD' /proc/cpuinfo
then
    export MKL_DEBUG_CPU_TYPE=5
fi

visible_gpus() {  # one identifier a line
    if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
        tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES" | sed '/^ *$/d; /^-1$/,$d'
    elif command -v nvidia-smi >/dev/null; then
        { nvidia-smi -L 2>/dev/null || true; } | sed -n 's/^GPU \([0-9]*\):.*/\1/p'
    fi
}

mapfile -t gpus < <(visible_gpus)
if [ "${#gpus[@]}" -gt 0 ]; then
    built_for_gpus=$("$python" -W ignore -c 'import paddle; print(paddle.is_compiled_with_cuda())')
    if [ "$built_for_gpus" != True ]; then
        echo "this Paddle is built for the CPU: ${#gpus[@]} GPUs stay unused" >&2
        gpus=()
    fi
fi
if [ "${#gpus[@]}" -gt 0 ]; then processes=${NPROC:-${#gpus[@]}}; else processes=${NPROC:-$(nproc)}; fi
[[ $processes =~ ^[1-9][0-9]*$ ]] || refuse "NPROC is '$processes'" "give a number of processes, 1 or more"
if [ "${#gpus[@]}" -eq 0 ]; then
    unset CUDA_VISIBLE_DEVICES  # Paddle 3.3.1's launcher takes an empty one for a GPU
    devices=(--nproc_per_node "$processes")
elif [ "$processes" -le "${#gpus[@]}" ]; then
    devices=(--gpus "$(IFS=,; printf '%s' "${gpus[*]:0:processes}")")
else
    refuse "NPROC is $processes, but there are ${#gpus[@]} GPUs" "one process for each GPU, at most"
fi

# Let train.py decide for a world of $1 processes, and give the run's folder. A mistake ends the script with code 2.
run_folder() {  # WORLD_SIZE CONFIG [key=value ...]
    local size=$1 config=$2 plan
    shift 2
    plan=$(PADDLE_TRAINERS_NUM=$size PADDLE_TRAINER_ID=0 "$python" "$project/pannsdist/train.py" --dry-run \
        -c "$config" "$@") || return
    sed -n 's/^run  *//p;q' <<<"$plan"
}

# Paddle's launcher writes the whole environment, secrets included, into its log folder: nobody else may read there.
private_folder() {  # PATH
    mkdir -p "$(dirname "$1")"
    [ ! -L "$1" ] || rm "$1"  # to the log folder of a run that was started by hand: not to be touched
    (umask 077 && mkdir -p "$1")
    chmod 700 "$1"
}

# In place of this script, so that the launcher itself gets Ctrl-C and SIGTERM and gives the exit code.
launch() {  # launcher's and script's arguments
    PANNSDIST_UMASK=$(umask)  # train.py goes on with it: the mask below is for the files of the launcher
    export PANNSDIST_UMASK
    umask 077
    exec "$python" -W "ignore:No ccache found" -m paddle.distributed.launch --log_level WARNING \
        "${devices[@]}" "$@"
}

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
