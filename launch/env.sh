# Sourced by the scripts beside it: finds the python that has pannsdist, or uses PYTHON.
# shellcheck shell=bash
#
# Leaves  project, python, and the function below; this checkout comes first where python looks for pannsdist.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

refuse() {  # WRONG [RIGHT]
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf '  %s\n' "$2" >&2
    exit 2
}

if [ -n "${PYTHON:-}" ]; then python=$PYTHON
elif [ -x "$project/.venv/bin/python" ]; then python=$project/.venv/bin/python
else python=python3
fi
command -v "$python" >/dev/null || refuse "no python '$python'" "set PYTHON to the one that has pannsdist"
export PYTHONPATH=$project${PYTHONPATH:+:$PYTHONPATH}
