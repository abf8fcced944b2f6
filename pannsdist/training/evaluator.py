"""Evaluation of a split: each process predicts its batches, one gather combines them, each clip counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import paddle

from pannsdist.contracts import Event
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.frame_predictions import FramePredictions
from pannsdist.contracts.network import Network, evaluation_mode
from pannsdist.distributed.world import World
from pannsdist.runtime.errors import BadClip, BadDataset
from pannsdist.training import metrics

NO_LOGITS, NO_TARGETS = np.zeros((0, 0), np.float32), np.zeros(0, np.int64)


@dataclass(frozen=True)
class SplitToEvaluate:
    """A split: its name, the ids of all its clips, and a function that returns this process's batches of it.

    `groups` names the group of each clip, in the order of the ids; empty if every clip is its own. `embedded(epoch)`
    returns this process's batches after an epoch of training in which they hold embeddings, and None after others. For
    a network that answers by frame, `events` are those of each clip, None where it is not strongly labelled, and
    `frame_s` is the length of a frame in seconds; else they are empty and 0.
    """

    name: str
    ids: Sequence[str]
    batches: Callable[[], Iterable[Batch]]
    groups: Sequence[str] = ()
    embedded: Callable[[int], Iterable[Batch] | None] = lambda _: None
    events: Sequence[tuple[Event, ...] | None] = ()
    frame_s: float = 0.0

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
        """This process's ids, logits (B, C) or (B, T + 1, C) in place of waveforms, and targets (B,) or (B, C)."""
        parts: list[Batch] = []
        with evaluation_mode(self._network), paddle.no_grad():
            self._world.mark(f"evaluating {split.name}, batch 1")
            for number, batch in enumerate(split.batches(), start=2):
                if len(batch.ids):
                    inputs = paddle.to_tensor(batch.waveforms)
                    logits = self._network(inputs, is_embedded=batch.is_embedded).astype("float32").numpy()
                    targets = batch.targets[:, -1] if split.frame_s else batch.targets
                    parts.append(Batch(batch.ids, logits, targets, batch.bad, sound_s=batch.sound_s))
                else:
                    parts.append(Batch((), NO_LOGITS, NO_TARGETS, batch.bad))
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
        if split.frame_s:
            return self._of_frames(split, everything, groups)
        return metrics.Predictions(
            everything.ids, everything.waveforms, everything.targets, self._labels, self._multi_label, groups
        )

    def _of_frames(self, split: SplitToEvaluate, everything: Batch, groups: tuple[str, ...]) -> metrics.Predictions:
        """Those of the clip, in the last row of its logits, and by frame of strongly labelled clips.

        Clips without labels have no score. Raises BadDataset if there is no other.
        """
        assert everything.sound_s is not None
        labelled = np.flatnonzero(~np.isnan(everything.targets).any(axis=1))
        if not len(labelled):
            raise BadDataset(f"no clip of {split.name} is labelled", "there is nothing to evaluate")
        events_by_id = dict(zip(split.ids, split.events, strict=True))
        found = {row: events for row in labelled.tolist() if (events := events_by_id[everything.ids[row]]) is not None}
        rows, logits = list(found), everything.waveforms
        frames = FramePredictions(
            tuple(everything.ids[row] for row in rows),
            logits[rows, :-1],
            split.frame_s,
            everything.sound_s[rows],
            tuple(events_until(events, float(everything.sound_s[row])) for row, events in found.items()),
            self._labels,
        )
        ids = tuple(everything.ids[row] for row in labelled)
        kept = tuple(groups[row] for row in labelled) if groups else ()
        clips = logits[labelled, -1], everything.targets[labelled]
        return metrics.Predictions(ids, *clips, self._labels, self._multi_label, kept, frames)


class NoEvaluation(Evaluator):
    """An evaluator without scores, for training without clips to evaluate."""

    def evaluate(self, split: SplitToEvaluate) -> Evaluation:  # noqa: ARG002
        """No scores."""
        return Evaluation({}, ())


def events_until(events: Iterable[Event], end_s: float) -> tuple[Event, ...]:
    """The events of the first `end_s` seconds of a clip, cut there."""
    return tuple(replace(event, offset_s=min(event.offset_s, end_s)) for event in events if event.onset_s < end_s)


def _concatenated(parts: Sequence[Batch]) -> Batch:
    """One batch of all parts; those without clips have no logits, whose shape is not known without any."""
    full = [part for part in parts if len(part.ids)]
    bad = tuple(error for part in parts for error in part.bad)
    if not full:
        return Batch((), NO_LOGITS, NO_TARGETS, bad)
    seconds = [part.sound_s for part in full if part.sound_s is not None]
    return Batch(
        tuple(name for part in full for name in part.ids),
        np.concatenate([part.waveforms for part in full]),
        np.concatenate([part.targets for part in full]),
        bad,
        sound_s=np.concatenate(seconds) if seconds else None,
    )
