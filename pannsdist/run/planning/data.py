"""The dataset of a run: its labels, and the clips of its splits, checked before anything is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pannsdist.audio.batches import ClipTable, clip_table
from pannsdist.contracts import Clip
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part, choose
from pannsdist.runtime.errors import BadDataset, BrokenPlugin, candidates_line
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings


@dataclass(frozen=True)
class Data:
    """A dataset's labels and the splits that were asked for."""

    part: Part
    labels: tuple[str, ...]
    multi_label: bool
    splits: Mapping[str, ClipTable]


def choose_data(settings: Settings, source: SettingsOrigin, catalog: Catalog, splits: Sequence[str] = ()) -> Data:
    """The dataset, the clips of `splits` or of all. Raises BadDataset for empty splits, double ids, odd labels."""
    part = choose(catalog.datasets, settings.data, source, "data")
    show = f"pannsdist plugins show dataset {part.entry.name}"
    lacking = [name for name in ("labels", "multi_label", "splits") if not hasattr(part.plugin, name)]
    if lacking:
        raise BrokenPlugin(f"dataset {part} lacks {', '.join(lacking)}", "it does not keep the contract", show)
    labels, multi_label = tuple(part.plugin.labels), bool(part.plugin.multi_label)
    if len(set(labels)) != len(labels) or not labels:
        raise BadDataset(f"dataset {part} has {len(labels)} labels, of which {len(set(labels))} differ", "", show)
    tables = {}
    for split in splits or part.plugin.splits:
        if split not in part.plugin.splits:
            raise BadDataset(
                f"dataset {part} has no split '{split}'", candidates_line(split, part.plugin.splits, "it has"), show
            )
        clips = part.plugin.clips(split)
        _check_clips(clips, labels, multi_label, f"split '{split}' of dataset {part}", show)
        tables[split] = clip_table(clips, labels, multi_label)
    return Data(part, labels, multi_label, tables)


def _check_clips(clips: Sequence[Clip], labels: tuple[str, ...], multi_label: bool, what: str, show: str) -> None:
    if not clips:
        raise BadDataset(f"{what} is empty", "check its folders and folds", show)
    known = set(labels)
    for clip in clips:
        if not set(clip.labels) <= known or (not multi_label and len(clip.labels) != 1):
            right = "every clip bears " + ("labels" if multi_label else "exactly one label") + " out of the dataset's"
            raise BadDataset(f"{what}: clip '{clip.id}' is labelled {clip.labels}", right, show)
    double = [name for name, count in Counter(clip.id for clip in clips).items() if count > 1]
    if double:
        raise BadDataset(f"{what}: {len(double)} ids stand twice, such as '{double[0]}'", "ids must be unique", show)
