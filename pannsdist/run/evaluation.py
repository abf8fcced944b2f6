"""A finished model against a split of a dataset."""

from __future__ import annotations

from pathlib import Path

from pannsdist.audio.batches import EvaluationPlan, Shard
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.distributed.fleet import AloneWorld
from pannsdist.inference.bundle import BundleRecord, load_bundle, require_installed
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part
from pannsdist.run.planning.data import Data, choose_data
from pannsdist.run.planning.training_plugins import TrainingPlugins, choose_metrics
from pannsdist.runtime.errors import BadBundle
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings
from pannsdist.training.evaluator import Evaluation, Evaluator, SplitToEvaluate


def evaluate_bundle(
    folder: Path, settings: Settings, source: SettingsOrigin, catalog: Catalog, split: str
) -> Evaluation:
    """The scores of the model in `folder` on a split of the dataset that the settings name; in one process.

    Clips are heard as they were when the model was chosen. Metric plugins of its run are computed too, unless the
    settings have null for them, and those that the settings name. Raises BadBundle where the labels differ, or where a
    metric of the run is not installed.
    """
    data = choose_data(settings, source, catalog, (split,))
    bundle = load_bundle(folder, catalog)
    record = bundle.record
    _refuse_other_labels(folder, tuple(record.labels), data.labels)
    further = TrainingPlugins(_metrics(record, settings, source, catalog, data)).further_metrics
    rate_hz = record.front_end.sample_rate_hz
    chosen_s = settings.data.min_clip_s
    reader = ClipReader(rate_hz, round(record.crop_s * rate_hz), bundle.minimum_s if chosen_s is None else chosen_s)
    skip_bad = settings.data.on_bad_clip == "skip"
    plan = EvaluationPlan(data.splits[split], settings.valid.batch_size, reader, skip_bad)
    loader = Loader(settings.data.workers)
    try:
        evaluator = Evaluator(AloneWorld(), bundle.network, record.labels, record.multi_label, further)
        return evaluator.evaluate(SplitToEvaluate(split, plan.ids, lambda: loader.read(plan.requests(Shard(0, 1)))))
    finally:
        loader.close()


def _metrics(
    record: BundleRecord, settings: Settings, source: SettingsOrigin, catalog: Catalog, data: Data
) -> dict[str, Part]:
    """The metric plugins of the model's run with the params that they had, but where the settings say otherwise."""
    section = "metrics."
    known = {key.removeprefix(section): one for key, one in record.further.items() if key.startswith(section)}
    asked = {**{name: one.params for name, one in known.items()}, **settings.metrics}
    for name, one in known.items():
        if asked[name] is not None:
            require_installed(one, "metric", catalog, f"to leave it out: {section}{name}=null")
    return choose_metrics(asked, source, catalog, data)


def _refuse_other_labels(folder: Path, known: tuple[str, ...], asked: tuple[str, ...]) -> None:
    if known == asked:
        return
    first = next((i for i, (a, b) in enumerate(zip(known, asked, strict=False)) if a != b), min(len(known), len(asked)))
    left, right = (names[first] if first < len(names) else "nothing" for names in (known, asked))
    raise BadBundle(
        f"the labels of the dataset are not those of the model in {folder}",
        f"the model has {len(known)}, the dataset {len(asked)}; label {first}: model '{left}', dataset '{right}'",
    )
