"""Evaluate a trained model on a split of a dataset."""

from __future__ import annotations

from pathlib import Path

from pannsdist.audio.batches import EvaluationPlan, Shard
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.distributed.fleet import AloneWorld
from pannsdist.inference.bundle import BundleRecord, load_bundle, require_installed
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part
from pannsdist.run.planning.data import Data, load_data
from pannsdist.run.planning.metrics import plugin_metrics, refuse_unsuitable_metrics
from pannsdist.run.planning.selection import choose_dataset, choose_metrics
from pannsdist.runtime.errors import BadBundle
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings
from pannsdist.training.evaluator import Evaluation, Evaluator, SplitToEvaluate


def evaluate_bundle(
    folder: Path, settings: Settings, origin: SettingsOrigin, catalog: Catalog, split: str
) -> Evaluation:
    """The scores of the model in `folder` on a split of the dataset of the settings. Single process only.

    Clips are cropped as in the evaluations of its training. The metric plugins of its run are computed unless the
    settings set them to null, and so are those that the settings name. Raises BadBundle where the labels differ, or
    where a metric of the run is not installed.
    """
    data = load_data(choose_dataset(settings.data, origin, catalog), (split,))
    bundle = load_bundle(folder, catalog)
    record = bundle.record
    _refuse_other_labels(folder, tuple(record.labels), data.labels)
    further = plugin_metrics(_metrics(record, settings, origin, catalog, data))
    rate_hz = record.front_end.sample_rate_hz
    chosen_s = settings.data.min_clip_s
    reader = ClipReader(rate_hz, round(record.crop_s * rate_hz), bundle.minimum_s if chosen_s is None else chosen_s)
    skip_bad = settings.data.on_bad_clip == "skip"
    plan = EvaluationPlan(data.splits[split], settings.valid.batch_size, reader, skip_bad)
    loader = Loader(settings.data.workers)
    try:
        evaluator = Evaluator(AloneWorld(), bundle.network, record.labels, record.multi_label, further)
        return evaluator.evaluate(SplitToEvaluate(split, plan.ids, lambda: loader.read(plan.orders(Shard(0, 1)))))
    finally:
        loader.close()


def _metrics(
    record: BundleRecord, settings: Settings, origin: SettingsOrigin, catalog: Catalog, data: Data
) -> dict[str, Part]:
    """The metric plugins of the model's run with their params, overridden by those of the settings."""
    section = "metrics."
    known = {key.removeprefix(section): one for key, one in record.further.items() if key.startswith(section)}
    named = {**{name: one.params for name, one in known.items()}, **settings.metrics}
    for name, one in known.items():
        if named[name] is not None:
            require_installed(one, "metric", catalog, f"to leave it out: {section}{name}=null")
    chosen = choose_metrics(named, origin, catalog)
    refuse_unsuitable_metrics(chosen, data, origin)
    return chosen


def _refuse_other_labels(folder: Path, known: tuple[str, ...], given: tuple[str, ...]) -> None:
    if known == given:
        return
    first = next((i for i, (a, b) in enumerate(zip(known, given, strict=False)) if a != b), min(len(known), len(given)))
    left, right = (names[first] if first < len(names) else "nothing" for names in (known, given))
    raise BadBundle(
        f"the labels of the dataset are not those of the model in {folder}",
        f"the model has {len(known)}, the dataset {len(given)}; label {first}: model '{left}', dataset '{right}'",
    )
