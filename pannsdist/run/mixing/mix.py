"""Mixes the soundscapes of a recipe in worker processes, and writes the tables of their events."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pannsdist.audio.loader import Loader
from pannsdist.registry import Catalog
from pannsdist.run import new_folder
from pannsdist.run.mixing import document
from pannsdist.run.mixing.jams import Summary
from pannsdist.run.mixing.plan import plan
from pannsdist.run.mixing.recipe import CheckedRecipe, Recipe
from pannsdist.run.mixing.sources import Bar, Sources, find_sources, list_clips
from pannsdist.run.mixing.tables import MANIFEST, write_tables
from pannsdist.run.mixing.writing import PART, MixTask, write
from pannsdist.runtime import reading, storage

BYTES_OF = {"int16": 2, "float32": 4}
ROOM_BYTES = 8192
"""For the header of a soundscape, its JAMS file and its rows."""


@dataclass(frozen=True)
class Mixture:
    """The soundscapes of a folder by split, and why clips were left out."""

    folder: Path
    soundscapes: Mapping[str, list[Summary]]
    left_out: tuple[str, ...]

    @property
    def manifest(self) -> Path:
        """The table of all soundscapes, for the dataset plugin `manifest`."""
        return self.folder / MANIFEST

    @property
    def every(self) -> list[Summary]:
        """Those of all splits."""
        return [one for of_split in self.soundscapes.values() for one in of_split]

    @property
    def labels(self) -> Counter[str]:
        """The number of events of each label."""
        return Counter(event.label for one in self.every for event in one.events)


@dataclass(frozen=True)
class MixOrder:
    """Where to write, with how many workers, and the progress bar."""

    output: Path
    workers: int
    bar: Bar


def mix(checked: CheckedRecipe, catalog: Catalog, order: MixOrder) -> Mixture:
    """Write the soundscapes of a recipe that are not in the folder yet; the bytes do not depend on the workers.

    Raises SettingsError, BadDataset, BadClip, CannotRead, CannotWrite, and BadRunFolder where another process mixes
    into the folder.
    """
    output = Path(os.path.abspath(order.output))  # noqa: PTH100 - a link is kept
    with new_folder.locked(output, "mixing"):
        document.refuse_foreign(output)
        listed = list_clips(checked, catalog)
        loader = Loader(order.workers)
        try:
            sources = find_sources(listed, checked, loader, order.bar)
            document.begin(output, document.document(checked.recipe, sources))
            _prepare(output, checked.recipe)
            found = _written(checked, sources, output, loader, order.bar)
        finally:
            loader.close()
        write_tables(output, found, checked.recipe)
    return Mixture(output, found, sources.left_out)


def _prepare(output: Path, recipe: Recipe) -> None:
    """Remove what killed workers left, and see that there is room for the rest. Raises CannotWrite."""
    left = 0
    for split, count in recipe.splits.items():
        names = reading.names_in(output / split)
        for name in names:
            if name.endswith(PART):
                storage.remove(output / split / name)
        left += max(0, count - sum(name.endswith(".jams") for name in names))
    needed = left * (recipe.samples * BYTES_OF[recipe.dtype] + ROOM_BYTES)
    new_folder.refuse_full_disk(output, needed, "soundscapes")


def _written(
    checked: CheckedRecipe, sources: Sources, output: Path, loader: Loader, bar: Bar
) -> dict[str, list[Summary]]:
    recipe = checked.recipe
    found: dict[str, list[Summary]] = {split: [] for split in recipe.splits}
    with bar("mixed", sum(recipe.splits.values())) as progress:
        done = loader.map(write, _tasks(checked, sources, output))
        for split, count in recipe.splits.items():
            for _ in range(count):
                found[split].append(next(done))
                progress(1)
    return found


def _tasks(checked: CheckedRecipe, sources: Sources, output: Path) -> Iterator[MixTask]:
    for split, count in checked.recipe.splits.items():
        for number in range(count):
            yield MixTask(plan(checked, sources.splits[split], split, number), checked.recipe, output / split)
