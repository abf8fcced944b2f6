"""The sources of events and the backgrounds of each split, found before anything is mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pannsdist.audio.loader import Loader
from pannsdist.contracts import Clip
from pannsdist.contracts.locations import below, location_of
from pannsdist.contracts.sound_files import find_sound_files
from pannsdist.registry import Catalog
from pannsdist.run.mixing.listening import Heard, Listening
from pannsdist.run.mixing.recipe import CheckedRecipe
from pannsdist.run.mixing.trimming import Source
from pannsdist.run.planning.data import Data, load_data
from pannsdist.run.planning.selection import choose_dataset
from pannsdist.runtime.errors import BadDataset, SettingsError, candidates_line
from pannsdist.runtime.names import shown
from pannsdist.runtime.reading import is_folder
from pannsdist.settings.schema import DataSettings

AT_ONCE = 16
"""Clips per task of a worker."""
NAMED = 5

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""A progress bar: called with what is done and how many there are; then with the number that are done."""


@dataclass(frozen=True)
class SourceClip:
    """An isolated clip with its label, the sources in it, and a checksum of its samples."""

    clip: Clip
    label: str
    sources: tuple[Source, ...]
    content: str = ""


@dataclass(frozen=True)
class SplitSources:
    """The clips of a split by label, and its recorded backgrounds with the checksums of their samples."""

    by_label: Mapping[str, Sequence[SourceClip]]
    backgrounds: Sequence[Clip] = ()
    contents: Sequence[str] = ()


@dataclass(frozen=True)
class Sources:
    """What a recipe mixes: the dataset as messages name it, its splits, and why clips were left out."""

    dataset: str
    splits: Mapping[str, SplitSources]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """The clips of a recipe that are not listened to yet."""

    dataset: str
    labels: tuple[str, ...]
    clips: Mapping[str, Sequence[Clip]]
    backgrounds: Mapping[str, Sequence[Clip]]


def list_clips(checked: CheckedRecipe, catalog: Catalog) -> Listed:
    """The isolated clips and the backgrounds of each split; opens no sound.

    Raises SettingsError, and BadDataset as `load_data` does and for a clip without exactly one label.
    """
    recipe = checked.recipe
    chosen = DataSettings(name=recipe.data.name, params=recipe.data.params)
    data = load_data(choose_dataset(chosen, checked.origin, catalog), tuple(recipe.splits))
    labels = _labels(checked, data)
    clips = {split: [_single(clip, str(data.part)) for clip in table.clips] for split, table in data.splits.items()}
    kept = {split: [clip for clip in of_split if clip.labels[0] in labels] for split, of_split in clips.items()}
    backgrounds = {split: _backgrounds(split, root) for split, root in recipe.background.sounds.items()}
    return Listed(str(data.part), labels, kept, backgrounds)


def _labels(checked: CheckedRecipe, data: Data) -> tuple[str, ...]:
    """The labels of which events are made. Raises SettingsError for one that the dataset has not."""
    recipe, origin = checked.recipe, checked.origin
    for label in recipe.labels:
        if label not in data.labels:
            right = candidates_line(label, data.labels, "labels")
            raise SettingsError(f"{origin.where('labels')} has '{label}', which {data.part} has not", right)
    for label, gap_s in recipe.trim.label_gaps_s.items():
        key = f"trim.label_gaps_s.{label}"
        if label not in data.labels:
            right = candidates_line(label, data.labels, "labels")
            raise SettingsError(f"{origin.where(key)}: {data.part} has no such label", right)
        if not 0 <= gap_s <= 60:
            raise SettingsError(f"{origin.where(key)} is {gap_s}", "allowed: 0 to 60")
    labels = tuple(label for label in data.labels if label in (recipe.labels or data.labels))
    for label in labels:
        if not label.isprintable():
            raise BadDataset(
                f"the label {label!r} has a control character", "a table with tabs cannot hold it: rename it"
            )
    return labels


def _single(clip: Clip, dataset: str) -> Clip:
    if len(clip.labels) != 1:
        wrong = f"clip '{shown(clip.id)}' of dataset {dataset} has {len(clip.labels)} labels"
        raise BadDataset(wrong, "isolated sounds have one label each; give a dataset of such sounds")
    return clip


def _backgrounds(split: str, root: str) -> list[Clip]:
    key = f"background.sounds.{split}"
    place = location_of(root, key)
    if isinstance(place, Path) and not is_folder(place):
        raise SettingsError(f"{key}: there is no folder {shown(root)}", "give a folder of background sounds")
    found = find_sound_files(place)
    if not found.files:
        raise SettingsError(f"{key}: there is no sound in {shown(root)}", found.nothing)
    names = (below(file, place).as_posix() for file in found.files)
    return [Clip(shown(name), source, ()) for name, source in zip(names, found.sources, strict=True)]


def find_sources(listed: Listed, checked: CheckedRecipe, loader: Loader, bar: Bar) -> Sources:
    """The sources in all clips. Raises BadDataset for clips that cannot be used, unless the recipe skips them, and for
    a label of which a split has no source."""
    listening = Listening(checked.recipe.rate_hz, checked.recipe.trim)
    heard = _of_splits(listening.to_sources, listed.clips, loader, bar)
    of_backgrounds = _of_splits(listening.to_backgrounds, listed.backgrounds, loader, bar)
    everything = [one for found in (heard, of_backgrounds) for of_split in found.values() for _, one in of_split]
    faults = tuple(one.fault for one in everything if one.fault)
    if faults and checked.recipe.data.on_bad_clip != "skip":
        more = f"\nand {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        right = "\n".join(faults[:NAMED]) + more
        right += "\nrepair or remove them, or set data.on_bad_clip=skip to leave them out"
        raise BadDataset(f"{len(faults)} of {len(everything)} clips cannot be used: nothing was mixed", right)
    splits = {split: _by_label(split, of_split, listed.labels, faults) for split, of_split in heard.items()}
    for split, of_split in of_backgrounds.items():
        usable = {clip: one.content for clip, one in of_split if not one.fault}
        if not usable:
            raise BadDataset(f"no background of '{split}' can be used", "\n".join(faults[:NAMED]))
        splits[split] = SplitSources(splits[split].by_label, list(usable), list(usable.values()))
    return Sources(listed.dataset, splits, faults)


def _of_splits(
    listen: Callable[[tuple[Clip, ...]], tuple[Heard, ...]],
    clips: Mapping[str, Sequence[Clip]],
    loader: Loader,
    bar: Bar,
) -> dict[str, list[tuple[Clip, Heard]]]:
    every = [clip for of_split in clips.values() for clip in of_split]
    if not every:
        return {}
    found: list[Heard] = []
    with bar("listened to", len(every)) as progress:
        for heard in loader.map(listen, (tuple(every[at : at + AT_ONCE]) for at in range(0, len(every), AT_ONCE))):
            found += heard
            progress(len(heard))
    pairs = iter(zip(every, found, strict=True))
    return {split: [next(pairs) for _ in of_split] for split, of_split in clips.items()}


def _by_label(
    split: str, found: Iterable[tuple[Clip, Heard]], labels: tuple[str, ...], faults: tuple[str, ...]
) -> SplitSources:
    by_label: dict[str, list[SourceClip]] = {label: [] for label in labels}
    for clip, heard in found:
        if not heard.fault:
            by_label[clip.labels[0]].append(SourceClip(clip, clip.labels[0], heard.sources, heard.content))
    empty = [label for label, clips in by_label.items() if not clips]
    if empty:
        wrong = f"split '{split}' has no clip of {', '.join(empty[:NAMED])} that can be used"
        right = "\n".join([*faults[:NAMED], "leave these labels out with labels: [...], or add clips of them"])
        raise BadDataset(wrong, right)
    return SplitSources(by_label)
