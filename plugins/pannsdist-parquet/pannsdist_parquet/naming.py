"""Which tables belong to which split and subset: by README.md, or by their names, as Hugging Face `datasets` does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pannsdist.contracts import UserError, shell_command, shown
from pannsdist.contracts.split_names import is_unclear, split_named

__all__ = ["dicts", "part_of", "parts_of_card", "parts_of_names", "refuse_missing_shards"]

SHARD = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})(?:-.*)?")
"""The stem of a shard: split, number and count; the Hub once added a checksum."""
MOST_WILDCARDS = 21
"""Pieces of a pattern, of which every second one is a wildcard: they bound the time to match."""


def parts_of_card(card: Mapping[str, Any], config: str, names: Sequence[str], root: object) -> dict[str, str]:
    """The split of each table by the `configs` of README.md; empty where it lists none. Raises UserError."""
    listed = [one for one in dicts(card.get("configs")) if one.get("data_files") is not None]
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


def parts_of_names(names: Sequence[str], config: str, root: object) -> dict[str, str]:
    """The split of each table by its name and folders, of one subset."""
    subsets: dict[str, list[str]] = {}
    for name in names:
        subsets.setdefault(_subset(name), []).append(name)
    if config not in subsets and (config or len(subsets) > 1):
        raise _unknown_config(root, config, subsets)
    chosen = subsets[config] if config in subsets else next(iter(subsets.values()))
    return {name: part_of(name) for name in chosen}


def _subset(name: str) -> str:
    """The folders of a table that stand for no split."""
    folders = PurePosixPath(name).parent.parts
    return "/".join(part for part in folders if part not in ("data", "default") and not _token(part))


def part_of(name: str) -> str:
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


def refuse_missing_shards(names: Iterable[str], root: object) -> None:
    """Raise UserError for a table that says of itself that there are more of its kind."""
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


def _unknown_config(root: object, config: str, known: Iterable[str]) -> UserError:
    names = sorted(shown(name) or "(none)" for name in known)
    wrong = f"data.params.config is {config!r}" if config else f"{shown(root)} has {len(names)} subsets"
    again = f"the same command with {shell_command(f'data.params.config={names[-1]}')}"
    return UserError(wrong, f"subsets: {', '.join(names[:20])}", again)


def dicts(value: object) -> list[dict[str, Any]]:
    """The dictionaries of a list, or the one that stands in its place."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _texts(value: object) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value])]
