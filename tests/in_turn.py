"""Run several commands one after another in the same processes, which import Paddle and join each other only once.

Started by `launching.in_turn`, alone or as every process of the launcher. Argument: a JSON file with the commands.
Each command is a script with its arguments, run as if by itself in its own working folder. Its output and its exit code
go into files of its own. A command that raises anything but SystemExit ends the process: the others would wait for it.
"""

import json
import os
import runpy
import sys
import traceback
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
RANK = int(os.environ.get("PADDLE_TRAINER_ID", "0"))
KEPT = []
"""Globals of the scripts: Paddle 3.3.1 may crash where a wrapped layer is dropped before the next is made."""


def join_once():
    """Join the other processes now, and give the same world to every command; gives what leaves it."""
    from pannsdist.runtime import console, cpu

    cpu.use_fast_kernels()
    console.quiet_paddle()
    from pannsdist.distributed import fleet

    world = fleet.connect()
    leave, world.close = world.close, lambda: None

    def connect(use_gpu=True, options=None):  # noqa: ARG001 - the names are part of the call
        """Wait for the others as a join does, so that none writes while another still checks."""
        world.barrier()
        return world

    fleet.connect = connect
    return leave


def run(command):
    """Run one command; its exit code."""
    sys.argv = command["arguments"]
    os.chdir(command["cwd"])
    path_before = list(sys.path)
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *command["path"]]
    try:
        KEPT.append(runpy.run_path(sys.argv[0], run_name="__main__"))
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.path[:] = path_before
    return 0


def send_output_to(path):
    """What this process prints from now on goes into a file, also what C++ prints."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def main(path):
    commands = json.loads(Path(path).read_text(encoding="utf-8"))
    leave = join_once() if "PADDLE_TRAINER_ID" in os.environ else None
    for command in commands:
        results = Path(command["results"])
        send_output_to(results / f"output.{RANK}")
        try:
            code = run(command)
        except BaseException:
            traceback.print_exc()
            raise
        (results / f"exit_code.{RANK}").write_text(str(code))
    if leave:
        leave()


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    main(sys.argv[1])
