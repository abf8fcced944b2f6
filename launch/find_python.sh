#!/usr/bin/env bash
# Print a Python, 3.10 to the one given, that can make virtual environments: `find_python.sh 3.13`.
# Paddle 3.3.1 has wheels for Linux up to Python 3.13, Paddle 2.6.2 up to 3.12.
set -u
latest=${1:-3.13}
check='import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, int(sys.argv[1][2:])))'
for python in python3 python3.12 python3.11 python3.10 python3.13 python; do
  if "$python" -c "$check" "$latest" 2>/dev/null; then
    echo "$python"
    exit 0
  fi
done
echo "no Python 3.10 to $latest with the venv module was found; on Debian: apt-get install python3 python3-venv" >&2
exit 1
