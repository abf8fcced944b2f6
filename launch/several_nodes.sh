#!/usr/bin/env bash
# Trains on several machines: `pannsdist train --nodes ... --master ...` with the settings file first. Start it on each.
set -eu

usage="usage: MASTER=HOST:PORT NNODES=N $0 CONFIG [key=value ...]
  MASTER     name or address of one of the nodes, as the others reach it, with a free port; it writes the run
  NNODES     number of nodes, or MIN:MAX to go on with fewer
  NPROC, CUDA_VISIBLE_DEVICES, PYTHON      as for one_node.sh"
case ${1:-} in
    -h | --help) printf '%s\n' "$usage"; exit 0 ;;
    '' | -*) printf '%s\n' "$usage" >&2; exit 2 ;;
esac
# shellcheck source=launch/env.sh
. "$(dirname "$0")/env.sh"

exec "$python" -m pannsdist train --nodes "${NNODES:-}" --master "${MASTER:-}" ${NPROC:+--nproc "$NPROC"} -c "$@"
