"""`pannsdist.train`: a run as a function call, which leaves the process as it was."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist import settings as settings_module
from pannsdist.run import one_run
from pannsdist.run.run_results import Run
from pannsdist.runtime import console, launcher, paddle_import, signals, storage
from pannsdist.runtime.errors import SettingsError, Stopped, UserError
from pannsdist.runtime.folder_lock import refuse_held
from pannsdist.runtime.names import expanded
from pannsdist.settings.schema import Settings

if TYPE_CHECKING:
    from pannsdist.run.launching.one_node import Start

OVERRIDES = "overrides"
PASSED_SETTINGS = "settings.json"
SAME_CALL = "the same call of pannsdist.train"
CONTINUES = "the same call continues from there"
_running = threading.Lock()


def train(
    settings: str | os.PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = (), processes: int = 1
) -> Run:
    """Train as the command `pannsdist train` does, and return the results. The same call continues a stopped run.

    `settings` is a YAML file, `recipe:NAME`, or nested mappings, in which `base` may name either; `overrides` are
    texts such as `train.epochs=3`. With one process it is this one; Paddle's device and random state, signal handlers
    and warnings are afterwards what they were. With more, Paddle's launcher starts them, with the lines of rank 0 here.

    Raises UserError for what the command would refuse, and Stopped after Ctrl-C (in a notebook: interrupt) or SIGTERM,
    once the run is saved. In another thread than the main one no signal stops it; one call at a time.
    """
    given, texts = _settings(settings), _overrides(overrides)
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise SettingsError(f"processes is {processes!r}", "a whole number from 1, such as processes=2")
    if launcher.size() > 1:
        wrong = "pannsdist.train was called in a process of Paddle's launcher"
        raise SettingsError(wrong, "call it in a process of its own: processes=N starts the launcher")
    if not _running.acquire(blocking=False):
        wrong = "another call of pannsdist.train is running in this process"
        raise UserError(wrong, "wait until it is finished: both would draw from Paddle's one random state")
    try:
        with paddle_import.paddle_imported(), _paddle_kept():
            folder = _here(given, texts) if processes == 1 else _launched(given, texts, processes)
    except Stopped as stopped:
        raise Stopped(stopped.wrong, CONTINUES) from None
    finally:
        _running.release()
    return Run(folder)


def _settings(given: Any) -> Path | Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    if isinstance(given, (str, os.PathLike)) and isinstance(os.fspath(given), str):
        return expanded(given)
    wrong = f"settings is a {type(given).__name__}"
    raise SettingsError(wrong, "a YAML file, recipe:NAME, or a mapping such as {'base': 'recipe:demo', 'name': 'mine'}")


def _overrides(given: Any) -> tuple[str, ...]:
    is_list = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    if not is_list or not all(isinstance(one, str) for one in given):
        raise SettingsError(f"overrides is {given!r}", "a list of texts, such as ['train.epochs=3', 'name=mine']")
    return tuple(given)


@contextmanager
def _paddle_kept() -> Iterator[None]:
    """Context after which Paddle's device and random state are what they were. Raises UserError in its static mode."""
    import paddle

    if not paddle.in_dynamic_mode():
        raise UserError("Paddle is in static mode", "call paddle.disable_static() before pannsdist.train")
    device, random_state = paddle.device.get_device(), paddle.get_rng_state()
    try:
        yield
    finally:
        paddle.device.set_device(device)
        paddle.set_rng_state(random_state)


def _here(given: Path | Mapping[str, Any], overrides: tuple[str, ...]) -> Path:
    """Train in this process; the run folder."""
    from pannsdist.run.same_run import run_path

    plan = one_run.checked(given, overrides, 1, OVERRIDES)
    one_run.carry_out(plan, stop_requests=signals.stop_within_call)
    return run_path(plan.settings)


def _launched(given: Path | Mapping[str, Any], overrides: tuple[str, ...], processes: int) -> Path:
    """Train in several processes; the run folder."""
    from pannsdist.run.launching.devices import choose_devices, this_machine
    from pannsdist.run.launching.one_node import Start, run_to_end
    from pannsdist.run.same_run import run_path

    wanted, _ = settings_module.load(given, overrides, OVERRIDES)
    devices = replace(choose_devices(this_machine(), wanted.train, processes, ()), reason="processes")
    folder = run_path(wanted)
    with devices.selected():
        one_run.checked(given, overrides, processes, OVERRIDES)
        start = Start(given if isinstance(given, Path) else Path(), overrides, folder, devices, SAME_CALL)
        if not isinstance(given, Path):
            start = replace(start, config=_written(wanted, start), overrides=())
        console.print_main(start.line)
        error = run_to_end(start).error
    if error is not None:
        raise error
    return folder


def _written(wanted: Settings, start: Start) -> Path:
    """A settings file for the processes, secrets included, among their logs, which only the user can read."""
    from pannsdist.run.launching.command import make_log_folder

    refuse_held(start.folder)
    make_log_folder(start.log_folder)
    path = start.log_folder / PASSED_SETTINGS
    storage.write_atomic(path, json.dumps(settings_module.to_dict(wanted)))
    return path
