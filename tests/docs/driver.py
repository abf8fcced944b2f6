"""Run commands one after another, as a shell would, with the packages of the interpreter that runs this.

`pannsdist` and Python scripts run in this process, which imports Paddle once; anything else in one of its own.
Argument: a JSON file with the commands. Beside it are written `N.output` and, if it ended, `N.code` of command N.
"""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

KEPT = []
"""Globals of the scripts: Paddle 3.3.1 may crash where a layer is dropped before the next is made."""

OF_THIS_PYTHON = {"pip": (sys.executable, "-m", "pip"), "python": (sys.executable,)}
"""A virtual environment without pip has no script of that name; another one on the PATH would install elsewhere."""


def run(arguments):
    """The exit code of one command."""
    script = shutil.which("pannsdist") if arguments[0] == "pannsdist" else arguments[1]
    if arguments[0] not in ("pannsdist", "python") or not Path(script).is_file():
        command = [*OF_THIS_PYTHON.get(arguments[0], arguments[:1]), *arguments[1:]]
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    sys.argv = [script, *(arguments[1:] if arguments[0] == "pannsdist" else arguments[2:])]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            KEPT.append(runpy.run_path(script, run_name="__main__"))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001 what a shell would go on after
        traceback.print_exc()
        return 1
    return 0


def as_a_process(arguments):
    """Run one command, and put everything back that a process would not leave behind."""
    folder, environment, path = Path.cwd(), dict(os.environ), list(sys.path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        return run(arguments)
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path
        for number, handler in handlers.items():
            signal.signal(number, handler)


def main(path):
    """Run all of them."""
    for number, arguments in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        sys.stdout.flush()
        sys.stderr.flush()
        with path.with_name(f"{number}.output").open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = as_a_process(arguments)
        path.with_name(f"{number}.code").write_text(str(code))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
