"""Evaluation of a split: each process predicts its batches, one gather combines them, each clip counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import paddle

from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network, evaluation_mode
from pannsdist.distributed.world import World
from pannsdist.runtime.errors import BadClip, BadDataset
from pannsdist.training import metrics


@dataclass(frozen=True)
class SplitToEvaluate:
    """A split: its name, the ids of all its clips, and a function that returns this process's batches of it.

    `groups` names the group of each clip, in the order of the ids; empty if every clip is its own. `embedded(epoch)`
    returns this process's batches after an epoch of training in which they hold embeddings, and None after others.
    """

    name: str
    ids: Sequence[str]
    batches: Callable[[], Iterable[Batch]]
    groups: Sequence[str] = ()
    embedded: Callable[[int], Iterable[Batch] | None] = lambda _: None

    def batches_after(self, epoch: int) -> Iterable[Batch]:
        """This process's batches after an epoch of training, counted from 1."""
        batches = self.embedded(epoch)
        return self.batches() if batches is None else batches


@dataclass(frozen=True)
class Evaluation:
    """Scores by `split/metric`, the skipped clips, and on rank 0 the predictions and the scores of each class."""

    scores: dict[str, float]
    bad: tuple[BadClip, ...]
    predictions: metrics.Predictions | None = None
    classes: tuple[metrics.ClassScores, ...] = ()


class Evaluator:
    """Evaluates a network on a split. `labels` are in the order of its outputs; `extra_metrics` add to the built-in."""

    def __init__(
        self,
        world: World,
        network: Network,
        labels: Sequence[str],
        multi_label: bool,
        extra_metrics: Sequence[metrics.Metric] = (),
    ) -> None:
        self._world, self._network = world, network
        self._labels, self._multi_label, self._extra_metrics = tuple(labels), multi_label, tuple(extra_metrics)

    def evaluate(self, split: SplitToEvaluate) -> Evaluation:
        """The exact scores of a split, the same in every process. All processes must call this.

        Nothing is padded or repeated; rank 0 computes the metrics once, from the predictions of all processes. The
        network keeps its modes, also after an error. Raises BadDataset if no clip could be read, RuntimeError if clips
        are missing, duplicated or unknown.
        """
        own = self._world.agree(lambda: self._predict(split))
        gathered = self._world.all_gather(own)
        bad = tuple(error for part in gathered for error in part.bad)
        kept: list[tuple[metrics.Predictions, tuple[metrics.ClassScores, ...]]] = []

        def score() -> dict[str, float]:
            predictions = self._predictions(split, gathered, len(bad))
            scored = metrics.scored(predictions, split.name, self._extra_metrics)
            kept.append((predictions, scored.classes))
            return scored.scores

        scores = self._world.on_main(score)
        return Evaluation(scores, bad, *(kept[0] if kept else ()))

    def _predict(self, split: SplitToEvaluate) -> Batch:
        """This process's ids, logits (B, C) in place of waveforms, and targets."""
        parts: list[Batch] = []
        with evaluation_mode(self._network), paddle.no_grad():
            self._world.mark(f"evaluating {split.name}, batch 1")
            for number, batch in enumerate(split.batches(), start=2):
                logits = np.zeros((0, len(self._labels)), np.float32)
                if len(batch.ids):
                    inputs = paddle.to_tensor(batch.waveforms)
                    logits = self._network(inputs, is_embedded=batch.is_embedded).astype("float32").numpy()
                parts.append(Batch(batch.ids, logits, batch.targets, batch.bad))
                self._world.mark(f"evaluating {split.name}, batch {number}")
        return _concatenated(parts)

    def _predictions(self, split: SplitToEvaluate, gathered: Sequence[Batch], bad: int) -> metrics.Predictions:
        everything = _concatenated([part for part in gathered if len(part.ids)])
        counts = Counter(everything.ids)
        invalid = [name for name, count in counts.items() if count > 1] + sorted(counts.keys() - set(split.ids))
        if invalid or len(counts) + bad != len(split.ids):
            raise RuntimeError(
                f"{split.name}: {len(split.ids)} clips, but {len(counts)} predictions and {bad} bad clips; "
                f"duplicate or unknown: {invalid[:3]}"
            )
        if not counts:
            raise BadDataset(f"no clip of {split.name} could be read", "see bad_clips.txt in the run folder")
        group_of = dict(zip(split.ids, split.groups, strict=True)) if split.groups else {}
        groups = tuple(group_of[name] for name in everything.ids) if group_of else ()
        return metrics.Predictions(
            everything.ids, everything.waveforms, everything.targets, self._labels, self._multi_label, groups
        )


class NoEvaluation(Evaluator):
    """An evaluator without scores, for training without clips to evaluate."""

    def evaluate(self, split: SplitToEvaluate) -> Evaluation:  # noqa: ARG002
        """No scores."""
        return Evaluation({}, ())


def _concatenated(parts: Sequence[Batch]) -> Batch:
    if not parts:
        return Batch((), np.zeros((0, 0), np.float32), np.zeros(0, np.int64))
    return Batch(
        tuple(name for part in parts for name in part.ids),
        np.concatenate([part.waveforms for part in parts]),
        np.concatenate([part.targets for part in parts]),
        tuple(error for part in parts for error in part.bad),
    )
