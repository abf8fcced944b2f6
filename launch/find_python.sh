#!/usr/bin/env bash
# Print a Python that Paddle has wheels for (3.10 to 3.12 suit 2.6 and 3) and that can make virtual environments.
set -u
for python in python3 python3.11 python3.12 python3.10 python; do
  if "$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
    echo "$python"
    exit 0
  fi
done
echo "no Python 3.10, 3.11 or 3.12 with the venv module was found; on Debian: apt-get install python3 python3-venv" >&2
echo "python-was-not-found"
exit 1
