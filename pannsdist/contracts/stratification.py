"""For dataset plugins: groups of clips divided into parts in which every label is about equally frequent.

All numbers are integers, and the only randomness is SHA-256 of the seed and the name of a group: the parts depend on
names, labels and seed alone, not on the order of files, the platform or the version of a library.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Unit", "stratified", "units_of"]

UNLABELLED = ""
"""Stands for the clips without a label, which are divided like those of a label."""
SCALE = 1 << 80


@dataclass(frozen=True)
class Unit:
    """Clips that stay together: the clips of each label, and their number."""

    labels: Mapping[str, int]
    clips: int


def units_of(labels: Iterable[Sequence[str]], groups: Iterable[str]) -> dict[str, Unit]:
    """The units by name, from the labels and the group of each clip."""
    counts: dict[str, Counter[str]] = {}
    clips: Counter[str] = Counter()
    for own, group in zip(labels, groups, strict=True):
        counts.setdefault(group, Counter()).update(own or (UNLABELLED,))
        clips[group] += 1
    return {group: Unit(counts[group], clips[group]) for group in sorted(counts)}


def stratified(units: Mapping[str, Unit], weights: Sequence[int], seed: int, keep: int | None = None) -> dict[str, int]:
    """The part, from 0, of each unit; part p gets about weights[p] / sum(weights) of the clips of every label.

    Iterative stratification: the label that is left in the fewest units is divided first, since a frequent label can
    still be balanced later (Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD
    2011); here the unit with most of its clips comes first, and goes where the squared deviations of all its labels
    grow least. No part is empty if there are as many units as parts, unless `keep` prevents it: part `keep` gets a unit
    of each label before another part does.
    """
    parts = _Parts(units, weights, keep)
    labels_left = Counter(label for unit in units.values() for label in unit.labels)
    of_label: dict[str, list[str]] = {}
    for name, unit in units.items():
        for label in unit.labels:
            of_label.setdefault(label, []).append(name)
    while labels_left:
        rarest = min(labels_left, key=lambda label: (labels_left[label], label))
        left = [name for name in of_label[rarest] if name not in parts.found]
        for name in sorted(left, key=lambda name: (-units[name].labels[rarest], _hash(name, seed), name)):
            parts.place(name)
            labels_left.subtract(units[name].labels.keys())
        labels_left = +labels_left
    return parts.found


class _Parts:
    """The parts that are being filled; `found` has the part of each unit that has been placed."""

    def __init__(self, units: Mapping[str, Unit], weights: Sequence[int], keep: int | None) -> None:
        self._units, self._weights, self._keep = units, weights, keep
        self._totals: Counter[str] = Counter()
        for unit in units.values():
            self._totals.update(unit.labels)
        self._clips = sum(unit.clips for unit in units.values())
        self._labels: list[Counter[str]] = [Counter() for _ in weights]
        self._sizes = [0] * len(weights)
        self.found: dict[str, int] = {}

    def place(self, name: str) -> None:
        """Put a unit where it fits best."""
        unit = self._units[name]
        part = min(self._allowed(unit), key=lambda part: (*self._growth(unit, part), part))
        self._labels[part].update(unit.labels)
        self._sizes[part] += unit.clips
        self.found[name] = part

    def _allowed(self, unit: Unit) -> Sequence[int]:
        if self._keep is not None and any(label not in self._labels[self._keep] for label in unit.labels):
            return (self._keep,)
        empty = [part for part, size in enumerate(self._sizes) if not size]
        is_each_needed = len(self._units) - len(self.found) <= len(empty)
        return empty if is_each_needed and empty else range(len(self._weights))

    def _growth(self, unit: Unit, part: int) -> tuple[int, int]:
        """By how much the squared deviations from the intended fractions grow: of the labels, then of the size."""
        has, totals = self._labels[part], self._totals
        labels = sum(self._of(count, has[label], totals[label], part) for label, count in unit.labels.items())
        return labels, self._of(unit.clips, self._sizes[part], self._clips, part)

    def _of(self, count: int, has: int, total: int, part: int) -> int:
        """((has + count) / total - w)^2 - (has / total - w)^2, times a constant, for the part's fraction w."""
        whole, own = sum(self._weights), self._weights[part]
        return SCALE // (total * total) * count * ((2 * has + count) * whole - 2 * own * total)


def _hash(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
