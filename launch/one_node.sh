#!/usr/bin/env bash
# Trains on this machine, one process for each GPU, or for each core where there is none.
set -eu

usage="usage: $0 CONFIG [key=value ...]
  variables: NPROC (processes), CUDA_VISIBLE_DEVICES (GPUs), PYTHON
  example:   NPROC=2 $0 configs/tones_cnn6.yaml train.epochs=2"
case ${1:-} in
    -h | --help) printf '%s\n' "$usage"; exit 0 ;;
    '' | -*) printf '%s\n' "$usage" >&2; exit 2 ;;
esac
# shellcheck source=launch/env.sh
. "$(dirname "$0")/env.sh"

run=$(run_folder "$processes" "$@")
private_folder "$run/log"
launch --log_dir "$run/log" "$project/pannsdist/train.py" -c "$@"
