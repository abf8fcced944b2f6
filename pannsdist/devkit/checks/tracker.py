"""Conformance checks of trackers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.contracts import TestReport, Tracker
from pannsdist.devkit import fake_run, subprocess_probe
from pannsdist.devkit.checking import Check, Cost, Subject, require
from pannsdist.devkit.fake_run import EPOCH_STEPS, epoch, predictions, reports, send_reports, steps, tracked_run
from pannsdist.runtime import storage

STARTS = 4


def its_view_command_is_a_text(subject: Subject) -> str:
    """`look`, a shell command with {folder} for the run folder; empty if there is none."""
    look = subject.plugin().look
    require(isinstance(look, str), f"look is {look!r}")
    return look or "none"


def it_accepts_every_report_of_a_run(subject: Subject) -> str:
    """Also parameter groups, multi-label predictions, a missing clip, and an epoch without predictions."""
    with _open_tracker(subject) as (tracker, folder):
        tracker.flush()
        send_reports(tracker, reports(epochs=1))
        tracker.steps(steps(6, learning_rates={"stem": 1e-4, "head": 1e-3}, gradient_norm=2.5))
        tracker.epoch(epoch(2, predictions=None, is_best=False))
        tracker.epoch(epoch(3, predictions=predictions(multi_label=True)))
        tracker.epoch(epoch(4, predictions=predictions(first=int(fake_run.MISSING_CLIP[-1]))))
        tracker.flush()
        tracker.flush()
        if hasattr(tracker, "test"):
            tracker.test(TestReport(2, 16, {"test/accuracy": 0.5, "test/d_prime": math.inf}, predictions()))
            tracker.test(TestReport(2, 16, {"test/accuracy": math.nan}))
        return f"{_bytes(folder)} bytes in the run's folder"


def nan_and_infinite_values_are_accepted(subject: Subject) -> str:
    """A loss, a rate, a score or logits may be NaN or infinite."""
    broken = np.full((4, 3), math.nan, np.float32)
    clips = predictions()
    not_finite = type(clips)(clips.ids, broken, clips.targets, clips.labels, False)
    with _open_tracker(subject) as (tracker, _):
        tracker.steps(steps(2, loss=math.nan, gradient_norm=math.inf))
        scores = {"train/loss": math.nan, "valid/accuracy": math.nan, "valid/d_prime": math.inf}
        tracker.epoch(epoch(1, scores=scores, is_best=False, predictions=not_finite))
        send_reports(tracker, reports(EPOCH_STEPS))
    return "NaN and infinity"


def resuming_repeatedly_writes_no_duplicates(subject: Subject) -> str:
    """Each start sends the same reports again, so the files must not grow."""
    with storage.temporary_folder() as place:
        folder = place.resolve() / "run"
        sizes = []
        for start in range(STARTS):
            from_step = EPOCH_STEPS if start else 0
            tracker = subject.plugin().open(tracked_run(folder, from_step))
            send_reports(tracker, reports(from_step))
            tracker.close()
            sizes.append(_bytes(folder))
    grown = f"{sizes[0]} bytes, and {sizes[-1]} after resuming {STARTS - 1} times"
    require(sizes[-1] <= 1.05 * sizes[0] + 512, grown)
    return grown


def it_writes_only_inside_the_run_folder(subject: Subject) -> str:
    """So that the run folder is complete; files written by other processes are not observed."""
    outside = subprocess_probe.tracking_side_effects(subject)["outside"]
    require(not outside, f"it writes {', '.join(outside[:3])}")
    return "in a fresh interpreter"


def with_default_params_it_opens_no_connection(subject: Subject) -> str:
    """A server is contacted only if the settings name it."""
    connected = subprocess_probe.tracking_side_effects(subject)["connected"]
    require(not connected, f"it connects to {', '.join(connected[:3])}")
    return "in a fresh interpreter"


def it_leaves_no_threads_processes_or_changed_state(subject: Subject) -> str:
    """After `close`: no threads, no processes, the same signal handlers and random generator states."""
    left = subprocess_probe.tracking_side_effects(subject)["left"]
    require(not left, f"after close: {', '.join(left[:3])}")
    return "in a fresh interpreter"


@contextmanager
def _open_tracker(subject: Subject) -> Iterator[tuple[Tracker, Path]]:
    """A tracker opened for a run in a new folder, closed at the end."""
    with storage.temporary_folder() as place:
        folder = place.resolve() / "run"
        tracker: Any = subject.plugin().open(tracked_run(folder))
        try:
            yield tracker, folder
        finally:
            tracker.close()


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


CHECKS = (
    Check(its_view_command_is_a_text),
    Check(it_accepts_every_report_of_a_run, Cost.COMPUTES),
    Check(nan_and_infinite_values_are_accepted, Cost.COMPUTES),
    Check(resuming_repeatedly_writes_no_duplicates, Cost.COMPUTES),
    Check(it_writes_only_inside_the_run_folder, Cost.COMPUTES),
    Check(with_default_params_it_opens_no_connection, Cost.COMPUTES),
    Check(it_leaves_no_threads_processes_or_changed_state, Cost.COMPUTES),
)
