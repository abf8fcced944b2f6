"""Pieces of Markdown, with text of others in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\|<>*\[\]#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def cell(text: str) -> str:
    """A text of others in a line or a cell: nothing in it is Markdown or HTML, but what stands between backquotes."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:  # a backquote without its other one
        return _SPECIAL.sub(r"\\\1", "'".join(parts))
    return "`".join(
        part.replace("|", r"\|") if place % 2 else _SPECIAL.sub(r"\\\1", part) for place, part in enumerate(parts)
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [head, ["---"] * len(head), *([cell(text) for text in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def code(language: str, lines: Iterable[str]) -> list[str]:
    """The lines of a block of code."""
    return [f"```{language}", *lines, "```"]
