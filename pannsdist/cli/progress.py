"""What commands on many clips show: a progress bar while they work, and lists of which only the first are printed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

SHOWN = 10
"""Number of clips listed per kind of finding in the table; JSON lists all."""


def progress_bar(unit: str, total: int | None, what: str = "") -> Any:
    """A bar on the terminal, if there is one; `update` tells it how many are done."""
    from tqdm import tqdm

    how: dict[str, Any] = {"desc": what or None, "unit": unit, "unit_scale": unit == "B", "leave": False}
    return tqdm(total=total, file=sys.stderr, disable=not sys.stderr.isatty(), **how)


@contextmanager
def bar_of(what: str, files: int) -> Iterator[Callable[[int], object]]:
    """A bar for what is done with so many files: a function to be called with how many are done."""
    with progress_bar("file", files, what) as shown:
        yield shown.update


def listed(what: str, names: Sequence[str], more: str = "") -> Iterator[str]:
    """How many there are, and the first of them; `more` says how to see the others."""
    yield f"{what}: {len(names) or 'none'}"
    yield from (f"  {name}" for name in names[:SHOWN])
    if len(names) > SHOWN:
        yield f"  and {len(names) - SHOWN} more{more}"
