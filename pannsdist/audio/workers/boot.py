"""The script that a worker process runs: finds the modules that its parent finds, then serves tasks."""

from __future__ import annotations

import mmap
import os
import pickle
import sys


def start(file: int) -> bytes:
    """The pickle of a function to call first. The file holds it, and the parent's path of modules."""
    with mmap.mmap(file, 0, prot=mmap.PROT_READ) as memory:
        sys.path[:], given = pickle.loads(memory)  # noqa: S301 - of the parent
    os.close(file)
    return bytes(given)


def main() -> None:
    """Serve tasks. The arguments are the file of `start`, and those of `serve`."""
    file, *numbers = map(int, sys.argv[1:])
    first = start(file)
    from pannsdist.audio.workers.process import serve

    serve(first, *numbers)


if __name__ == "__main__":
    main()
