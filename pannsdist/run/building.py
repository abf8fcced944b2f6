"""Build the parts of a run from its plan: network, learner, evaluator, trainer, and where results go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle

from pannsdist import settings as settings_module
from pannsdist.audio.batches import Shard
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.contracts import Clip, ClipFeatures, TrackedRun
from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.inference.bundle import BundleRecord, PluginRecord
from pannsdist.inference.identification import load_or_name
from pannsdist.kernels import install
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part
from pannsdist.run import history, learner_building
from pannsdist.run.batch_sources import Sources, split_to_evaluate, training_data, training_lengths_s, valid_reader
from pannsdist.run.embeddings.features import build_feature_cache
from pannsdist.run.embeddings.frozen_body import FrozenBody, build_frozen_body
from pannsdist.run.embeddings.kept import KeptArrays
from pannsdist.run.folder import RunFolder
from pannsdist.run.planning import frozen_body, waveforms
from pannsdist.run.planning.data import TEST, VALID
from pannsdist.run.planning.metrics import plugin_metrics
from pannsdist.run.planning.padding import crop_fits
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.plan_table import subset_note
from pannsdist.run.trackers import PluginTracker, open_trackers
from pannsdist.runtime import seeding
from pannsdist.training.best import BestTracker, NewestEpoch
from pannsdist.training.checkpoint import Snapshot
from pannsdist.training.evaluator import Evaluator, NoEvaluation, SplitToEvaluate
from pannsdist.training.fit_context import ResultSinks, TrainingData
from pannsdist.training.state import Progress
from pannsdist.training.train_step import Learner
from pannsdist.training.trainer import Trainer
from pannsdist.weights import read_weights


@dataclass(frozen=True)
class Parts:
    """A trainer, this process's training batches, the split that it evaluates, and the test split, if there is one.

    With a `frozen_body` both have embeddings in place of waveforms while it is frozen, and else with `features` those;
    `entered` must be used after `Trainer.restore` and around `Trainer.fit`.
    """

    trainer: Trainer
    data: TrainingData
    split: SplitToEvaluate
    evaluator: Evaluator
    test: SplitToEvaluate | None
    frozen_body: FrozenBody | None = None
    features: KeptArrays | None = None

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within the block there are batches, of what is computed once for each clip, too."""
        with self.frozen_body or nullcontext(), self.features or nullcontext():
            yield


def build_network(plan: Plan) -> Network:
    """Feature and model with random initial weights, identical in all processes; computed by the plan's kernels."""
    paddle.seed(seeding.initial_seed(plan.settings.seed))
    feature = plan.plugins.feature.plugin.build()
    model = plan.build_model()
    if not model.training:  # as a whole; what a plugin freezes inside of a layer in training mode stays frozen
        model.train()
    install(model, plan.kernels)
    return Network(feature, model, plan.masks_features, plan.plugins.model.plugin.head, plan.frame_samples)


def load_pretrained(plan: Plan, network: Network, snapshot: Snapshot | None) -> str:
    """Load the weights that a new run starts from, and return a line that names the starting point.

    With a snapshot nothing is loaded here: `Trainer.restore` restores all of it. Rank 0 only, before the learner is
    built, which broadcasts the weights and may copy them into averages. Raises WeightsMismatch.
    """
    if snapshot is not None:
        run, progress = plan.lengths.run, snapshot.progress
        where = run.position(progress.step, progress.evaluated_step)
        return "is finished" if run.has_finished(progress) else f"resumes {where}"
    if plan.weights is None:
        return "starts from random weights"
    weights, head = read_weights(plan.weights), plan.plugins.model.plugin.head
    report = load_or_name(network.model, weights, head, Catalog.installed())
    return f"starts from {plan.weights.name}: {report}"


def build_parts(plan: Plan, world: World, network: Network, loader: Loader) -> Parts:
    """Learner, evaluator and trainer around a network with its initial weights. All processes must call this."""
    learner = learner_building.build_learner(plan, world, network)
    clip_lengths_s = None
    if plan.groups_by_length:
        clip_lengths_s = world.on_main(lambda: training_lengths_s(plan, loader, world.mark))
    body = build_frozen_body(plan, world, network, loader)
    is_cached = world.on_main(lambda: waveforms.chosen(plan, crop_fits(plan)).is_used)
    cache = waveforms.waveform_cache(plan.settings) if is_cached else None
    features = build_feature_cache(plan, world, network, loader)
    sources = Sources(loader, Shard(world.rank, world.size), clip_lengths_s, body, cache, features)
    return world.agree(lambda: _parts(plan, world, learner, sources))


def _parts(plan: Plan, world: World, learner: Learner, sources: Sources) -> Parts:
    chosen, network = plan.settings, learner.network
    evaluator = Evaluator(world, network, plan.data.labels, plan.data.multi_label, plugin_metrics(plan.plugins.metrics))
    metric = plan.best_metric
    if chosen.train.all_clips:
        scoring: Evaluator = NoEvaluation(world, network, plan.data.labels, plan.data.multi_label)
        best: BestTracker = NewestEpoch(metric.name, metric.higher_is_better)
    else:
        scoring = evaluator
        best = BestTracker(metric.name, metric.higher_is_better, chosen.save.keep_best)
    data = training_data(plan, sources)
    split = split_to_evaluate(VALID, plan.data.splits[VALID], plan, sources)
    test = None if plan.data.test is None else split_to_evaluate(TEST, plan.data.test, plan, sources)
    trainer = Trainer(world, learner, scoring, best, plan.lengths.run)
    return Parts(trainer, data, split, evaluator, test, sources.frozen_body, sources.features)


def bundle_record(plan: Plan) -> BundleRecord:
    """The metadata of the run's model folder, without epoch and scores."""
    return BundleRecord(
        model=plugin_record(plan.plugins.model),
        feature=plugin_record(plan.plugins.feature),
        dataset=plugin_record(plan.data.part),
        front_end=plan.front_end,
        labels=plan.data.labels,
        multi_label=plan.data.multi_label,
        crop_s=plan.lengths.valid_crop_s,
        metric=plan.best_metric.name,
        settings=settings_module.to_dict(plan.settings),
        versions=history.versions(),
        further={key: plugin_record(part) for key, part in plan.plugins.recorded.items()},
        pads_to_crop=not plan.groups_by_length,
        frame_samples=plan.frame_samples,
        pooling=plan.frames.pooling if plan.frames else "",
    )


def plugin_record(part: Part) -> PluginRecord:
    """A chosen plugin as a model folder records it."""
    return PluginRecord(part.entry.name, settings_module.to_dict(part.params), part.entry.origin)


@contextmanager
def opened_results(
    plan: Plan, world: World, network: Network, folder: RunFolder | None, progress: Progress
) -> Iterator[tuple[ResultSinks, list[PluginTracker]]]:
    """The sinks of the results from `progress` on, and the trackers of the settings. All processes must call this.

    Rank 0, which has the `folder`, opens them before the first step; the other processes have none.
    """
    with ExitStack() as stack:

        def opened() -> tuple[ResultSinks, list[PluginTracker]]:
            if folder is None:
                return ResultSinks(), []
            run = tracked_run(plan, network, folder.path, progress.step)
            trackers = stack.enter_context(open_trackers(plan.plugins.trackers.values(), run))
            sinks = folder.sinks(bundle_record(plan), trackers, progress, subset_note(plan))
            return stack.enter_context(sinks), trackers

        yield world.agree(opened)


def tracked_run(plan: Plan, network: Network, folder: Path, from_step: int) -> TrackedRun:
    """The run as trackers see it. Rank 0 only."""
    log, data = plan.settings.log, plan.data
    clips = [*data.splits[VALID].clips, *(data.test.clips if data.test else ())]
    return TrackedRun(
        name=plan.settings.name,
        folder=folder,
        from_step=from_step,
        hyper_parameters=hyper_parameters(plan),
        score_names=plan.score_names,
        read_clip=ClipReaderForTrackers(clips, valid_reader(plan), network),
        weights=network.arrays,
        worst_clips=log.worst_clips,
        curves=log.curves,
        histograms_every_epochs=log.histograms_every_epochs,
    )


class ClipReaderForTrackers:
    """Reads clips by id as waveform and features, as an evaluation does."""

    def __init__(self, clips: Sequence[Clip], reader: ClipReader, network: Network) -> None:
        self._clips, self._reader, self._network = {clip.id: clip for clip in clips}, reader, network

    def __call__(self, name: str) -> ClipFeatures:
        """Raises BadClip where the clip cannot be read. Leaves the network and all random generators unchanged."""
        waveform = self._reader.read(self._clips[name], None)
        with paddle.no_grad():
            features = self._network.feature(paddle.to_tensor(waveform[None])).astype("float32").numpy()
        return ClipFeatures(waveform, self._reader.rate_hz, features[0, 0])


def hyper_parameters(plan: Plan) -> dict[str, Any]:
    """The hyperparameters that trackers show, as single values."""
    chosen = plan.settings
    rows: Mapping[str, Any] = {
        "model": plan.plugins.model.entry.name,
        "data": plan.data.part.entry.name,
        "weights": Path(chosen.model.weights).name,
        "augmentation": "; ".join(frozen_body.changes(plan)) or "nothing",
        "sampling": chosen.train.sampling,
        "batch_size": chosen.train.batch_size,
        "epochs": chosen.train.epochs,
        "optimizer": chosen.optimizer.name,
        "learning_rate": chosen.optimizer.learning_rate,
        "seed": chosen.seed,
        "processes": plan.world_size,
    }
    return dict(rows)
