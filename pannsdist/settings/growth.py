"""Bounds of settings files: YAML repeats a part by its name, and a few lines can stand for more than any memory."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.reading import retried
from pannsdist.runtime.texts import decoded

MAX_BYTES = 1 << 18
MAX_VALUES = 50_000
MAX_REFERENCES = 16
"""References such as `${runs}`; each may double a text that has references itself."""


def bounded_text(path: Path) -> str:
    """The text of a settings file, in any encoding of `runtime.texts`.

    Raises ValueError for a file that is too long or stands for too many values, UserError for another encoding, and
    OSError.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file", "give a settings file; a folder, a pipe or a device is not read")
    content = retried(partial(_start, path))
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    text = decoded(content, str(path))
    if text.count("${") > MAX_REFERENCES:
        raise ValueError(f"more than {MAX_REFERENCES} references such as ${{runs}}")
    if "&" in text and _values(yaml.compose(text, yaml.SafeLoader), {}) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES:,} values, once its references are replaced")
    return text


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _values(node: Any, known: dict[int, int]) -> int:
    """Number of values that a node stands for; one that contains itself stands for more than any."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(part,) for part in node.value]
        known[id(node)] = 1 + sum(_values(part, known) for pair in pairs for part in pair)
    return known[id(node)]
