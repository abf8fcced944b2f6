"""Where the sounds are and what names their classes: a folder of class folders, or a table."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pannsdist.contracts import Clip
from pannsdist.contracts.locations import Location, Url, is_url, location_of
from pannsdist.contracts.name_patterns import NamePattern, groups_by_pattern
from pannsdist.contracts.sound_files import is_hidden, is_sound
from pannsdist.contracts.split_names import split_named
from pannsdist.contracts.tables import TABLE_ENDINGS
from pannsdist.registry import Catalog
from pannsdist.run.planning.data import Data, load_data
from pannsdist.run.planning.selection import choose_dataset
from pannsdist.run.proposal.document import Line
from pannsdist.run.proposal.tables import Table, read_table
from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.names import folder_above, is_file, is_folder, path_of, shown
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import DataSettings

GROUP = "data.params.group"
EXPECTED = "give a folder with one folder of sounds for each class, or a table of the clips: .csv, .tsv or .jsonl"


@dataclass(frozen=True)
class Collection:
    """A dataset plugin, its params with their reasons, and its clips before it is decided how they are divided.

    `groups` has the group of each clip by its id, empty without groups. `division` says what divides them already:
    `split`, `fold` or nothing; `first_fold` is the smallest fold.
    """

    dataset: str
    lines: tuple[Line, ...]
    clips: tuple[Clip, ...]
    multi_label: bool
    division: str = ""
    groups: tuple[tuple[str, str], ...] = ()
    first_fold: int = 0

    @property
    def ungrouped(self) -> Collection:
        """The same clips without groups."""
        kept = tuple(line for line in self.lines if line.key != GROUP)
        return replace(self, lines=kept, groups=())


def params_of(lines: Sequence[Line]) -> dict[str, Any]:
    """The `data.params` among lines, as the plugin gets them."""
    params: dict[str, Any] = {}
    for line in lines:
        name, _, inner = line.key.removeprefix("data.params.").partition(".")
        if not line.key.startswith("data.params."):
            continue
        if inner:
            params.setdefault(name, {})[inner] = line.value
        else:
            params[name] = line.value
    return params


def find_collection(given: str, group: str, catalog: Catalog) -> Collection:
    """The dataset for a folder or a table. Raises UserError for what is neither, and for what the dataset refuses."""
    path = location_of(given, "--from")
    if isinstance(path, Url):
        is_table = path.suffix.lower() in TABLE_ENDINGS
        return _of_table(read_table(path), group, catalog) if is_table else _of_folder(path, group, catalog)
    if is_folder(path):
        return _of_folder(path, group, catalog)
    if not is_file(path):
        wrong = f"there is no file or folder {shown(path)} (--from)"
        raise UserError(wrong, EXPECTED, shell_command("ls", shown(folder_above(path))))
    if path.suffix.lower() not in TABLE_ENDINGS:
        what = "a single sound" if is_sound(path.name) else "no table"
        has_classes = len(_inside(path.parent)[0]) > 1
        again = shell_command("pannsdist", "init", "--from", shown(path.parent))
        raise UserError(
            f"{shown(path)} (--from) is {what}", EXPECTED, again if has_classes else next_command(str(path.parent))
        )
    return _of_table(read_table(path), group, catalog)


def next_command(given: str) -> str:
    """What to type after a refusal: `init` with the folder above or below, if that one has the classes; or a look."""
    if is_url(given):
        return shell_command("pannsdist", "plugins", "show", "dataset", "manifest")
    path = path_of(given)
    if not is_folder(path):
        return shell_command("head", "-3", shown(path))
    folders, has_sounds = _inside(path)
    above = path if path.parent == path else path.parent
    if has_sounds and len(_inside(above)[0]) > 1:
        return shell_command("pannsdist", "init", "--from", shown(above))
    if len(folders) == 1 and len(_inside(folders[0])[0]) > 1:
        return shell_command("pannsdist", "init", "--from", shown(folders[0]))
    return shell_command("ls", shown(path))


def _inside(folder: Path) -> tuple[list[Path], bool]:
    """The visible folders in a folder, at most a hundred, and whether it has sounds itself."""
    try:
        with os.scandir(folder) as listing:
            some = list(itertools.islice((one for one in listing if not is_hidden(one.name)), 100))
        return sorted(Path(one.path) for one in some if one.is_dir()), any(is_sound(one.name) for one in some)
    except OSError:
        return [], False


def load(dataset: str, lines: Sequence[Line], catalog: Catalog) -> Data:
    """The clips of a dataset with these params."""
    return load_data(choose_dataset(DataSettings(dataset, params_of(lines)), SettingsOrigin(), catalog))


def _of_folder(path: Location, group: str, catalog: Catalog) -> Collection:
    line = Line("data.params.root", shown(path), "relative to the folder in which the commands are typed")
    data = load("folder", [line], catalog)
    clips = tuple(clip for table in data.splits.values() for clip in table.clips)
    tops = {(split, clip.id.partition("/")[0]) for split, table in data.splits.items() for clip in table.clips}
    is_given = all(split_named(top) == split for split, top in tops)
    lines = (line, *_group_lines(group, "a pattern of the file names", "--group")) if group else (line,)
    names = [clip.id for clip in clips]
    groups = groups_by_pattern(NamePattern(group, "--group"), names) if group else ()
    division = "split" if is_given else ""
    return Collection("folder", lines, clips, False, division, tuple(zip(names, groups, strict=False)))


def _of_table(table: Table, group: str, catalog: Catalog) -> Collection:
    parts = {
        "fold": Line("data.params.valid_fold", table.first_fold, "only to look at the clips"),
        "": Line("data.params.valid_fraction", 0.2, "only to look at the clips"),
    }
    own = [parts[table.division]] if table.division in parts else []
    data = load("manifest", [*table.lines, *own], catalog)
    clips = tuple(clip for split in data.splits.values() for clip in split.clips)
    source = Collection("manifest", table.lines, clips, data.multi_label, table.division, (), table.first_fold)
    column, reason, by = (group, "a column or a pattern of the path", "--group") if group else table.group
    if not column:
        return source
    grouped = table.groups(column)
    of_clips = tuple((clip.id, grouped.get(table.key(str(clip.source)), clip.id)) for clip in clips)
    return replace(source, lines=(*source.lines, *_group_lines(column, reason, by)), groups=of_clips)


def _group_lines(group: str, what: str, by: str) -> tuple[Line, ...]:
    reason = f"{what} ({by}): clips of one group, such as a speaker, are never in two splits"
    return (Line(GROUP, group, reason),)
