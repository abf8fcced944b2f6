"""The 527 classes of AudioSet, in the order of the outputs of PANNs and of most networks trained on it.

`class_labels.csv` (index, machine id, name) is from the AudioSet ontology (Google, CC BY 4.0).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

__all__ = ["labels", "machine_ids"]


def labels() -> tuple[str, ...]:
    """The names, such as `Speech`, by index."""
    return tuple(name for _, name in _classes())


def machine_ids() -> tuple[str, ...]:
    """The ids of the ontology, such as `/m/09x0r`, by index."""
    return tuple(machine_id for machine_id, _ in _classes())


@cache
def _classes() -> tuple[tuple[str, str], ...]:
    text = resources.files(__name__).joinpath("class_labels.csv").read_text(encoding="utf-8")
    return tuple((row["mid"], row["name"]) for row in csv.DictReader(text.splitlines()))
