"""Epochs and steps. No files, no names, no plugins: what happened is told to the trackers and handed to `keep`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import paddle

from pannsdist.batch import Batch
from pannsdist.errors import BadClip
from pannsdist.parallel import World
from pannsdist.training.best import BestTracker
from pannsdist.training.checkpoint import Progress, Snapshot
from pannsdist.training.clock import Clock
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate
from pannsdist.training.learner import Learner
from pannsdist.training.tracking import EpochReport, StepReport, Tracker


@dataclass(frozen=True)
class TrainingData:
    """This process's batches of an epoch, counted from 1, and how many steps an epoch has in every process."""

    batches: Callable[[int], Iterable[Batch]]
    steps: int


@dataclass(frozen=True)
class Course:
    """What is decided before the first step: how long, from which seed, told how often."""

    epochs: int
    seed: int
    report_every_steps: int


@dataclass(frozen=True)
class Outlets:
    """Where results go, in rank 0: trackers, the keeper of snapshots, the list of bad clips."""

    trackers: Sequence[Tracker]
    keep: Callable[[Snapshot, bool], None]
    note_bad: Callable[[Sequence[BadClip]], None]

    @classmethod
    def none(cls) -> Outlets:
        """Those of a process that is not rank 0."""
        return cls((), lambda *_: None, lambda _: None)


class Trainer:
    """Trains, evaluates after each epoch, and hands on a snapshot of every epoch. Every process has one."""

    def __init__(self, world: World, learner: Learner, evaluator: Evaluator, best: BestTracker, course: Course) -> None:
        self._world, self._learner, self._evaluator = world, learner, evaluator
        self._best, self._course = best, course

    def resume(self, snapshot: Snapshot | None) -> Progress:
        """Go on from rank 0's snapshot (the others give None); its weights are loaded already. Every process."""
        progress = self._world.on_main(lambda: snapshot.progress if snapshot else Progress())
        if progress.epoch:
            arrays = self._world.share_arrays(snapshot.optimizer if snapshot else None)
            self._world.agree(lambda: self._learner.restore(arrays))
            self._best.restore(progress.best)
        return progress

    def fit(self, progress: Progress, data: TrainingData, split: SplitToEvaluate, outlets: Outlets) -> Progress:
        """All epochs that are left. Every process."""
        clock = Clock(data.steps, self._course.epochs)
        self._learner.network.train()
        for epoch in range(progress.epoch + 1, self._course.epochs + 1):
            clock.start_epoch()
            self._learner.start_epoch(epoch)
            loss, bad = self._train(epoch, data, clock, outlets.trackers)
            self._world.sync_statistics(self._learner.network)
            self._learner.end_epoch(epoch)
            with self._learner.answering():
                evaluation = self._evaluator.evaluate(split)
            scores = {"train/loss": loss, **evaluation.scores}
            is_best = self._best.update(epoch, scores)
            progress = Progress(epoch, epoch * data.steps, scores, self._best.state())
            self._keep(progress, is_best, (*bad, *evaluation.bad), outlets)
            seconds = clock.end_epoch()
            done = (epoch, self._course.epochs, progress.step)
            report = EpochReport(*done, scores, self._best.metric, is_best, seconds, evaluation.predictions)
            for tracker in outlets.trackers:
                tracker.epoch(report)
        return progress

    def _keep(self, progress: Progress, is_best: bool, bad: Sequence[BadClip], outlets: Outlets) -> None:
        """Rank 0 writes; a full disk there stops every process."""

        def keep() -> None:
            outlets.keep(Snapshot(progress, self._learner.network.arrays(), self._learner.state()), is_best)
            if bad:
                outlets.note_bad(bad)

        self._world.agree(lambda: keep() if self._world.is_main else None)

    def _train(
        self, epoch: int, data: TrainingData, clock: Clock, trackers: Sequence[Tracker]
    ) -> tuple[float, tuple[BadClip, ...]]:
        """One epoch; gives the mean loss over its clips, as they were seen, and the clips that were skipped."""
        window, whole = Sum(), Sum()
        bad: list[BadClip] = []
        for number, (batch, all_clips) in enumerate(self._agreed(data.batches(epoch), clock), start=1):
            step = (epoch - 1) * data.steps + number
            bad += batch.bad
            if all_clips:
                outcome = self._learner.step(batch, step, all_clips, self._course.seed)
                window.add(outcome.loss, len(batch.ids))
            if number % self._course.report_every_steps == 0 or number == data.steps:
                loss, clips = self._world.total(*window.read())
                whole.add(loss, clips)
                rates, mean = {"all": self._learner.schedule.rate(step)}, loss / max(1.0, clips)
                report = StepReport(epoch, step, number, data.steps, mean, rates, clock.pace(epoch, number, clips))
                for tracker in trackers:
                    tracker.steps(report)
                window = Sum()
        loss, clips = whole.read()
        return loss / max(1.0, clips), tuple(chain.from_iterable(self._world.gather(bad)))

    def _agreed(self, batches: Iterable[Batch], clock: Clock) -> Iterator[tuple[Batch, int]]:
        """Each process's batch and the number of clips in all of them, until they end.

        A process that cannot read its batch tells the others before any of them enters the step.
        """
        remaining = iter(batches)
        while True:
            with clock.waiting():
                batch, error = _attempt(remaining)
            failures, ended, clips = self._world.total(
                float(error is not None), float(batch is None and error is None), float(len(batch.ids) if batch else 0)
            )
            if failures:
                self._world.agree(lambda error=error: _raise(error))  # type: ignore[misc]
            if ended or batch is None:
                return
            yield batch, int(clips)


def _attempt(batches: Iterator[Batch]) -> tuple[Batch | None, Exception | None]:
    """The next batch, None after the last, or the error instead."""
    try:
        return next(batches, None), None
    except Exception as error:  # noqa: BLE001 - it is raised again, in every process
        return None, error


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


class Sum:
    """A sum of losses, left on the device until it is read, and of clips."""

    def __init__(self) -> None:
        self._loss: paddle.Tensor | float = 0.0
        self._clips = 0.0

    def add(self, loss: paddle.Tensor | float, clips: float) -> None:
        """Add without reading."""
        self._loss = self._loss + loss
        self._clips += clips

    def read(self) -> tuple[float, float]:
        """(sum of losses, clips); waits for the device."""
        return float(self._loss), self._clips
