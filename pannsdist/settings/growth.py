"""Bounds of settings files: YAML repeats a part by its name, and a few lines can stand for more than any memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

MAX_BYTES = 1 << 18
MAX_VALUES = 50_000
MAX_REFERENCES = 16
"""References such as `${runs}`; each may double a text that has references itself."""


def refuse_growth(path: Path) -> None:
    """Raise ValueError for a settings file that is too long, or stands for too many values. Raises OSError."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    if content.count(b"${") > MAX_REFERENCES:
        raise ValueError(f"more than {MAX_REFERENCES} references such as ${{runs}}")
    if b"&" in content and _values(yaml.compose(content, yaml.SafeLoader), {}) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES:,} values, once its references are replaced")


def _values(node: Any, known: dict[int, int]) -> int:
    """Number of values that a node stands for; one that contains itself stands for more than any."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(part,) for part in node.value]
        known[id(node)] = 1 + sum(_values(part, known) for pair in pairs for part in pair)
    return known[id(node)]
