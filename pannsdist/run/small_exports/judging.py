"""What a smaller graph loses: its scores on clips that the model did not train on, beside those of the exact graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from pannsdist import settings
from pannsdist.contracts.predictions import Predictions
from pannsdist.inference.bundle import BundleRecord
from pannsdist.inference.engines.graph import GraphFunction
from pannsdist.registry import Catalog
from pannsdist.run.evaluation import evaluate_bundle
from pannsdist.run.planning.data import VALID
from pannsdist.training.metrics import METRICS

SMALLEST = 1e-12
"""Of a probability, so that its logarithm is finite."""
SAME = "same decisions"


@dataclass(frozen=True)
class Graphs:
    """The loaded graphs of an export: of sounds, and of frames, None for a network without."""

    sounds: GraphFunction
    frames: GraphFunction | None = None


@dataclass(frozen=True)
class Judgement:
    """A score of both graphs, how much worse the smaller one is, and how far their probabilities agree.

    `same` is the fraction of clips with the same most probable label; with several labels a clip, of clips and labels
    on the same side of 0.5. `difference` is the largest one of a probability, `clips` how many were compared.
    """

    name: str
    exact: float
    small: float
    loss: float
    same: float
    difference: float
    clips: int


class GraphNetwork(nn.Layer):
    """Exported graphs in place of a network: waveforms (B, S) -> logits (B, C), or (B, T + 1, C) with frames."""

    def __init__(self, graphs: Graphs, multi_label: bool) -> None:
        super().__init__()
        self._graphs, self._multi_label = graphs, multi_label

    def forward(self, waveform: paddle.Tensor, is_embedded: bool = False) -> paddle.Tensor:  # noqa: ARG002
        """The logits of the probabilities that the graphs give."""
        sounds = waveform.numpy()
        found = self._graphs.sounds(sounds)
        if self._graphs.frames is not None:
            found = np.concatenate([self._graphs.frames(sounds), found[:, None]], axis=1)
        return paddle.to_tensor(_logits(found, self._multi_label))


def judged_by_scores(folder: Path, record: BundleRecord, pair: tuple[Graphs, Graphs], catalog: Catalog) -> Judgement:
    """The score that selected the model, on its validation clips, of the exact graphs and of the small ones.

    Raises what an evaluation raises.
    """
    dataset = {"name": record.dataset.name, "params": dict(record.dataset.params)}
    recorded = {"model": {"name": record.model.name}, **record.settings}
    chosen, origin = settings.load({**recorded, "data": {**recorded.get("data", {}), **dataset}})
    both = [
        evaluate_bundle(
            folder, chosen, origin, catalog, VALID, raw=True, instead=GraphNetwork(graphs, record.multi_label)
        )
        for graphs in pair
    ]
    values = [one.evaluation.scores[record.metric] for one in both]
    name = record.metric.partition("/")[2]
    known = METRICS.get(name) or catalog.registry("metric").find(name).load()
    loss = values[0] - values[1] if known.higher_is_better else values[1] - values[0]
    predictions = [one.predictions.sorted_by_id() for one in both]
    return Judgement(record.metric, values[0], values[1], loss, *_agreement(*predictions))


def judged_by_agreement(sounds: Sequence[np.ndarray], multi_label: bool, pair: tuple[Graphs, Graphs]) -> Judgement:
    """Without labels every sound (S,) that is decided otherwise counts as lost."""
    found = [np.concatenate([graphs.sounds(sound[None]) for sound in sounds]) for graphs in pair]
    same, difference = _same(found[0], found[1], multi_label), float(np.abs(found[0] - found[1]).max())
    return Judgement(SAME, 1.0, same, 1.0 - same, same, difference, len(sounds))


def _agreement(exact: Predictions, small: Predictions) -> tuple[float, float, int]:
    one, other = exact.probabilities, small.probabilities
    return _same(one, other, exact.multi_label), float(np.abs(one - other).max()), len(exact.ids)


def _same(one: np.ndarray, other: np.ndarray, multi_label: bool) -> float:
    if multi_label:
        return float(((one >= 0.5) == (other >= 0.5)).mean())
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def _logits(probabilities: np.ndarray, multi_label: bool) -> np.ndarray:
    bounded = np.clip(probabilities.astype(np.float64), SMALLEST, 1.0)
    rest = np.maximum(1.0 - bounded, SMALLEST) if multi_label else 1.0
    return np.log(bounded / rest).astype(np.float32)
