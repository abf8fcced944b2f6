"""Epochs, steps, and when to stop. No files, no plugins: what happened is told to the trackers and to `keep`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NoReturn

import numpy as np

from pannsdist.contracts import EpochReport, StepReport, Tracker
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.runtime.errors import BadClip, BadRunFolder, NotFinite, Stopped
from pannsdist.training.background import Background
from pannsdist.training.best import BestTracker
from pannsdist.training.checkpoint import checkpoint_name
from pannsdist.training.clock import Clock
from pannsdist.training.counters import Counters
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate
from pannsdist.training.run_length import RunLength
from pannsdist.training.state import Progress, Snapshot, own_statistics
from pannsdist.training.step_sync import StepInputs, StepRequest, sync_step
from pannsdist.training.train_step import Learner


@dataclass(frozen=True)
class TrainingData:
    """This process's batches of an epoch, counted from 1, after so many of its steps; and how many steps it has."""

    batches: Callable[[int, int], Iterable[Batch]]
    steps: int


@dataclass(frozen=True)
class ResultSinks:
    """Where results go, in rank 0: trackers, the keeper of snapshots, the lists of bad clips and bad steps.

    `keep` takes a snapshot, and the weights to be shipped where they are the best; it may write them in `writing`.
    """

    trackers: Sequence[Tracker] = ()
    keep: Callable[[Snapshot, Mapping[str, np.ndarray] | None], None] = lambda *_: None
    note_bad: Callable[[Sequence[BadClip]], None] = lambda _: None
    note_bad_step: Callable[[str], None] = lambda _: None
    writing: Background = field(default_factory=Background)


@dataclass(frozen=True)
class FitContext:
    """What one start of a run works with."""

    data: TrainingData
    split: SplitToEvaluate
    sinks: ResultSinks
    clock: Clock
    is_asked_to_stop: Callable[[], bool]
    bad: list[BadClip] = field(default_factory=list)

    def request(self, run_length: RunLength, counters: Counters) -> StepRequest:
        """What this process would like before the next step. No save has to wait for the one before it."""
        is_due = run_length.is_save_due(counters.step, counters.saved) or self.clock.is_save_due(
            run_length.save_every_minutes
        )
        save = is_due and not counters.bad_in_a_row and not self.sinks.writing.is_busy
        time_up = self.clock.is_up(run_length.max_minutes)
        return StepRequest(self.is_asked_to_stop(), time_up, save, self.sinks.writing.failed)


class Trainer:
    """Trains, evaluates after each epoch, and hands on snapshots. Every process has one."""

    def __init__(
        self, world: World, learner: Learner, evaluator: Evaluator, best: BestTracker, run_length: RunLength
    ) -> None:
        self._world, self._learner, self._evaluator = world, learner, evaluator
        self._best, self._run_length = best, run_length

    def restore(self, snapshot: Snapshot | None) -> Progress:
        """Restore a run from rank 0's snapshot, and return its progress; the other processes pass None.

        All processes must call this, once, before `fit`. Without a snapshot nothing changes: the run starts from the
        weights in the network. Raises BadRunFolder for a snapshot of another model or optimizer.
        """
        world, network = self._world, self._learner.network
        progress = world.on_main(lambda: snapshot.progress if snapshot else None)
        if progress is None:
            return Progress()
        weights = world.broadcast_arrays(snapshot.model if snapshot else None)
        optimizer = world.broadcast_arrays(snapshot.optimizer if snapshot else None)
        all_statistics = world.broadcast_arrays(snapshot.statistics if snapshot else None)
        world.agree(lambda: _restore_weights(network, weights))
        world.agree(lambda: self._learner.restore(optimizer))
        self._learner.start_epoch(self._run_length.epoch_under_way(progress.step, progress.evaluated))
        statistics = own_statistics(all_statistics, world.rank, world.size)
        world.agree(lambda: network.restore_statistics(statistics))  # last: `start_epoch` may broadcast rank 0's
        self._best.restore(progress.best)
        return progress

    def fit(
        self,
        progress: Progress,
        data: TrainingData,
        split: SplitToEvaluate,
        sinks: ResultSinks,
        is_asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """All steps that are left. Every process.

        Raises Stopped, after a save, where `is_asked_to_stop` in any process; NotFinite after too many bad steps.
        """
        run_length, counters = self._run_length, Counters(progress, self._world.rank, self._world.size)
        context = FitContext(data, split, sinks, Clock(data.steps, run_length.total_steps), is_asked_to_stop)
        self._learner.network.train()
        is_time_up = False
        while not is_time_up and not run_length.is_over(
            counters.epoch, counters.step, counters.evaluated, self._best.epoch
        ):
            is_time_up = self._train(counters, context)
            if counters.step > counters.evaluated:
                self._evaluate(counters, context)
        self._world.agree(sinks.writing.settle)
        return counters.progress(self._best.state(), self._world.all_gather_after_barrier(counters.window.read()))

    def _train(self, counters: Counters, context: FitContext) -> bool:
        """The steps up to the next evaluation; gives whether the time is up before."""
        end = self._run_length.next_evaluation(counters.step, counters.evaluated)
        epoch = self._run_length.epoch_under_way(counters.step, counters.evaluated)
        self._learner.start_epoch(epoch)
        batches = iter(context.data.batches(epoch, counters.step - (epoch - 1) * context.data.steps))
        context.clock.start_epoch(counters.step)
        is_time_up = False
        while counters.step < end and not is_time_up:
            inputs = sync_step(self._world, batches, context.clock, context.request(self._run_length, counters))
            if inputs.request.has_writing_failed:
                self._world.agree(context.sinks.writing.settle)
            if inputs.request.stop:
                self._stop(counters, context)
            if inputs.request.save:
                self._save(counters, context)
            is_time_up = inputs.request.is_time_up
            if not is_time_up:
                self._step(inputs, counters, context)
                number = counters.step - (epoch - 1) * context.data.steps
                if number % self._run_length.report_every_steps == 0:
                    self._report(epoch, counters, context)
        if counters.window_steps:
            self._report(epoch, counters, context)
        return is_time_up

    def _step(self, inputs: StepInputs, counters: Counters, context: FitContext) -> None:
        counters.step += 1
        counters.window_steps += 1
        context.bad.extend(inputs.batch.bad)
        if not inputs.all_clips:
            return
        outcome = self._learner.step(inputs.batch, counters.step, inputs.all_clips, self._run_length.seed)
        counters.gradient_norm = outcome.gradient_norm
        if outcome.finite:
            counters.step_taken(outcome.loss, len(inputs.batch.ids))
            return
        counters.step_skipped()
        ids = dict.fromkeys(
            chain(*self._world.all_gather_after_barrier((*inputs.batch.ids, *inputs.batch.further_ids)))
        )
        line = f"step {counters.step} was not taken, its loss or gradient is not finite; its clips: {', '.join(ids)}"
        self._world.on_main(lambda: context.sinks.note_bad_step(line))
        if counters.bad_in_a_row >= self._run_length.max_bad_steps:
            self._world.agree(context.sinks.writing.settle)
            raise _not_finite(counters)

    def _report(self, epoch: int, counters: Counters, context: FitContext) -> None:
        """Tell what the steps since the last report came to. Every process."""
        loss, clips = self._world.all_reduce_sum(*counters.window.read())
        counters.window_closed(loss, clips)
        steps, pace = context.data.steps, context.clock.pace(counters.step, clips)
        rates, mean = self._learner.rates(counters.step), loss / clips if clips else float("nan")
        made = (epoch, counters.step, counters.step - (epoch - 1) * steps, steps)
        report = StepReport(*made, mean, rates, pace, counters.gradient_norm)
        for tracker in context.sinks.trackers:
            tracker.steps(report)

    def _evaluate(self, counters: Counters, context: FitContext) -> None:
        """Evaluate, tell, and save. What was told is told again by a run that is killed before the save is done."""
        is_whole_epoch = counters.step % context.data.steps == 0
        statistics = self._statistics()
        self._world.sync_statistics(self._learner.network)
        self._learner.end_epoch(self._run_length.epoch_under_way(counters.step, counters.evaluated))
        split = SplitToEvaluate(context.split.name, context.split.ids, lambda: _until_asked_to_stop(context))
        try:
            with self._learner.averaged_weights():
                evaluation = self._evaluator.evaluate(split)
                scores = {"train/loss": counters.train_loss, **evaluation.scores}
                counters.evaluation_done(context.data.steps, scores)
                is_best = self._best.update(counters.epoch, counters.step, scores)
                shipped = self._learner.network.arrays() if is_best and self._world.is_main else None
        except Stopped:
            self._stop(counters, context, statistics)
        context.bad.extend(evaluation.bad if self._world.is_main else ())
        seconds, epochs = context.clock.end_epoch(), self._run_length.epochs
        done = (counters.epoch, epochs, counters.step)
        report = EpochReport(*done, scores, self._best.metric, is_best, seconds, evaluation.predictions)

        def tell() -> None:
            context.sinks.writing.settle()
            for tracker in context.sinks.trackers:
                tracker.epoch(report)

        self._world.agree(tell)
        self._save(counters, context, {} if is_whole_epoch else statistics, shipped)

    def _statistics(self) -> dict[str, np.ndarray]:
        """The running statistics of all processes by `rank/name`. Every process."""
        if self._world.size == 1:
            return {}
        parts = self._world.all_gather(self._learner.network.statistics())
        return {f"{rank}/{name}": array for rank, part in enumerate(parts) for name, array in part.items()}

    def _save(
        self,
        counters: Counters,
        context: FitContext,
        statistics: Mapping[str, np.ndarray] | None = None,
        shipped: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Hand a snapshot on, copied to the host. Every process, close together, when no other is being written.

        What goes wrong stops all of them at the next step.
        """
        sinks, network = context.sinks, self._learner.network
        statistics = self._statistics() if statistics is None else statistics
        parts = self._world.all_gather((counters.window.read(), tuple(context.bad)))
        context.bad.clear()
        progress = counters.progress(self._best.state(), [window for window, _ in parts])
        bad = list(chain.from_iterable(clips for _, clips in parts))

        if self._world.is_main:
            try:
                sinks.keep(Snapshot(progress, network.arrays(), self._learner.state(), statistics), shipped)
                if bad:
                    sinks.note_bad(bad)
            except Exception as error:  # noqa: BLE001 - it is raised again, in every process
                sinks.writing.fail(error)
        counters.saved = counters.step
        context.clock.saved()

    def _stop(
        self, counters: Counters, context: FitContext, statistics: Mapping[str, np.ndarray] | None = None
    ) -> NoReturn:
        """Save what is not saved yet, and leave. Every process."""
        self._world.agree(context.sinks.writing.settle)
        if counters.step > counters.saved:
            self._save(counters, context, statistics)
        self._world.agree(context.sinks.writing.settle)
        where = f"after step {counters.step} of {self._run_length.total_steps}"
        saved = f"saved in checkpoints/{checkpoint_name(counters.step)}" if counters.step else "nothing to save yet"
        raise Stopped(f"stopped {where}, as asked: {saved}", "the same command goes on from there")


def _restore_weights(network: Network, weights: Mapping[str, np.ndarray]) -> None:
    try:
        network.restore(weights)
    except ValueError as error:
        right = "a run continues with the model it began with; to train another one, start a run under another name"
        raise BadRunFolder(f"the checkpoint does not fit the model: {error}", right) from error


def _until_asked_to_stop(context: FitContext) -> Iterator[Batch]:
    """The batches of an evaluation. Raises Stopped between two of them; all processes learn of it when they meet."""
    for batch in context.split.batches():
        if context.is_asked_to_stop():
            raise Stopped("the evaluation was stopped")
        yield batch


def _not_finite(counters: Counters) -> NotFinite:
    first = counters.step - counters.bad_in_a_row + 1
    wrong = f"the loss or the gradient was not finite in steps {first} to {counters.step}, and none of them was taken"
    if counters.saved:
        weights = f"checkpoints/{checkpoint_name(counters.saved)}/model.pdparams"
        right = f"the last good weights are in {weights} of the run's folder: give them to a run of another name as\n"
        right += "model.weights, with a lower optimizer.learning_rate; "
    else:
        right = "no checkpoint was written before: try a lower optimizer.learning_rate; "
    return NotFinite(wrong, right + "the clips of each step are named in bad_steps.txt")
