"""What each setting means: its key, its default and its documentation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import MISSING


def describe(schema: type[Any], prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """(key, default, documentation) of every setting, in the order of the schema."""
    for item in dataclasses.fields(schema):
        factory = item.default_factory
        default = item.default if factory is dataclasses.MISSING else factory()
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            yield from describe(type(default), f"{prefix}{item.name}.")
        else:
            default = "(required)" if default in (MISSING, dataclasses.MISSING) else default
            yield f"{prefix}{item.name}", default, documented(schema, item)


def documented(schema: type[Any], item: dataclasses.Field[Any]) -> str:
    """Documentation of a field: its `doc`, else the sentences of the class docstring that name it, else empty."""
    doc: str = item.metadata.get("doc", "")
    for parent in () if doc else schema.__mro__:
        text = " ".join((parent.__doc__ or "").split())
        about = [sentence for sentence in re.split(r"(?<=[.;]) ", text) if f"`{item.name}`" in sentence]
        if about:
            return " ".join(about)
    return doc
