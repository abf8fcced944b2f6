"""The training loop: epochs, steps, evaluations, and when to stop.

It writes no files and knows no plugins: `ResultSinks` receives reports and snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import NoReturn

import numpy as np

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network, training_mode
from pannsdist.distributed.world import World
from pannsdist.runtime.errors import BadRunFolder, Stopped
from pannsdist.training.bad_steps import bad_step_line, not_finite
from pannsdist.training.best import BestTracker
from pannsdist.training.checkpoint import checkpoint_name
from pannsdist.training.clock import Clock
from pannsdist.training.counters import Counters, PendingStep
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate
from pannsdist.training.fit_context import FitContext, ResultSinks, TrainingData
from pannsdist.training.run_length import RunLength
from pannsdist.training.state import Progress, Snapshot, own_statistics
from pannsdist.training.step_outcome import read
from pannsdist.training.step_sync import StepInputs, sync_step
from pannsdist.training.train_step import Learner

WRITING = "writing a checkpoint"


class Trainer:
    """Trains, evaluates after each epoch, and emits snapshots. Every process has one."""

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
        self._learner.start_epoch(self._run_length.current_epoch(progress.step, progress.evaluated_step))
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
        is_stop_requested: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """Run all remaining steps. All processes must call this.

        Sublayers in evaluation mode, such as a frozen batch norm, stay so; a network in evaluation mode is trained as a
        whole and is in evaluation mode again afterwards.
        Raises Stopped, after a save, once `is_stop_requested()` is true in any process; NotFinite after
        `max_bad_steps` consecutive bad steps, on a GPU at the latest at the next report.
        """
        run_length = self._run_length
        counters = Counters(progress, self._world.rank, self._world.size, data.steps)
        context = FitContext(data, split, sinks, Clock(data.steps, run_length.total_steps), is_stop_requested)
        is_time_up = False
        with training_mode(self._learner.network):
            while not is_time_up and not run_length.should_stop(
                counters.epoch, counters.step, counters.evaluated_step, self._best.patience_epoch
            ):
                is_time_up = self._train_epoch(counters, context)
                if counters.step > counters.evaluated_step:
                    self._evaluate(counters, context)
        self._wait_for_writer(sinks)
        return counters.progress(self._best.state(), self._world.all_gather(counters.window.read()))

    def _train_epoch(self, counters: Counters, context: FitContext) -> bool:
        """Train up to the next evaluation; returns whether the time limit ended it early."""
        end = self._run_length.next_evaluation_step(counters.step, counters.evaluated_step)
        epoch = self._run_length.current_epoch(counters.step, counters.evaluated_step)
        self._learner.start_epoch(epoch)
        first = self._run_length.epoch_end(epoch - 1)
        batches = iter(context.data.batches(epoch, counters.step - first))
        context.clock.start_epoch(counters.step)
        is_time_up = False
        while counters.step < end and not is_time_up:
            self._world.mark(f"reading the batch of step {counters.step + 1}")
            inputs = sync_step(self._world, batches, context.clock, context.request(self._run_length, counters))
            if inputs.request.has_writing_failed:
                self._wait_for_writer(context.sinks)
            if inputs.request.stop:
                self._stop(counters, context)
            if inputs.request.save:
                self._read_steps(counters, context)
                if not counters.consecutive_bad_steps:
                    self._save(counters, context)
            is_time_up = inputs.request.is_time_up
            if not is_time_up:
                self._step(inputs, counters, context)
                if (counters.step - first) % self._run_length.report_every_steps == 0:
                    self._report_steps(epoch, counters, context)
        if counters.window_steps:
            self._report_steps(epoch, counters, context)
        return is_time_up

    def _step(self, inputs: StepInputs, counters: Counters, context: FitContext) -> None:
        counters.step += 1
        counters.window_steps += 1
        context.bad_clips.extend(inputs.batch.bad)
        if not inputs.all_clips:
            return
        self._world.mark(f"computing step {counters.step}")
        outcome = self._learner.step(inputs.batch, counters.step, inputs.all_clips, self._run_length.seed)
        ids = (*inputs.batch.ids, *inputs.batch.further_ids)
        counters.pending.append(PendingStep(counters.step, len(inputs.batch.ids), ids, outcome))
        if not self._world.is_asynchronous:
            self._read_steps(counters, context)

    def _read_steps(self, counters: Counters, context: FitContext) -> None:
        """Count the steps since the last call; the only wait for a GPU between two evaluations. All processes.

        Raises NotFinite after `max_bad_steps` consecutive bad steps.
        """
        steps, counters.pending = counters.pending, []
        results = read([step.outcome for step in steps])
        for step, result in zip(steps, results, strict=True):
            counters.gradient_norm = result.gradient_norm
            if result.finite:
                counters.record_step(result.loss, step.clips)
                continue
            counters.record_bad_step()
            self._log_bad_step(step, context)
            if counters.consecutive_bad_steps >= self._run_length.max_bad_steps:
                self._wait_for_writer(context.sinks)
                raise not_finite(counters, step.step)

    def _log_bad_step(self, step: PendingStep, context: FitContext) -> None:
        ids = dict.fromkeys(chain(*self._world.all_gather(step.ids)))
        self._world.on_main(lambda: context.sinks.log_bad_step(bad_step_line(step.step, ids)))

    def _report_steps(self, epoch: int, counters: Counters, context: FitContext) -> None:
        """Report the steps since the last report to the trackers. All processes must call this."""
        self._read_steps(counters, context)
        loss, clips = self._world.all_reduce_sum(*counters.window.read())
        counters.close_window(loss, clips)
        report = StepReport(
            epoch=epoch,
            step=counters.step,
            epoch_step=counters.step - self._run_length.epoch_end(epoch - 1),
            epoch_steps=context.data.steps,
            loss=loss / clips if clips else float("nan"),
            learning_rates=self._learner.learning_rates(counters.step),
            pace=context.clock.pace(counters.step, clips),
            gradient_norm=counters.gradient_norm,
        )
        self._world.mark(f"reporting step {counters.step} to the trackers")
        for tracker in context.sinks.trackers:
            tracker.steps(report)

    def _evaluate(self, counters: Counters, context: FitContext) -> None:
        """Evaluate, report, and save. A run that is killed before the save is complete repeats the report."""
        epoch = self._run_length.current_epoch(counters.step, counters.evaluated_step)
        is_epoch_end = counters.step == self._run_length.epoch_end(epoch)
        statistics = self._gather_statistics()
        self._world.sync_statistics(self._learner.network)
        self._learner.end_epoch(epoch)
        split = replace(context.split, batches=lambda: _batches_until_stop(context, epoch))
        try:
            with self._learner.averaged_weights():
                evaluation = self._evaluator.evaluate(split)
                scores = {"train/loss": counters.train_loss, **evaluation.scores}
                counters.record_evaluation(epoch, is_epoch_end, scores)
                is_best = self._best.update(counters.epoch, counters.step, scores)
                best_weights = self._learner.network.arrays() if is_best and self._world.is_main else None
        except Stopped:
            self._stop(counters, context, statistics)
        context.bad_clips.extend(evaluation.bad if self._world.is_main else ())
        report = EpochReport(
            epoch=counters.epoch,
            epochs=self._run_length.epochs,
            step=counters.step,
            scores=scores,
            selected=self._best.metric,
            is_best=is_best,
            seconds=context.clock.end_epoch(),
            predictions=evaluation.predictions,
            classes=evaluation.classes,
        )

        def notify_trackers() -> None:
            self._world.mark(WRITING)
            context.sinks.writer.wait()
            self._world.mark(f"reporting epoch {counters.epoch} to the trackers")
            for tracker in context.sinks.trackers:
                tracker.epoch(report)

        self._world.agree(notify_trackers)
        self._save(counters, context, {} if is_epoch_end else statistics, best_weights)

    def _gather_statistics(self) -> dict[str, np.ndarray]:
        """The running statistics of all processes by `rank/name`. All processes must call this."""
        if self._world.size == 1:
            return {}
        parts = self._world.all_gather(self._learner.network.statistics())
        return {f"{rank}/{name}": array for rank, part in enumerate(parts) for name, array in part.items()}

    def _save(
        self,
        counters: Counters,
        context: FitContext,
        statistics: Mapping[str, np.ndarray] | None = None,
        best_weights: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Copy the state to the host for `save_snapshot`. All processes must call this.

        No other write may be running. An error on rank 0 is raised in all processes at the next step.
        """
        sinks, network = context.sinks, self._learner.network
        statistics = self._gather_statistics() if statistics is None else statistics
        parts = self._world.all_gather((counters.window.read(), tuple(context.bad_clips)))
        context.bad_clips.clear()
        progress = counters.progress(self._best.state(), [window for window, _ in parts])
        bad_clips = list(chain.from_iterable(clips for _, clips in parts))

        self._world.mark(f"saving step {counters.step}")
        if self._world.is_main:
            try:
                snapshot = Snapshot(progress, network.arrays(), self._learner.state(), statistics)
                sinks.save_snapshot(snapshot, best_weights)
                if bad_clips:
                    sinks.log_bad_clips(bad_clips)
            except Exception as error:  # noqa: BLE001 - raised again by `writer.wait`, in every process
                sinks.writer.set_error(error)
        counters.saved_step = counters.step
        context.clock.reset_save_timer()

    def _wait_for_writer(self, sinks: ResultSinks) -> None:
        """Wait for the write in the background, and raise its error in all processes. All processes must call this."""
        self._world.mark(WRITING)
        self._world.agree(sinks.writer.wait)

    def _stop(
        self, counters: Counters, context: FitContext, statistics: Mapping[str, np.ndarray] | None = None
    ) -> NoReturn:
        """Save the steps since the last checkpoint and raise Stopped. All processes must call this."""
        self._read_steps(counters, context)
        self._wait_for_writer(context.sinks)
        if counters.step > counters.saved_step:
            self._save(counters, context, statistics)
        self._wait_for_writer(context.sinks)
        where = self._run_length.position(counters.step, counters.evaluated_step)
        saved = f"saved in checkpoints/{checkpoint_name(counters.step)}" if counters.step else "nothing to save yet"
        raise Stopped(f"stopped {where}, as requested: {saved}", "the same command continues from there")


def _restore_weights(network: Network, weights: Mapping[str, np.ndarray]) -> None:
    try:
        network.restore(weights)
    except ValueError as error:
        right = "a run continues with the model it began with; to train another one, start a run under another name"
        raise BadRunFolder(f"the checkpoint does not fit the model: {error}", right) from error


def _batches_until_stop(context: FitContext, epoch: int) -> Iterator[Batch]:
    """The batches of an evaluation. Raises Stopped between two of them; the evaluator raises it in all processes."""
    for batch in context.split.batches_after(epoch):
        if context.is_stop_requested():
            raise Stopped("the evaluation was stopped")
        yield batch
