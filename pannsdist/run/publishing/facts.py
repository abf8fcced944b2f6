"""What is known of a model for its card: from its bundle, from the run or probe whose folder it is in, from plugins."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pannsdist.inference.bundle import BundleRecord
from pannsdist.registry import Catalog
from pannsdist.run.planning.data import TEST
from pannsdist.run.probing.plan import RECORD_FILE as PROBE_FILE
from pannsdist.run.report.origin import clip_counts
from pannsdist.run.testing import PREDICTIONS_FOLDER, read_test_scores
from pannsdist.runtime.errors import BadRunFolder, UserError
from pannsdist.runtime.json_files import JsonFile
from pannsdist.training.metrics import intervals, resampled
from pannsdist.training.tracking import read_predictions

BEST_PREDICTIONS = "best_predictions"
PROBE = JsonFile(dict, BadRunFolder, None)
HUB_DATASET = "hf://datasets/"

Range = tuple[float, float]


@dataclass(frozen=True)
class SplitScores:
    """The scores of a model on a split by metric, all finite, and the 95 % intervals of those that have one."""

    split: str
    scores: Mapping[str, float]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    folds: int = 0
    """The scores are means over so many folds, of models of their own; 0 for scores of this model."""


@dataclass(frozen=True)
class Facts:
    """What is known of a model. `clips` are those of the run by split, `class_clips` by split and class.

    Both are empty where the folder of its run or probe was not there. `probe` is the content of `probe.json`.
    """

    record: BundleRecord
    splits: Sequence[SplitScores]
    clips: Mapping[str, int]
    class_clips: Mapping[str, Counter[str]]
    weights: str
    data: str
    probe: Mapping[str, Any] | None = None

    @property
    def hub_dataset(self) -> str:
        """The dataset of the Hub that the model was trained on, as OWNER/NAME; empty for any other."""
        for value in self.record.dataset.params.values():
            if isinstance(value, str) and value.startswith(HUB_DATASET):
                owner, _, rest = value.removeprefix(HUB_DATASET).partition("/")
                return f"{owner}/{rest.partition('/')[0].partition('@')[0]}"
        return ""


def gathered(folder: Path, record: BundleRecord, catalog: Catalog) -> Facts:
    """The facts about the model in `folder`. Raises BadRunFolder, CannotRead for damaged files of its run."""
    run, probe = folder.resolve().parent, PROBE.read(folder.resolve().parent / PROBE_FILE)
    found = [_valid(run, record, probe), _test(run, record, probe)]
    totals, counts = clip_counts(run)
    splits = [one for one in found if one is not None and one.scores]
    texts = (_weights_text(record, catalog), _data_text(record, catalog))
    return Facts(record, splits, totals, counts, *texts, probe)


def _valid(run: Path, record: BundleRecord, probe: Mapping[str, Any] | None) -> SplitScores | None:
    """The scores in the bundle, with the intervals of the stored predictions of the same epoch."""
    split = record.metric.partition("/")[0]
    scores = _of_split(split, record.scores)
    if probe is not None:
        divisions = probe.get("divisions", {})
        folds = len(divisions) if len(divisions) > 1 else 0
        return SplitScores(split, scores, _ranges(split, probe.get("intervals", {})), folds)
    kept = read_predictions(run / BEST_PREDICTIONS)
    is_same = kept is not None and (kept.epoch, kept.split) == (record.epoch, split)
    is_same = is_same and kept is not None and kept.predictions.labels == tuple(record.labels)
    if kept is None or not is_same:
        return SplitScores(split, scores)
    found = {name: (one.low, one.high) for name, one in intervals(resampled(kept.predictions), split).items()}
    return SplitScores(split, scores, _ranges(split, found))


def _test(run: Path, record: BundleRecord, probe: Mapping[str, Any] | None) -> SplitScores | None:
    """The scores on the test split; None where this model was not evaluated on one."""
    if probe is not None:
        return SplitScores(TEST, _of_split(TEST, probe.get("test") or {}))
    scored = read_test_scores(run)
    if scored is None or scored.epoch != record.epoch:
        return None
    kept, found = read_predictions(run / PREDICTIONS_FOLDER), {}
    if kept is not None and kept.epoch == record.epoch:
        found = {name: (one.low, one.high) for name, one in intervals(resampled(kept.predictions), TEST).items()}
    return SplitScores(TEST, _of_split(TEST, scored.scores), _ranges(TEST, found))


def _of_split(split: str, scores: Mapping[str, Any]) -> dict[str, float]:
    """The finite scores of a split, by metric."""
    own = {name.partition("/")[2]: value for name, value in scores.items() if name.partition("/")[0] == split}
    return {name: float(value) for name, value in own.items() if value is not None and math.isfinite(value)}


def _ranges(split: str, found: Mapping[str, Sequence[float | None]]) -> dict[str, Range]:
    own = {name.partition("/")[2]: pair for name, pair in found.items() if name.partition("/")[0] == split}
    return {
        name: (low, high)
        for name, (low, high) in own.items()
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    }


def _weights_text(record: BundleRecord, catalog: Catalog) -> str:
    """Where training started from, with the licence of published weights."""
    named = str(dict(record.settings.get("model", {})).get("weights", ""))
    if not named:
        return "random initialization, no pretrained weights"
    try:
        published = catalog.models.find(record.model.name).load().weights
    except UserError:
        return f"`{PurePosixPath(named).name}`; the plugin that knows its licence is not installed here"
    for tag, one in published.items():
        if named == tag or PurePosixPath(named).name == PurePosixPath(unquote(urlsplit(one.url).path)).name:
            how = (
                f"tag `{tag}`"
                if named == tag
                else f"a file with the name of tag `{tag}`, `{PurePosixPath(named).name}`"
            )
            return f"{how} of `{record.model.name}`: {one.source}; licence {one.licence}"
    return f"the file `{PurePosixPath(named).name}`, whose source and licence are not known to the plugin"


def _data_text(record: BundleRecord, catalog: Catalog) -> str:
    """The licence of the dataset, where its plugin knows where to download it."""
    try:
        downloads = getattr(catalog.datasets.find(record.dataset.name).load(), "downloads", ())
        licences = sorted({one.licence for one in downloads})
    except (UserError, AttributeError, TypeError):
        licences = []
    return ", ".join(licences)
