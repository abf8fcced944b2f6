"""From what was found to settings: each with its reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pannsdist.run.planning.data import TRAIN, VALID, Data
from pannsdist.run.proposal.document import Line
from pannsdist.run.proposal.sounds import Sounds
from pannsdist.run.proposal.sources import Collection
from pannsdist.run.proposal.start import Start

SECTIONS = {
    "model": "the network, which starts from weights that know sounds already",
    "data": "the sounds",
    "data.params": "those of the dataset: pannsdist plugins show dataset NAME",
    "data.params.columns": "what the table calls its columns",
    "train": "how long, and on how much at a time",
    "optimizer": "AdamW",
    "schedule": "the learning rate over the run",
    "augment": "each clip is changed a little, differently in every epoch; more: docs/en/augmentation.md",
    "select": "which epoch becomes runs/NAME/best_model",
}
STEPS = 240
"""Optimizer steps after which fine-tuning from pretrained weights has settled, on a small set of sounds."""
EPOCHS = (5, 40)
SMALL = 10_000_000
"""Parameters of a network that takes a higher learning rate."""
SHORTEST_S, LONGEST_S = 0.5, 10.0
FOR_TEST, FOR_FOLDS = 10, 5
MANY = 1000
"""Clips of `valid` whose accuracy tells epochs apart."""


@dataclass(frozen=True)
class Machine:
    """Cores, and whether there is a GPU."""

    cores: int
    has_gpu: bool


def division(source: Collection) -> tuple[Line, ...]:
    """How the clips are divided into splits, where they are not divided already."""
    if source.division == "split":
        return ()
    if source.division == "fold":
        reason = "the fold of the column `fold` that is held out; pannsdist crossval trains every one"
        return (Line("data.params.valid_fold", source.first_fold, reason),)
    what, of_label, units = _units(source)
    fewest = min(of_label.values())
    lines = [Line("data.params.valid_fraction", 0.2, f"a fifth of the {units} {what} chooses the best epoch")]
    if units >= (FOR_TEST if source.groups else 10 * FOR_TEST) and fewest >= 3:
        why = f"a tenth of the {what} is scored once, at the end, by the chosen model"
        lines.append(Line("data.params.test_fraction", 0.1, why))
    if fewest >= FOR_FOLDS:
        why = "pannsdist crossval trains these in turn; train itself uses the fractions above"
        lines.append(Line("data.params.folds", FOR_FOLDS, why))
    return (*lines, Line("data.params.seed", 0, "of this division: the same sounds give the same one"))


def _units(source: Collection) -> tuple[str, Mapping[str, int], int]:
    """What is divided (groups or clips), how many of them each label has, and how many there are."""
    groups = dict(source.groups) or {clip.id: str(clip.source) for clip in source.clips}
    of_label: Counter[str] = Counter()
    for label, _ in {(label, groups[clip.id]) for clip in source.clips for label in clip.labels}:
        of_label[label] += 1
    return "groups" if source.groups else "clips", of_label or {"": 0}, len(set(groups.values()))


def crop_s(sounds: Sounds, start: Start) -> float:
    """The length that nine of ten clips do not exceed, rounded up, within bounds."""
    length_s = sounds.quantile_s(0.9)
    grid = 0.1 if length_s < 2 else 0.5
    bounded = min(max(math.ceil(round(length_s / grid, 6)) * grid, SHORTEST_S), LONGEST_S)
    return round(max(bounded, math.ceil(10 * start.minimum_s) / 10), 1)


def batch_size(clips: int, machine: Machine) -> int:
    """Clips of a step: fewer where there are few, and as many for each process."""
    size = next((size for size, needed in ((32, 320), (16, 96), (8, 24), (4, 8)) if clips >= needed), 2)
    processes = min(machine.cores, size)
    return min(max(size - size % processes, 1), clips)


def training(source: Collection, data: Data, sounds: Sounds, start: Start, machine: Machine) -> Iterator[Line]:
    """Everything but the dataset's params."""
    yield from _lengths(len(data.splits[TRAIN]), sounds, start, machine)
    why = f"{start.parameters / 1e6:.1f} M pretrained parameters; pannsdist find-lr suggests one for your sounds"
    yield Line("optimizer.learning_rate", 0.001 if start.parameters < SMALL else 0.0001, why)
    yield Line("schedule.name", "cosine", "falls smoothly to 1 % of it")
    yield Line("schedule.warmup_epochs", 1, "the new last layer is random at first, and must not spoil the others")
    yield Line("augment.gain", {}, "other loudness: recordings differ in it")
    yield Line("augment.random_equaliser", {}, "other microphones and rooms")
    yield Line("augment.speed", {}, "up to a tenth faster and higher, or slower; leave it out if pitch is what counts")
    yield _metric(source, data)


def _lengths(clips: int, sounds: Sounds, start: Start, machine: Machine) -> Iterator[Line]:
    batch = batch_size(clips, machine)
    steps = max(1, clips // batch)
    epochs = min(max(math.ceil(STEPS / steps), EPOCHS[0]), EPOCHS[1])
    lengths = f"half of the clips last up to {sounds.quantile_s(0.5):.2f} s, nine of ten {sounds.quantile_s(0.9):.2f} s"
    yield Line("train.crop_s", crop_s(sounds, start), f"seconds: {lengths}")
    yield Line("train.batch_size", batch, f"over all processes: {clips} clips to train on, {machine.cores} cores")
    why = f"of {steps} steps: {epochs * steps} in all; a small set of sounds needs about {STEPS}"
    yield Line("train.epochs", epochs, why)
    if epochs > 2 * EPOCHS[0]:
        yield Line("train.patience_epochs", max(5, epochs // 3), "stops when so many in a row were not better")


def _metric(source: Collection, data: Data) -> Line:
    if source.multi_label:
        return Line(
            "select.metric", "valid/mean_average_precision", "clips have several labels: no threshold is needed"
        )
    counts = Counter(label for clip in data.splits[TRAIN].clips for label in clip.labels)
    if max(counts.values()) > 3 * min(counts.values()):
        why = f"classes have {min(counts.values())} to {max(counts.values())} clips: each counts the same"
        return Line("select.metric", "valid/macro_f1", why)
    if len(data.splits[VALID]) < MANY:
        why = f"one label for each clip; on {len(data.splits[VALID])} clips epochs tie in accuracy, so the loss decides"
        return Line("select.metric", "valid/loss", why)
    return Line("select.metric", "valid/accuracy", "one label for each clip, and classes of about equal size")
