"""The tables below a folder, by split and subset, in the layouts that Hugging Face `datasets` writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pannsdist.contracts import UserError, path_of, shell_command, shown
from pannsdist.contracts.file_lookup import is_file, is_folder, leads_out, real_folder
from pannsdist.contracts.sound_files import is_hidden
from pannsdist.contracts.split_names import is_unclear, split_named
from pannsdist_parquet.features import Features, card_of, features_of_card, features_of_json, json_of

__all__ = ["Found", "TableFile", "find_tables"]

ENDINGS = (".parquet", ".arrow")
SHARD = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})(?:-.*)?")
"""The stem of a shard: split, number and count; the Hub once added a checksum."""
COPY_AGAIN = "copy the folder of save_to_disk again"
MOST_WILDCARDS = 21
"""Pieces of a pattern, of which every second one is a wildcard: they bound the time to match."""
REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(.*)")


@dataclass(frozen=True)
class TableFile:
    """A table: its path, its name below the root with slashes, and what its split is called; empty if nothing says."""

    path: Path
    name: str
    part: str

    @property
    def called(self) -> str:
        """What data.params.splits calls it: its split, or else its own name without the ending."""
        return self.part or PurePosixPath(self.name).stem


@dataclass(frozen=True)
class Found:
    """The tables of one subset in a fixed order, and the features that stand beside them. `root` holds their files."""

    root: Path
    files: Sequence[TableFile]
    features: Features = field(default_factory=Features)


def find_tables(root: str, config: str) -> Found:
    """The tables below data.params.root. Raises UserError; opens no table."""
    if remote := REMOTE.fullmatch(root):
        name = remote[1].removeprefix("datasets/")
        command = f"hf download --repo-type dataset {name} --local-dir FOLDER"
        raise UserError(f"data.params.root is {root!r}", "it is a local folder; download it first", command)
    path = path_of(root)
    if root and is_file(path):
        if path.suffix.lower() not in ENDINGS:
            raise UserError(f"data.params.root is {root!r}", f"a table ends with {' or '.join(ENDINGS)}")
        return Found(path.parent, (TableFile(path, shown(path.name), _part(path.name)),), _beside(path.parent))
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
    parts = _parts_of_card(card, config, names, root) or _parts_of_names(names, config, root)
    _refuse_missing_shards(parts, root)
    boundary = _boundary(root)
    for name in parts:
        if leads_out(root / name, boundary):
            wrong = f"{shown(name)} is a link that leads out of {shown(root)} (data.params.root)"
            raise UserError(wrong, real_folder(root / name, root))
    files = tuple(TableFile(root / name, shown(name), part) for name, part in parts.items())
    info = root / "dataset_info.json"
    return Found(root, files, _beside(root) if is_file(info) else _features_of(card, config))


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


def _parts_of_card(card: Mapping[str, Any], config: str, names: Sequence[str], root: Path) -> dict[str, str]:
    """The split of each table by the `configs` of README.md; empty where it lists none."""
    listed = [one for one in _dicts(card.get("configs")) if one.get("data_files") is not None]
    if not listed:
        return {}
    known = {str(one.get("config_name", "default")): one for one in listed}
    chosen = known.get(config or "default") or (next(iter(known.values())) if not config and len(known) == 1 else None)
    if chosen is None:
        raise _unknown_config(root, config, known)
    parts: dict[str, str] = {}
    for part, patterns in _data_files(chosen["data_files"]):
        for pattern in patterns:
            matching = [name for name in names if _matches(name, pattern)]
            if not matching:
                wrong = f"{shown(root)}/README.md lists {pattern!r} for {part}, but there is no such table"
                raise UserError(wrong, "download all of its files, or take README.md away")
            for name in matching:
                if parts.setdefault(name, part) != part:
                    wrong = f"{shown(root)}/README.md lists {name} for {parts[name]} and for {part}"
                    raise UserError(wrong, "a table belongs to one split")
    return parts


def _data_files(listed: object) -> Iterator[tuple[str, list[str]]]:
    """(split, patterns) of the `data_files` of a card; what has no split is `train`, as for `datasets`."""
    if isinstance(listed, str):
        yield "train", [listed]
    elif isinstance(listed, dict):
        yield from ((str(part), _texts(patterns)) for part, patterns in listed.items())
    elif isinstance(listed, list):
        for one in listed:
            is_split = isinstance(one, dict)
            yield (str(one.get("split", "train")), _texts(one.get("path"))) if is_split else ("train", _texts(one))


def _matches(name: str, pattern: str) -> bool:
    """As the Hub matches: `*` within a name, `**` over folders too."""
    pieces = re.split(r"(\*\*/|\*+|\?|\[[^\]]+\])", pattern.removeprefix("./"))
    if len(pieces) > MOST_WILDCARDS:
        raise UserError(f"README.md lists {pattern[:100]!r}", f"at most {MOST_WILDCARDS // 2} wildcards in a pattern")
    try:
        return re.fullmatch("".join(map(_expression, pieces)), name) is not None
    except re.error:
        return False


def _expression(piece: str) -> str:
    wildcards = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if piece in wildcards:
        return wildcards[piece]
    return piece.replace("[!", "[^", 1) if re.fullmatch(r"\[.+\]", piece) else re.escape(piece)


def _parts_of_names(names: Sequence[str], config: str, root: Path) -> dict[str, str]:
    """The split of each table by its name and folders, of one subset."""
    subsets: dict[str, list[str]] = {}
    for name in names:
        subsets.setdefault(_subset(name), []).append(name)
    if config not in subsets and (config or len(subsets) > 1):
        raise _unknown_config(root, config, subsets)
    chosen = subsets[config] if config in subsets else next(iter(subsets.values()))
    return {name: _part(name) for name in chosen}


def _subset(name: str) -> str:
    """The folders of a table that stand for no split."""
    folders = PurePosixPath(name).parent.parts
    return "/".join(part for part in folders if part not in ("data", "default") and not _token(part))


def _part(name: str) -> str:
    """What the split of a table is called: a shard before its number, else by a word in its name or folders."""
    path = PurePosixPath(name)
    shard = SHARD.fullmatch(path.stem)
    if shard:
        return shard[1]
    if _token(path.stem):
        return path.stem
    return next((part for part in reversed(path.parent.parts) if _token(part)), "")


def _token(name: str) -> str:
    """The one word of a name that names a split, or may; empty for none and for several."""
    words = [word for word in re.split(r"[-._ 0-9]+", name.lower()) if split_named(word) or is_unclear(word)]
    return words[0] if len(set(words)) == 1 else ""


def _refuse_missing_shards(names: Iterable[str], root: Path) -> None:
    shards: dict[tuple[str, str], set[int]] = {}
    for name in names:
        path = PurePosixPath(name)
        if shard := SHARD.fullmatch(path.stem):
            shards.setdefault((str(path.parent / shard[1]), shard[3]), set()).add(int(shard[2]))
    for (stem, count), numbers in shards.items():
        missing = sorted(set(range(int(count))) - numbers)
        if missing:
            some = f"{len(numbers)} of the {int(count)} tables of {shown(stem)}"
            wrong = f"{shown(root)} has {some}: number {missing[0]} is missing"
            raise UserError(wrong, "download all of them; a run would otherwise train on a part of the data")


def _unknown_config(root: Path, config: str, known: Iterable[str]) -> UserError:
    names = sorted(shown(name) or "(none)" for name in known)
    wrong = f"data.params.config is {config!r}" if config else f"{shown(root)} has {len(names)} subsets"
    again = f"the same command with {shell_command(f'data.params.config={names[-1]}')}"
    return UserError(wrong, f"subsets: {', '.join(names[:20])}", again)


def _features_of(card: Mapping[str, Any], config: str) -> Features:
    """The features in the `dataset_info` of a card: of one subset, or the only one."""
    infos = _dicts(card.get("dataset_info"))
    named = [one for one in infos if str(one.get("config_name", "default")) == (config or "default")]
    chosen = named or (infos if len(infos) == 1 else [])
    return features_of_card(chosen[0].get("features")) if chosen else Features()


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _texts(value: object) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value])]
