# Sourced by the scripts beside it: finds python and the GPUs, and says how many processes this machine gets.
# shellcheck shell=bash
#
# Given   PYTHON, NPROC, CUDA_VISIBLE_DEVICES: each optional.
# Leaves  project, python, processes, devices (the launcher's arguments for them), and the functions below.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

refuse() {  # WRONG [RIGHT]
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf '  %s\n' "$2" >&2
    exit 2
}

# The same rule as in pannsdist/cpu.py. It stands here too because the launcher itself imports Paddle.
if [ -z "${MKL_DEBUG_CPU_TYPE+set}" ] && [ "$(uname -m)" = x86_64 ] && grep -qs '^vendor_id.*AuthenticAMD' /proc/cpuinfo
then
    export MKL_DEBUG_CPU_TYPE=5
fi

if [ -n "${PYTHON:-}" ]; then python=$PYTHON
elif [ -x "$project/.venv/bin/python" ]; then python=$project/.venv/bin/python
else python=python3
fi
command -v "$python" >/dev/null || refuse "no python '$python'" "set PYTHON to the one that has pannsdist"

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
