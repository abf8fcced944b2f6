"""What a tracker keeps to."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.contracts import Tracker
from pannsdist.devkit import fake_run, subprocess_probe
from pannsdist.devkit.checking import Check, Cost, Subject, require
from pannsdist.devkit.fake_run import EPOCH_STEPS, epoch, predictions, reports, steps, tell, tracked_run

TIMES = 4


def it_says_what_to_type_to_look_at_a_run(subject: Subject) -> str:
    """`look`, with {folder} for the run's own; empty where there is nothing to type."""
    look = subject.opened().look
    require(isinstance(look, str), f"look is {look!r}")
    return look or "nothing"


def it_takes_every_report_of_a_run(subject: Subject) -> str:
    """Also groups of parameters, several labels a clip, a clip that is gone, and an epoch without predictions."""
    with _opened(subject) as (tracker, folder):
        tracker.flush()
        tell(tracker, reports(epochs=1))
        tracker.steps(steps(6, learning_rates={"stem": 1e-4, "head": 1e-3}, gradient_norm=2.5))
        tracker.epoch(epoch(2, predictions=None, is_best=False))
        tracker.epoch(epoch(3, predictions=predictions(multi_label=True)))
        tracker.epoch(epoch(4, predictions=predictions(first=int(fake_run.GONE[-1]))))
        tracker.flush()
        tracker.flush()
        return f"{_bytes(folder)} bytes in the run's folder"


def a_value_that_is_no_number_does_no_harm(subject: Subject) -> str:
    """A loss, a rate or a score may be NaN or infinite, and so may all that a network says."""
    broken = np.full((4, 3), math.nan, np.float32)
    clips = predictions()
    odd = type(clips)(clips.ids, broken, clips.targets, clips.labels, False)
    with _opened(subject) as (tracker, _):
        tracker.steps(steps(2, loss=math.nan, gradient_norm=math.inf))
        scores = {"train/loss": math.nan, "valid/accuracy": math.nan, "valid/d_prime": math.inf}
        tracker.epoch(epoch(1, scores=scores, is_best=False, predictions=odd))
        tell(tracker, reports(EPOCH_STEPS))
    return "NaN and infinity"


def going_on_from_one_step_again_and_again_tells_nothing_twice(subject: Subject) -> str:
    """Each time the same is told after it, so what is kept does not grow."""
    with tempfile.TemporaryDirectory(prefix="pannsdist-check-") as place:
        folder = Path(place).resolve() / "run"
        sizes = []
        for time in range(TIMES):
            from_step = EPOCH_STEPS if time else 0
            tracker = subject.opened().open(tracked_run(folder, from_step))
            tell(tracker, reports(from_step))
            tracker.close()
            sizes.append(_bytes(folder))
    seen = f"{sizes[0]} bytes, and {sizes[-1]} after it went on for {TIMES - 1} times"
    require(sizes[-1] <= 1.05 * sizes[0] + 512, seen)
    return seen


def it_writes_only_below_the_folder_of_the_run(subject: Subject) -> str:
    """Whoever gets the folder gets all of the run; what other processes write is not seen."""
    outside = subprocess_probe.doings_of_tracking(subject)["outside"]
    require(not outside, f"it writes {', '.join(outside[:3])}")
    return "in a Python of its own"


def at_its_defaults_nothing_leaves_the_machine(subject: Subject) -> str:
    """Who wants a server names it in the settings."""
    asked = subprocess_probe.doings_of_tracking(subject)["asked"]
    require(not asked, f"it asks for {', '.join(asked[:3])}")
    return "in a Python of its own"


def the_run_is_as_if_nobody_watched(subject: Subject) -> str:
    """No thread and no process is left, no signal goes elsewhere, and no random number was drawn."""
    left = subprocess_probe.doings_of_tracking(subject)["left"]
    require(not left, f"after close: {', '.join(left[:3])}")
    return "in a Python of its own"


@contextmanager
def _opened(subject: Subject) -> Iterator[tuple[Tracker, Path]]:
    """A tracker of a run in a new folder, closed at the end."""
    with tempfile.TemporaryDirectory(prefix="pannsdist-check-") as place:
        folder = Path(place).resolve() / "run"
        tracker: Any = subject.opened().open(tracked_run(folder))
        try:
            yield tracker, folder
        finally:
            tracker.close()


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


CHECKS = (
    Check(it_says_what_to_type_to_look_at_a_run),
    Check(it_takes_every_report_of_a_run, Cost.COMPUTES),
    Check(a_value_that_is_no_number_does_no_harm, Cost.COMPUTES),
    Check(going_on_from_one_step_again_and_again_tells_nothing_twice, Cost.COMPUTES),
    Check(it_writes_only_below_the_folder_of_the_run, Cost.COMPUTES),
    Check(at_its_defaults_nothing_leaves_the_machine, Cost.COMPUTES),
    Check(the_run_is_as_if_nobody_watched, Cost.COMPUTES),
)
