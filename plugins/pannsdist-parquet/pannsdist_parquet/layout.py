"""The tables below a folder, by split and subset, in the layouts that Hugging Face `datasets` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pannsdist.contracts import UserError, path_of, shown
from pannsdist.contracts.file_lookup import is_file, is_folder, leads_out, real_folder
from pannsdist.contracts.sound_files import is_hidden
from pannsdist_parquet.features import Features, card_of, card_of_text, features_of_card, features_of_json, json_of
from pannsdist_parquet.naming import dicts, part_of, parts_of_card, parts_of_names, refuse_missing_shards
from pannsdist_parquet.sources import TablePath

__all__ = ["Found", "TableFile", "find_tables"]

ENDINGS = (".parquet", ".arrow")
COPY_AGAIN = "copy the folder of save_to_disk again"
REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class TableFile:
    """A table: its path, its name below the root with slashes, and what its split is called; empty if nothing says."""

    path: TablePath
    name: str
    part: str

    @property
    def called(self) -> str:
        """What data.params.splits calls it: its split, or else its own name without the ending."""
        return self.part or PurePosixPath(self.name).stem


@dataclass(frozen=True)
class Found:
    """The tables of one subset in a fixed order, and the features that stand beside them. `root` holds their files."""

    root: object
    files: Sequence[TableFile]
    features: Features = field(default_factory=Features)


def find_tables(root: str, config: str) -> Found:
    """The tables below data.params.root. Raises UserError; opens no table."""
    if REMOTE.match(root):
        return _in_store(root, config)
    path = path_of(root)
    if root and is_file(path):
        if path.suffix.lower() not in ENDINGS:
            raise UserError(f"data.params.root is {root!r}", f"a table ends with {' or '.join(ENDINGS)}")
        return Found(path.parent, (TableFile(path, shown(path.name), part_of(path.name)),), _beside(path.parent))
    if not root or not is_folder(path):
        right = "it is a folder with .parquet files, or one of save_to_disk"
        command = "the same command with data.params.root=FOLDER"
        raise UserError(f"data.params.root is {root!r}, where there is no folder", right, command)
    return _saved(path) or _published(path, config)


def _beside(folder: Path) -> Features:
    """The features of dataset_info.json, or of README.md, in a folder."""
    info = folder / "dataset_info.json"
    if is_file(info):
        return features_of_json(json_of(info).get("features"))
    return _features_of(card_of(folder), "")


def _saved(root: Path) -> Found | None:
    """A folder of save_to_disk: of one split, or with a folder for each; None for any other folder."""
    if is_file(root / "state.json"):
        return Found(root, tuple(_saved_split(root, root, "")), _beside(root))
    if not is_file(root / "dataset_dict.json"):
        return None
    splits = json_of(root / "dataset_dict.json").get("splits")
    if not isinstance(splits, list) or not splits or not all(isinstance(name, str) for name in splits):
        raise UserError(f"{shown(root)}/dataset_dict.json lists no splits", COPY_AGAIN)
    files = [file for name in splits for file in _saved_split(root, _inside(root, name, "dataset_dict.json"), name)]
    return Found(root, tuple(files), _beside(root / splits[0]))


def _saved_split(root: Path, folder: Path, part: str) -> Iterator[TableFile]:
    state = json_of(folder / "state.json")
    if state.get("_indices_data_files") or state.get("_indices_files"):
        right = "call flatten_indices() and save_to_disk again"
        raise UserError(f"{shown(folder)} holds a selection of rows beside its tables", right)
    names = [one.get("filename") for one in state.get("_data_files") or () if isinstance(one, dict)]
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{shown(folder)}/state.json lists no tables", COPY_AGAIN)
    own = state.get("_split")
    for name in names:
        path = _inside(folder, str(name), "state.json")
        if not is_file(path):
            raise UserError(f"{shown(path)} is missing, which state.json lists", COPY_AGAIN)
        yield TableFile(path, shown(path.relative_to(root).as_posix()), part or (own if isinstance(own, str) else ""))


def _inside(folder: Path, name: str, listed_in: str) -> Path:
    path = folder / name
    if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or leads_out(path, folder):
        raise UserError(
            f"{shown(folder)}/{listed_in} lists {name!r}, which is outside of it", "names are below the folder"
        )
    return path


def _published(root: Path, config: str) -> Found:
    """A folder of tables as the Hub has them: by README.md where it lists them, else by their names."""
    names = sorted(_tables(root, root))
    if not names:
        raise UserError(f"{shown(root)} (data.params.root) has no table", f"tables end with {' or '.join(ENDINGS)}")
    if len({PurePosixPath(name).suffix.lower() for name in names}) > 1:
        right = "keep one kind, or name one file or a folder further down as data.params.root"
        raise UserError(f"{shown(root)} (data.params.root) has Parquet and Arrow files", right)
    card = card_of(root)
    parts = parts_of_card(card, config, names, root) or parts_of_names(names, config, root)
    refuse_missing_shards(parts, root)
    boundary = _boundary(root)
    for name in parts:
        if leads_out(root / name, boundary):
            wrong = f"{shown(name)} is a link that leads out of {shown(root)} (data.params.root)"
            raise UserError(wrong, real_folder(root / name, root))
    files = tuple(TableFile(root / name, shown(name), part) for name, part in parts.items())
    info = root / "dataset_info.json"
    return Found(root, files, _beside(root) if is_file(info) else _features_of(card, config))


def _in_store(root: str, config: str) -> Found:
    """Parquet files in a store, such as hf://datasets/OWNER/NAME: one, or all below a URL. Raises UserError."""
    from pannsdist.contracts.locations import Url, listing, location_of, read_bytes, source

    url = location_of(root, "data.params.root")
    if not isinstance(url, Url):
        raise UserError(f"data.params.root is {root!r}", "it is a folder, or the URL of a store")
    if url.suffix.lower() == ".parquet":
        table = source(url)
        return Found(url.parent, (TableFile(table, shown(url.name), part_of(url.name)),))
    listed = dict(listing(url))
    names = [name for name in listed if name.lower().endswith(".parquet") and not any(map(is_hidden, name.split("/")))]
    if not names:
        right = "it has Parquet files; other kinds of tables are downloaded first"
        raise UserError(f"{url} (data.params.root) has no table", right)
    card = card_of_text(read_bytes(url / "README.md"), f"{url}/README.md") if "README.md" in listed else {}
    parts = parts_of_card(card, config, names, url) or parts_of_names(names, config, url)
    refuse_missing_shards(parts, url)
    files = tuple(TableFile(source(url / name, listed[name]), shown(name), part) for name, part in parts.items())
    return Found(url, files, _features_of(card, config))


def _boundary(root: Path) -> Path:
    """What links may lead to: the root itself; of a snapshot in the Hub's cache the repository that holds its blobs."""
    is_snapshot = root.parent.name == "snapshots" and is_folder(root.parent.parent / "blobs")
    return root.parent.parent if is_snapshot else root


def _tables(root: Path, folder: Path) -> Iterator[str]:
    """The tables below a folder by name, without the hidden ones and what `datasets` keeps for itself."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        wrong = f"cannot list the folder {shown(folder)}: {error.strerror}"
        raise UserError(wrong, "all folders below data.params.root must be readable") from error
    for path in entries:
        if is_hidden(path.name) or path.name.startswith(("cache-", "__")):
            continue
        if is_folder(path):
            if not path.is_symlink():
                yield from _tables(root, path)
        elif path.suffix.lower() in ENDINGS:
            yield path.relative_to(root).as_posix()


def _features_of(card: Mapping[str, Any], config: str) -> Features:
    """The features in the `dataset_info` of a card: of one subset, or the only one."""
    infos = dicts(card.get("dataset_info"))
    named = [one for one in infos if str(one.get("config_name", "default")) == (config or "default")]
    chosen = named or (infos if len(infos) == 1 else [])
    return features_of_card(chosen[0].get("features")) if chosen else Features()
