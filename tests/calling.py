"""Call the commands in this process, which has imported Paddle already: for what a process of its own would not change.

What they print, their exit code and the files they leave are those of a process. Exceptions that a user would see as a
traceback are raised here.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import launching

from pannsdist import cli

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def train(
    config: Path | str, *overrides: object, cwd: Path, env: Mapping[str, str] | None = None
) -> launching.Launched:
    """Train with one process. `config` is a file, or the name of one in configs/."""
    arguments = ["-c", str(launching.CONFIGS / config), *map(str, overrides)]
    script = importlib.import_module("pannsdist.train")
    return _called(script.main, [str(launching.TRAIN), *arguments], cwd, env or {})


def pannsdist(*args: object, cwd: Path, env: Mapping[str, str] | None = None) -> launching.Launched:
    """Run the command `pannsdist`."""
    return _called(cli.main, ["pannsdist", *map(str, args)], cwd, env or {})


def _called(
    command: Callable[[list[str]], int], argv: list[str], cwd: Path, env: Mapping[str, str]
) -> launching.Launched:
    content = io.BytesIO()
    printed = io.TextIOWrapper(content, encoding="utf-8", newline="", write_through=True)
    with _as_a_process(argv, cwd, env), redirect_stdout(printed), redirect_stderr(printed):
        try:
            code = command(argv[1:])
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
    output = content.getvalue().decode()
    return launching.Launched(code, (code,), output, (output,))


@contextmanager
def _as_a_process(argv: list[str], cwd: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Arguments, working folder, environment, import path, warnings and signals of a process of its own."""
    before = (sys.argv, Path.cwd(), dict(os.environ), list(sys.path))
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    os.environ.update(env)
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = argv
    os.chdir(cwd)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
    finally:
        sys.argv, folder, environment, sys.path[:] = before
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in handlers.items():
            signal.signal(number, handler)
