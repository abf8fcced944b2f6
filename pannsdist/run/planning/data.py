"""The dataset of a run: its labels and the clips of its splits, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from pannsdist.audio.batches import ClipTable, clip_table
from pannsdist.contracts import Clip
from pannsdist.contracts.clip_lists import ids_of, joined, taken
from pannsdist.registry.building import Part
from pannsdist.run.planning import subset
from pannsdist.run.planning.clips import notes, refuse_clips, refuse_labels, refuse_leaks, refuse_untrained_classes
from pannsdist.runtime.errors import BadDataset, BrokenPlugin, candidates_line, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings

TRAIN, VALID, TEST = "train", "valid", "test"


@dataclass(frozen=True)
class Data:
    """A dataset's labels and the splits that were loaded; `notes` are what may be a mistake in them.

    `test` are the clips that a run evaluates once, at its end; None if there are none.
    """

    part: Part
    labels: tuple[str, ...]
    multi_label: bool
    splits: Mapping[str, ClipTable]
    notes: tuple[str, ...] = ()
    test: ClipTable | None = None

    @property
    def labels_of_clip(self) -> str:
        """How many labels a clip has, for messages."""
        return "several labels" if self.multi_label else "one label"


def load_train_and_valid(dataset: Part, settings: Settings, origin: SettingsOrigin) -> Data:
    """The clips to train on and to evaluate, fewer where the settings limit them; those of the test split, if any.

    Raises BadDataset as `load_data` does and for clips in two splits, SettingsError for a subset that is too large.
    """
    is_tested = settings.select.test and not settings.train.overfit_batches
    names = (TRAIN, VALID, TEST) if is_tested and TEST in getattr(dataset.plugin, "splits", ()) else (TRAIN, VALID)
    data = load_data(dataset, names)
    for one, other in combinations(names, 2):
        refuse_leaks(data.splits, one, other)
    found = notes(data.splits, data.labels, TRAIN, VALID)
    train, valid = subset.limited(data.splits[TRAIN], data.splits[VALID], settings, origin)
    if settings.train.all_clips:
        both = _by_id(train, valid)
        train, valid = clip_table(both, data.labels, data.multi_label), subset.spread(valid, 0)
        found = []
    test = data.splits.get(TEST)
    if test is not None and settings.valid.limit_batches:
        test = subset.spread(test, settings.valid.limit_batches * settings.valid.batch_size)
    return replace(data, splits={TRAIN: train, VALID: valid}, notes=tuple(found), test=test)


def _by_id(*tables: ClipTable) -> Sequence[Clip]:
    """The clips of all tables, sorted by id, so that they do not depend on how the tables divide them."""
    clips = joined(*(table.clips for table in tables))
    ids = ids_of(clips)
    return taken(clips, np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64))


def load_data(dataset: Part, splits: Sequence[str] = ()) -> Data:
    """Labels, and the clips of `splits` or of all.

    Raises BadDataset for an empty split, invalid ids or labels, and a class that no clip of `train` has, if loaded.
    """
    plugin, show = dataset.plugin, shell_command("pannsdist", "plugins", "show", "dataset", dataset.entry.name)
    lacking = [name for name in ("labels", "multi_label", "splits") if not hasattr(plugin, name)]
    if lacking:
        raise BrokenPlugin(f"dataset {dataset} lacks {', '.join(lacking)}", "it does not keep the contract", show)
    labels, multi_label = tuple(plugin.labels), bool(plugin.multi_label)
    refuse_labels(labels, multi_label, str(dataset), show)
    for split in splits:
        if split not in plugin.splits:
            right = candidates_line(split, plugin.splits, "it has")
            raise BadDataset(f"dataset {dataset} has no split '{split}'", right, show)
    tables = {}
    for split in splits or plugin.splits:
        clips = plugin.clips(split)
        refuse_clips(clips, labels, multi_label, f"split '{split}' of dataset {dataset}", show)
        tables[split] = clip_table(clips, labels, multi_label)
    refuse_untrained_classes(tables, labels, TRAIN, show)
    return Data(dataset, labels, multi_label, tables)
