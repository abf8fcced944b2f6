"""A settings file as text, in which every line has its reason as a comment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"}
"""Words that YAML readers do not take for text."""


@dataclass(frozen=True)
class Line:
    """A setting by its dotted key, and why it has this value. An empty mapping names a section without keys."""

    key: str
    value: Any
    reason: str


def document(heading: Sequence[str], sections: Mapping[str, str], lines: Sequence[Line]) -> str:
    """The text of a file; `sections` has the reason of each section, by its dotted key. Keys of one section follow."""
    return "\n".join([*(f"# {text}" for text in heading), *_rows(sections, lines)]) + "\n"


def _rows(sections: Mapping[str, str], lines: Sequence[Line]) -> Iterator[str]:
    opened: list[str] = []
    for line in lines:
        *parents, name = line.key.split(".")
        for depth, parent in enumerate(parents):
            if opened[: depth + 1] != parents[: depth + 1]:
                opened = parents[: depth + 1]
                reason = sections[".".join(opened)]
                yield f"{'  ' * depth}{parent}:  # {reason}"
        opened = parents
        yield f"{'  ' * len(parents)}{name}: {scalar(line.value)}  # {line.reason}"


def scalar(value: Any) -> str:
    """A value in YAML, on one line; text is quoted unless it can be nothing else."""
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
