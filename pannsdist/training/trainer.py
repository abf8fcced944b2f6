"""Epochs, steps, and when to stop. No files, no plugins: what happened is told to the trackers and to `keep`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NoReturn

import numpy as np

from pannsdist.contracts import EpochReport, StepReport, Tracker
from pannsdist.contracts.batch import Batch
from pannsdist.distributed.world import World
from pannsdist.runtime.errors import BadClip, NotFinite, Stopped
from pannsdist.training.background import Background
from pannsdist.training.best import BestTracker
from pannsdist.training.checkpoint import checkpoint_name
from pannsdist.training.clock import Clock
from pannsdist.training.counters import Tally
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate
from pannsdist.training.run_length import Course
from pannsdist.training.state import Progress, Snapshot, own_statistics
from pannsdist.training.step_sync import Agreed, Wishes, agree_on
from pannsdist.training.train_step import Learner


@dataclass(frozen=True)
class TrainingData:
    """This process's batches of an epoch, counted from 1, after so many of its steps; and how many steps it has."""

    batches: Callable[[int, int], Iterable[Batch]]
    steps: int


@dataclass(frozen=True)
class Outlets:
    """Where results go, in rank 0: trackers, the keeper of snapshots, the lists of bad clips and bad steps.

    `keep` takes a snapshot, and the weights to be shipped where they are the best; it may write them in `writing`.
    """

    trackers: Sequence[Tracker] = ()
    keep: Callable[[Snapshot, Mapping[str, np.ndarray] | None], None] = lambda *_: None
    note_bad: Callable[[Sequence[BadClip]], None] = lambda _: None
    note_bad_step: Callable[[str], None] = lambda _: None
    writing: Background = field(default_factory=Background)


@dataclass(frozen=True)
class Session:
    """What one start of a run works with."""

    data: TrainingData
    split: SplitToEvaluate
    outlets: Outlets
    clock: Clock
    is_asked_to_stop: Callable[[], bool]
    bad: list[BadClip] = field(default_factory=list)

    def wishes(self, course: Course, tally: Tally) -> Wishes:
        """What this process would like before the next step. No save has to wait for the one before it."""
        is_due = course.is_save_due(tally.step, tally.saved) or self.clock.is_save_due(course.save_every_minutes)
        save = is_due and not tally.bad_in_a_row and not self.outlets.writing.is_busy
        time_up = self.clock.is_up(course.max_minutes)
        return Wishes(self.is_asked_to_stop(), time_up, save, self.outlets.writing.failed)


class Trainer:
    """Trains, evaluates after each epoch, and hands on snapshots. Every process has one."""

    def __init__(self, world: World, learner: Learner, evaluator: Evaluator, best: BestTracker, course: Course) -> None:
        self._world, self._learner, self._evaluator = world, learner, evaluator
        self._best, self._course = best, course

    def resume(self, snapshot: Snapshot | None) -> Progress:
        """Go on from rank 0's snapshot (the others give None); its weights are loaded already. Every process."""
        world = self._world
        progress = world.on_main(lambda: snapshot.progress if snapshot else Progress())
        if progress.step:
            arrays = world.share_arrays(snapshot.optimizer if snapshot else None)
            statistics = own_statistics(
                world.share_arrays(snapshot.statistics if snapshot else None), world.rank, world.size
            )
            world.agree(lambda: self._learner.restore(arrays))
            self._learner.start_epoch(self._course.epoch_under_way(progress.step, progress.evaluated))
            world.agree(lambda: self._learner.network.restore_statistics(statistics))  # thawing shares those of rank 0
            self._best.restore(progress.best)
        return progress

    def fit(
        self,
        progress: Progress,
        data: TrainingData,
        split: SplitToEvaluate,
        outlets: Outlets,
        is_asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """All steps that are left. Every process.

        Raises Stopped, after a save, where `is_asked_to_stop` in any process; NotFinite after too many bad steps.
        """
        course, tally = self._course, Tally(progress, self._world.rank, self._world.size)
        session = Session(data, split, outlets, Clock(data.steps, course.total_steps), is_asked_to_stop)
        self._learner.network.train()
        is_time_up = False
        while not is_time_up and not course.is_over(tally.epoch, tally.step, tally.evaluated, self._best.epoch):
            is_time_up = self._train(tally, session)
            if tally.step > tally.evaluated:
                self._evaluate(tally, session)
        self._world.agree(outlets.writing.settle)
        return tally.progress(self._best.state(), self._world.gather(tally.window.read()))

    def _train(self, tally: Tally, session: Session) -> bool:
        """The steps up to the next evaluation; gives whether the time is up before."""
        end = self._course.next_evaluation(tally.step, tally.evaluated)
        epoch = self._course.epoch_under_way(tally.step, tally.evaluated)
        self._learner.start_epoch(epoch)
        batches = iter(session.data.batches(epoch, tally.step - (epoch - 1) * session.data.steps))
        session.clock.start_epoch(tally.step)
        is_time_up = False
        while tally.step < end and not is_time_up:
            agreed = agree_on(self._world, batches, session.clock, session.wishes(self._course, tally))
            if agreed.wishes.has_writing_failed:
                self._world.agree(session.outlets.writing.settle)
            if agreed.wishes.stop:
                self._stop(tally, session)
            if agreed.wishes.save:
                self._save(tally, session)
            is_time_up = agreed.wishes.is_time_up
            if not is_time_up:
                self._step(agreed, tally, session)
                number = tally.step - (epoch - 1) * session.data.steps
                if number % self._course.report_every_steps == 0:
                    self._report(epoch, tally, session)
        if tally.window_steps:
            self._report(epoch, tally, session)
        return is_time_up

    def _step(self, agreed: Agreed, tally: Tally, session: Session) -> None:
        tally.step += 1
        tally.window_steps += 1
        session.bad.extend(agreed.batch.bad)
        if not agreed.all_clips:
            return
        outcome = self._learner.step(agreed.batch, tally.step, agreed.all_clips, self._course.seed)
        tally.gradient_norm = outcome.gradient_norm
        if outcome.finite:
            tally.step_taken(outcome.loss, len(agreed.batch.ids))
            return
        tally.step_skipped()
        ids = dict.fromkeys(chain(*self._world.gather((*agreed.batch.ids, *agreed.batch.further_ids))))
        line = f"step {tally.step} was not taken, its loss or gradient is not finite; its clips: {', '.join(ids)}"
        self._world.on_main(lambda: session.outlets.note_bad_step(line))
        if tally.bad_in_a_row >= self._course.max_bad_steps:
            self._world.agree(session.outlets.writing.settle)
            raise _not_finite(tally)

    def _report(self, epoch: int, tally: Tally, session: Session) -> None:
        """Tell what the steps since the last report came to. Every process."""
        loss, clips = self._world.total(*tally.window.read())
        tally.window_closed(loss, clips)
        steps, pace = session.data.steps, session.clock.pace(tally.step, clips)
        rates, mean = self._learner.rates(tally.step), loss / clips if clips else float("nan")
        made = (epoch, tally.step, tally.step - (epoch - 1) * steps, steps)
        report = StepReport(*made, mean, rates, pace, tally.gradient_norm)
        for tracker in session.outlets.trackers:
            tracker.steps(report)

    def _evaluate(self, tally: Tally, session: Session) -> None:
        """Evaluate, tell, and save. What was told is told again by a run that is killed before the save is done."""
        is_whole_epoch = tally.step % session.data.steps == 0
        statistics = self._statistics()
        self._world.sync_statistics(self._learner.network)
        self._learner.end_epoch(self._course.epoch_under_way(tally.step, tally.evaluated))
        split = SplitToEvaluate(session.split.name, session.split.ids, lambda: _until_asked_to_stop(session))
        try:
            with self._learner.answering():
                evaluation = self._evaluator.evaluate(split)
                scores = {"train/loss": tally.train_loss, **evaluation.scores}
                tally.evaluation_done(session.data.steps, scores)
                is_best = self._best.update(tally.epoch, tally.step, scores)
                shipped = self._learner.network.arrays() if is_best and self._world.is_main else None
        except Stopped:
            self._stop(tally, session, statistics)
        session.bad.extend(evaluation.bad if self._world.is_main else ())
        seconds, epochs = session.clock.end_epoch(), self._course.epochs
        done = (tally.epoch, epochs, tally.step)
        report = EpochReport(*done, scores, self._best.metric, is_best, seconds, evaluation.predictions)

        def tell() -> None:
            session.outlets.writing.settle()
            for tracker in session.outlets.trackers:
                tracker.epoch(report)

        self._world.agree(tell)
        self._save(tally, session, {} if is_whole_epoch else statistics, shipped)

    def _statistics(self) -> dict[str, np.ndarray]:
        """The running statistics of all processes by `rank/name`. Every process."""
        if self._world.size == 1:
            return {}
        parts = self._world.exchange(self._learner.network.statistics())
        return {f"{rank}/{name}": array for rank, part in enumerate(parts) for name, array in part.items()}

    def _save(
        self,
        tally: Tally,
        session: Session,
        statistics: Mapping[str, np.ndarray] | None = None,
        shipped: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Hand a snapshot on, copied to the host. Every process, close together, when no other is being written.

        What goes wrong stops all of them at the next step.
        """
        outlets, network = session.outlets, self._learner.network
        statistics = self._statistics() if statistics is None else statistics
        parts = self._world.exchange((tally.window.read(), tuple(session.bad)))
        session.bad.clear()
        progress = tally.progress(self._best.state(), [window for window, _ in parts])
        bad = list(chain.from_iterable(clips for _, clips in parts))

        if self._world.is_main:
            try:
                outlets.keep(Snapshot(progress, network.arrays(), self._learner.state(), statistics), shipped)
                if bad:
                    outlets.note_bad(bad)
            except Exception as error:  # noqa: BLE001 - it is raised again, in every process
                outlets.writing.fail(error)
        tally.saved = tally.step
        session.clock.saved()

    def _stop(self, tally: Tally, session: Session, statistics: Mapping[str, np.ndarray] | None = None) -> NoReturn:
        """Save what is not saved yet, and leave. Every process."""
        self._world.agree(session.outlets.writing.settle)
        if tally.step > tally.saved:
            self._save(tally, session, statistics)
        self._world.agree(session.outlets.writing.settle)
        where = f"after step {tally.step} of {self._course.total_steps}"
        saved = f"saved in checkpoints/{checkpoint_name(tally.step)}" if tally.step else "nothing to save yet"
        raise Stopped(f"stopped {where}, as asked: {saved}", "the same command goes on from there")


def _until_asked_to_stop(session: Session) -> Iterator[Batch]:
    """The batches of an evaluation. Raises Stopped between two of them; all processes learn of it when they meet."""
    for batch in session.split.batches():
        if session.is_asked_to_stop():
            raise Stopped("the evaluation was stopped")
        yield batch


def _not_finite(tally: Tally) -> NotFinite:
    first = tally.step - tally.bad_in_a_row + 1
    wrong = f"the loss or the gradient was not finite in steps {first} to {tally.step}, and none of them was taken"
    if tally.saved:
        weights = f"checkpoints/{checkpoint_name(tally.saved)}/model.pdparams"
        right = f"the last good weights are in {weights} of the run's folder: give them to a run of another name as\n"
        right += "model.weights, with a lower optimizer.learning_rate; "
    else:
        right = "no checkpoint was written before: try a lower optimizer.learning_rate; "
    return NotFinite(wrong, right + "the clips of each step are named in bad_steps.txt")
