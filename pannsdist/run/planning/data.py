"""The dataset of a run: its labels and the clips of its splits, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pannsdist.audio.batches import ClipTable, clip_table
from pannsdist.contracts import Clip
from pannsdist.registry.building import Part
from pannsdist.run.planning import subset
from pannsdist.runtime.errors import BadDataset, BrokenPlugin, candidates_line, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings

TRAIN, VALID = "train", "valid"


@dataclass(frozen=True)
class Data:
    """A dataset's labels and the splits that were loaded."""

    part: Part
    labels: tuple[str, ...]
    multi_label: bool
    splits: Mapping[str, ClipTable]

    @property
    def labels_of_clip(self) -> str:
        """How many labels a clip has, for messages."""
        return "several labels" if self.multi_label else "one label"


def load_train_and_valid(dataset: Part, settings: Settings, origin: SettingsOrigin) -> Data:
    """The clips to train on and to evaluate, fewer where the settings limit them.

    Raises BadDataset as `load_data` does and for clips in both splits, SettingsError for a subset that is too large.
    """
    data = load_data(dataset, (TRAIN, VALID))
    _refuse_leaks(data)
    train, valid = subset.limited(data.splits[TRAIN], data.splits[VALID], settings, origin)
    return replace(data, splits={TRAIN: train, VALID: valid})


def load_data(dataset: Part, splits: Sequence[str] = ()) -> Data:
    """Labels, and the clips of `splits` or of all. Raises BadDataset for empty splits and invalid ids or labels."""
    plugin, show = dataset.plugin, shell_command("pannsdist", "plugins", "show", "dataset", dataset.entry.name)
    lacking = [name for name in ("labels", "multi_label", "splits") if not hasattr(plugin, name)]
    if lacking:
        raise BrokenPlugin(f"dataset {dataset} lacks {', '.join(lacking)}", "it does not keep the contract", show)
    labels, multi_label = tuple(plugin.labels), bool(plugin.multi_label)
    if len(set(labels)) != len(labels) or not labels:
        raise BadDataset(f"dataset {dataset} has {len(labels)} labels, of which {len(set(labels))} differ", "", show)
    for split in splits:
        if split not in plugin.splits:
            right = candidates_line(split, plugin.splits, "it has")
            raise BadDataset(f"dataset {dataset} has no split '{split}'", right, show)
    tables = {}
    for split in splits or plugin.splits:
        clips = plugin.clips(split)
        _check_clips(clips, labels, multi_label, f"split '{split}' of dataset {dataset}", show)
        tables[split] = clip_table(clips, labels, multi_label)
    return Data(dataset, labels, multi_label, tables)


def _check_clips(clips: Sequence[Clip], labels: tuple[str, ...], multi_label: bool, what: str, show: str) -> None:
    if not clips:
        raise BadDataset(f"{what} is empty", "check its folders and folds", show)
    known = set(labels)
    for clip in clips:
        if not set(clip.labels) <= known or (not multi_label and len(clip.labels) != 1):
            right = f"every clip must have {'labels' if multi_label else 'exactly one label'} of the dataset's list"
            raise BadDataset(f"{what}: clip '{clip.id}' is labelled {clip.labels}", right, show)
    double = [name for name, count in Counter(clip.id for clip in clips).items() if count > 1]
    if double:
        raise BadDataset(f"{what}: {len(double)} duplicate ids, such as '{double[0]}'", "ids must be unique", show)


def _refuse_leaks(data: Data) -> None:
    train, valid = ({clip.id for clip in data.splits[name].clips} for name in (TRAIN, VALID))
    shared = sorted(train & valid)
    if shared:
        wrong = f"{len(shared)} clips are in both {TRAIN} and {VALID}, such as '{shared[0]}'"
        raise BadDataset(wrong, "the scores of clips that were trained on do not measure generalization")
