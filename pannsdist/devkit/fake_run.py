"""A simulated run for testing trackers: its reports, its clips, and the side effects of a tracker."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.contracts import ClipFeatures, EpochReport, Pace, StepReport, TrackedRun, Tracker
from pannsdist.contracts.predictions import Predictions
from pannsdist.devkit.checking import Subject
from pannsdist.runtime.errors import BadClip
from pannsdist.runtime.storage import make_folder

LABELS = ("dog", "rain", "50% 狗")
MISSING_CLIP = "clip9"
EPOCH_STEPS = 4
LOCAL_HOSTS = ("127.", "::1", "localhost")


def tracked_run(folder: Path, from_step: int = 0, **changed: Any) -> TrackedRun:
    """A simulated run in its own folder, with every kind of tracked output enabled."""
    make_folder(folder)
    given = {
        "hyper_parameters": {"model": "small", "epochs": 3, "learning_rate": 0.5, "weights": None, "amp": True},
        "score_names": ["train/loss", "valid/accuracy", "valid/loss"],
        "read_clip": _read_clip,
        "weights": lambda: {"fc.weight": np.arange(6.0).reshape(2, 3), "fc.not_finite": np.array([np.nan, np.inf])},
        "worst_clips": 2,
        "curves": LABELS,
        "histograms_every_epochs": 1,
    }
    return TrackedRun(name="fake run", folder=folder, from_step=from_step, **{**given, **changed})


def _read_clip(name: str) -> ClipFeatures:
    if name == MISSING_CLIP:
        raise BadClip(f"clip '{MISSING_CLIP}' is missing")
    tone = 2.0 * np.sin(np.arange(800) * 0.3).astype(np.float32)
    return ClipFeatures(tone, 8000, np.arange(320.0).reshape(20, 16) % 7)


def predictions(multi_label: bool = False, first: int = 0) -> Predictions:
    """Predictions for four clips and three classes."""
    ids = tuple(f"clip{number}" for number in range(first, first + 4))
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 1, 0]] if multi_label else np.array([0, 1, 1, 0])
    return Predictions(ids, logits, targets, LABELS, multi_label)


def epoch(number: int, **changed: Any) -> EpochReport:
    """The report of an epoch of four steps, the best so far."""
    scores = {"train/loss": 0.75, "valid/accuracy": number / 8, "valid/loss": 1.0 / number}
    given = {"scores": scores, "selected": "valid/accuracy", "is_best": True, "seconds": 61.0}
    return EpochReport(number, 3, EPOCH_STEPS * number, **{"predictions": predictions(), **given, **changed})


def steps(step: int, **changed: Any) -> StepReport:
    """The report of two training steps."""
    given = {"loss": 1.0 / step, "learning_rates": {"all": 1e-3}, "pace": Pace(12.5, 0.25, 9.0, 3.0)}
    done = (step - 1) // EPOCH_STEPS
    return StepReport(done + 1, step, step - EPOCH_STEPS * done, EPOCH_STEPS, **{**given, **changed})


def reports(after_step: int = 0, epochs: int = 3) -> Iterator[StepReport | EpochReport]:
    """The reports of a run after a step: every second step, and every epoch."""
    for step in range(after_step + 2, EPOCH_STEPS * epochs + 1, 2):
        yield steps(step)
        if step % EPOCH_STEPS == 0:
            yield epoch(step // EPOCH_STEPS)


def send_reports(tracker: Tracker, sent: Iterable[StepReport | EpochReport]) -> None:
    """Send reports to a tracker as a run does, with a flush after each epoch, before its checkpoint."""
    for report in sent:
        if isinstance(report, StepReport):
            tracker.steps(report)
        else:
            tracker.epoch(report)
            tracker.flush()


def observe_tracker(subject: Subject, folder: Path) -> dict[str, list[str]]:
    """Run a tracker through a whole simulated run, and return its side effects.

    Keys: `outside`, paths written outside the run folder; `connected`, hosts contacted; `left`, state left behind.
    Call it in a fresh interpreter, because the audit hook cannot be removed. Other processes are not observed.
    """
    import paddle  # noqa: F401 - imported before the observation starts, as in a run
    import psutil

    from pannsdist.contracts import pictures

    pictures.font_for("a")  # fills matplotlib's own font cache
    plugin = subject.plugin()
    elsewhere = folder / "elsewhere"
    make_folder(elsewhere)
    os.chdir(elsewhere)
    before, threads = _state(), set(threading.enumerate())
    outside: list[str] = []
    connected: list[str] = []
    sys.addaudithook(lambda event, given: _record(event, given, folder, outside, connected))
    tracker = plugin.open(tracked_run(folder / "run"))
    send_reports(tracker, reports())
    tracker.close()
    after = _state()
    left = [f"{what} has changed" for what in before if before[what] != after[what]]
    left += [f"thread {thread.name}" for thread in set(threading.enumerate()) - threads if thread.is_alive()]
    left += [f"process {_command(process)}" for process in psutil.Process().children(recursive=True)]
    return {"outside": sorted(set(outside)), "connected": sorted(set(connected)), "left": sorted(left)}


def _command(process: Any) -> str:
    """The first two words of a process's command line; of one that has ended and was not waited for, its id."""
    import psutil

    try:
        return " ".join(process.cmdline()[:2])
    except psutil.ZombieProcess:
        return f"{process.pid}, a zombie"


def _state() -> dict[str, Any]:
    """Global state that a tracker must not change."""
    generator: Any = np.random.get_state()
    handlers = {f"the handler of {each.name}": signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    states = {"the state of `random`": random.getstate(), "the state of `numpy.random`": generator[1].tobytes()}
    return {**handlers, **states, "the working folder": str(Path.cwd())}


def _record(event: str, given: tuple[Any, ...], folder: Path, outside: list[str], connected: list[str]) -> None:
    """Record writes outside `folder`, and connections to other hosts."""
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = given[1] if event == "socket.connect" else given[:1]
        host = address[0] if isinstance(address, tuple) else ""
        if host and not str(host).startswith(LOCAL_HOSTS):
            connected.append(str(host))
    elif event in ("open", "os.mkdir", "os.rename", "os.remove"):
        flags = given[2] if event == "open" else 0
        is_written = event != "open" or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR))
        is_relative_to_folder = event != "open" and given[-1] != -1  # as shutil.rmtree removes files
        if is_written and not is_relative_to_folder and isinstance(given[0], (str, bytes)):
            path = Path(os.path.realpath(os.fsdecode(given[0])))
            if not path.is_relative_to(folder / "run") and not path.is_relative_to(folder / "temporary"):
                outside.extend([str(path)] * (not path.is_relative_to("/dev")))
