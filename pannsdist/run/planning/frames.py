"""Whether a run predicts sound events by frame, and of which length its frames are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.frame_targets import FrameGrid
from pannsdist.contracts import Clip
from pannsdist.contracts.clip_lists import ClipList
from pannsdist.inference.bundle import BundleRecord
from pannsdist.registry.building import Part
from pannsdist.run.planning.data import TRAIN, Data
from pannsdist.run.planning.selection import Plugins
from pannsdist.runtime.errors import SettingsError, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings

AUTO, CLIPS, EVENTS = "auto", "clips", "events"


@dataclass(frozen=True)
class Frames:
    """The frames of a network: `samples` at `rate_hz` each, and how the clip is pooled from them."""

    samples: int
    rate_hz: int
    pooling: str

    @property
    def seconds(self) -> float:
        """The length of a frame."""
        return self.samples / self.rate_hz

    def grid(self, labels: Sequence[str]) -> FrameGrid:
        """Where the targets of a data set with these labels are."""
        return FrameGrid.of(self.samples, self.rate_hz, labels)


def choose_frames(settings: Settings, origin: SettingsOrigin, plugins: Plugins, data: Data) -> Frames | None:
    """The frames of a run that learns sound events; None for one that learns the labels of clips.

    Raises SettingsError for events without a data set or a network for them, for clips that cannot be used otherwise,
    and for settings that do not go with frames.
    """
    if settings.task == EVENTS or (settings.task == AUTO and _has_events(data) and answers_by_frame(plugins.model)):
        for wrong, right, command in _refused(settings, origin, plugins, data):
            raise SettingsError(wrong, right, command)
        front_end = plugins.front_end
        samples = int(plugins.model.plugin.frame_samples(front_end))
        return Frames(samples, front_end.sample_rate_hz, settings.events.pooling)
    for name, table in {**data.splits, **({"test": data.test} if data.test else {})}.items():
        if (row := _first_unlabelled(table.clips)) is not None:
            wrong = f"clip '{table.clips[row].id}' of {name} has no labels, and nothing can be learned from it"
            right = "leave such clips out; a network that answers by frame can use them: task=events"
            raise SettingsError(wrong, right, origin.command)
    return None


def recorded_frames(record: BundleRecord) -> Frames | None:
    """The frames of a model folder's network; None of one that answers for clips alone."""
    if not record.frame_samples:
        return None
    return Frames(record.frame_samples, record.front_end.sample_rate_hz, record.pooling)


def answers_by_frame(model: Part) -> bool:
    """Whether a model plugin can build a network that answers by frame."""
    return hasattr(model.plugin, "build_frames") and hasattr(model.plugin, "frame_samples")


def remarks(settings: Settings, frames: Frames | None, plugins: Plugins, data: Data) -> list[str]:
    """What the plan says about events."""
    if frames is None:
        if _has_events(data) and settings.task == AUTO:
            return [f"the clips have events, but {plugins.model} does not answer by frame: labels of clips are learned"]
        return []
    train = data.splits[TRAIN].clips
    strong, unlabelled = int(strongly_labelled(train).sum()), len(train) - int(labelled(train).sum())
    weak = len(train) - strong - unlabelled
    kinds = {"strongly labelled": strong, "weakly labelled": weak, "without labels": unlabelled}
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    unused = "; those without labels teach nothing while events.consistency_weight is 0"
    is_unused = unlabelled and not settings.events.consistency_weight
    return [f"frames of {1000 * frames.seconds:g} ms, {frames.pooling} pooling; {counts}{unused if is_unused else ''}"]


def strongly_labelled(clips: Sequence[Clip]) -> np.ndarray:
    """Which clips have events, if only an empty list of them: (N,) bool."""
    if isinstance(clips, ClipList):
        return np.zeros(len(clips), bool) if clips.events is None else clips.events.is_strong
    return np.array([clip.events is not None for clip in clips], bool)


def labelled(clips: Sequence[Clip]) -> np.ndarray:
    """Which clips are labelled at all: (N,) bool."""
    if isinstance(clips, ClipList):
        return np.ones(len(clips), bool) if clips.is_labelled is None else clips.is_labelled
    return np.array([clip.is_labelled for clip in clips], bool)


def _has_events(data: Data) -> bool:
    return bool(strongly_labelled(data.splits[TRAIN].clips).any())


def _first_unlabelled(clips: Sequence[Clip]) -> int | None:
    missing = np.flatnonzero(~labelled(clips))
    return int(missing[0]) if len(missing) else None


def _refused(
    settings: Settings, origin: SettingsOrigin, plugins: Plugins, data: Data
) -> Iterator[tuple[str, str, str]]:
    """(what is wrong, what would be right, the next command) of settings that do not go with events."""
    task, model, again = origin.where("task"), plugins.model, origin.command
    if not answers_by_frame(model):
        wrong = f"{task} is {EVENTS}, but model {model} does not answer by frame"
        right = "choose a model that does, such as efficientat_mn04 or panns_cnn10; or task=clips"
        yield wrong, right, shell_command("pannsdist", "plugins", "list", "model")
    if not data.multi_label:
        wrong = f"{task} is {EVENTS}, but a clip of {data.part} has one label"
        yield wrong, "events need a dataset whose clips may have several labels, or none", again
    if not labelled(data.splits[TRAIN].clips).any():
        yield f"{task} is {EVENTS}, but no training clip is labelled", "label some, at least by clip", again
    if settings.train.group_by_length:
        wrong = f"{origin.where('train.group_by_length')} is true, but clips of all lengths have the same frames"
        yield wrong, "train.group_by_length=false", again
    consistency = settings.events.consistency_weight
    if consistency and not settings.train.ema_decay:
        wrong = f"{origin.where('events.consistency_weight')} is {consistency:g}, but there is no moving average"
        yield wrong, "the teacher is the network of train.ema_decay: train.ema_decay=0.999", again
