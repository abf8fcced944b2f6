"""A finished model against a split of a dataset."""

from __future__ import annotations

from pathlib import Path

from pannsdist.audio.batches import EvaluationPlan, Share
from pannsdist.audio.clips import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.chosen_data import choose_data
from pannsdist.errors import BadBundle
from pannsdist.inference.bundle import load_bundle
from pannsdist.parallel import AloneWorld
from pannsdist.registry import Catalog
from pannsdist.schema import Settings
from pannsdist.settings import Source
from pannsdist.training.evaluator import Evaluation, Evaluator, SplitToEvaluate


def evaluate_bundle(folder: Path, settings: Settings, source: Source, catalog: Catalog, split: str) -> Evaluation:
    """The scores of the model in `folder` on a split of the dataset that the settings name; in one process.

    Clips are heard as they were when the model was chosen. Raises BadBundle where the labels differ.
    """
    data = choose_data(settings, source, catalog, (split,))
    bundle = load_bundle(folder, catalog)
    record = bundle.record
    _refuse_other_labels(folder, tuple(record.labels), data.labels)
    rate_hz = record.front_end.sample_rate_hz
    chosen_s = settings.data.min_clip_s
    reader = ClipReader(rate_hz, round(record.crop_s * rate_hz), bundle.minimum_s if chosen_s is None else chosen_s)
    skip_bad = settings.data.on_bad_clip == "skip"
    plan = EvaluationPlan(data.splits[split], settings.valid.batch_size, reader, skip_bad)
    loader = Loader(settings.data.workers)
    try:
        evaluator = Evaluator(AloneWorld(), bundle.network, record.labels, record.multi_label)
        return evaluator.evaluate(SplitToEvaluate(split, plan.ids, lambda: loader.read(plan.orders(Share(0, 1)))))
    finally:
        loader.close()


def _refuse_other_labels(folder: Path, known: tuple[str, ...], asked: tuple[str, ...]) -> None:
    if known == asked:
        return
    first = next((i for i, (a, b) in enumerate(zip(known, asked, strict=False)) if a != b), min(len(known), len(asked)))
    left, right = (names[first] if first < len(names) else "nothing" for names in (known, asked))
    raise BadBundle(
        f"the labels of the dataset are not those of the model in {folder}",
        f"the model has {len(known)}, the dataset {len(asked)}; label {first}: model '{left}', dataset '{right}'",
    )
