#!/usr/bin/env bash
# Trains on this machine: `pannsdist train` with the settings file first and the number of processes in NPROC.
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

exec "$python" -m pannsdist train ${NPROC:+--nproc "$NPROC"} -c "$@"
