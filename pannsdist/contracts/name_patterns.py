"""For dataset plugins: a pattern of file names with one marked part, which names the group of a clip."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from pannsdist.runtime.errors import UserError

__all__ = ["NamePattern", "groups_by_pattern"]

LONGEST = 200
SYNTAX = (
    "* is any text, ? any character, and the group is the part in one pair of parentheses: (*)_* for speaker_3.wav, "
    "*_(*)_* for yes_speaker_3.wav, (*)/* for the folder that holds the file"
)


class NamePattern:
    """A pattern of the last parts of a path: `(*)_*` of the file name, `(*)/*` of its folder and its name.

    `*` is any text without a slash, `?` one such character; everything else stands for itself. Of several ways to match
    it is the one in which each `*`, from the left, is as short as possible. The time is bounded by the product of the
    two lengths. Names are compared in the normal form NFC. Raises UserError, with the settings key, for a pattern that
    is empty, too long, or without exactly one pair of parentheses within one part.
    """

    def __init__(self, pattern: str, key: str) -> None:
        self.pattern, self.key = pattern, key
        text = unicodedata.normalize("NFC", pattern)
        parts = text.split("/")
        marked = [number for number, part in enumerate(parts) if "(" in part and ")" in part[part.index("(") + 2 :]]
        is_marked_once = text.count("(") == text.count(")") == len(marked) == 1
        if not is_marked_once or not all(parts) or len(text) > LONGEST:
            raise UserError(f"{key} is {pattern!r}, which is no pattern with a group", SYNTAX)
        self._parts, self._marked = parts, marked[0]

    def group(self, path: str) -> str:
        """The marked part of a path with slashes; empty if the pattern does not match."""
        names = unicodedata.normalize("NFC", path).split("/")[-len(self._parts) :]
        if len(names) < len(self._parts):
            return ""
        found = ""
        for number, (part, name) in enumerate(zip(self._parts, names, strict=True)):
            if number == self._marked:
                found = _marked_text(part, name)
            elif not _starts(part.split("*"), name):
                return ""
        return found


def groups_by_pattern(pattern: NamePattern, paths: Sequence[str]) -> list[str]:
    """The group of each path. Raises UserError, with an example, if the pattern does not match all of them."""
    groups = [pattern.group(path) for path in paths]
    missed = [path for path, group in zip(paths, groups, strict=True) if not group]
    if missed:
        wrong = f"{pattern.key}={pattern.pattern} does not match {len(missed)} of {len(paths)} clips, "
        raise UserError(f"{wrong}such as {missed[0]!r}", f"every clip needs a group; {SYNTAX}")
    return groups


def _marked_text(part: str, name: str) -> str:
    """The text of the name between the parentheses of the part; empty if it does not match."""
    pieces = part.replace("(", "").replace(")", "").split("*")
    starts = _starts(pieces, name)
    if not starts:
        return ""
    before, inside = part[: part.index("(")], part[part.index("(") + 1 : part.index(")")]
    left = before.count("*")
    right = left + inside.count("*")
    begin = starts[left] + len(before.rpartition("*")[2])
    end = starts[right] + len(inside.rpartition("*")[2] if "*" in inside else before.rpartition("*")[2] + inside)
    return name[begin:end]


def _starts(pieces: Sequence[str], name: str) -> list[int]:
    """Where each piece between two `*` starts in the name; empty if the name does not match."""
    first, last = pieces[0], pieces[-1]
    if not _is_at(first, name, 0) or (len(pieces) == 1 and len(first) != len(name)):
        return []
    starts, place = [0], len(first)
    for piece in pieces[1:-1]:
        found = next((at for at in range(place, len(name) - len(piece) + 1) if _is_at(piece, name, at)), -1)
        if found < 0:
            return []
        starts.append(found)
        place = found + len(piece)
    if len(pieces) > 1:
        end = len(name) - len(last)
        if end < place or not _is_at(last, name, end):
            return []
        starts.append(end)
    return starts


def _is_at(piece: str, name: str, at: int) -> bool:
    part = name[at : at + len(piece)]
    return len(part) == len(piece) and all(one in ("?", other) for one, other in zip(piece, part, strict=True))
