"""For dataset plugins: groups of clips divided into parts in which every label is about equally frequent.

All numbers are integers, and the only randomness is SHA-256 of the seed and the name of a group: the parts depend on
names, labels and seed alone, not on the order of files, the platform or the version of a library.
"""

from __future__ import annotations

import hashlib
import heapq
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
    counts: dict[str, dict[str, int]] = {}
    clips: dict[str, int] = {}
    for own, group in zip(labels, groups, strict=True):
        found = counts.setdefault(group, {})
        for label in own or (UNLABELLED,):
            found[label] = found.get(label, 0) + 1
        clips[group] = clips.get(group, 0) + 1
    return {group: Unit(counts[group], clips[group]) for group in sorted(counts)}


def stratified(units: Mapping[str, Unit], weights: Sequence[int], seed: int, keep: int | None = None) -> dict[str, int]:
    """The part, from 0, of each unit; part p gets about weights[p] / sum(weights) of the clips of every label.

    Iterative stratification: the label that is left in the fewest units is divided first, since a frequent label can
    still be balanced later (Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD
    2011); here the unit with most of its clips comes first, and goes where the squared deviations of all its labels
    grow least. Labels in few clips are all rounded in one direction by that, so afterwards units move from parts that
    are too large to parts that are too small, those first whose labels lose least by it: each part has its fraction of
    all clips within one clip, or within one unit of mean size. No part is empty if there are as many units as parts.
    `keep` goes before both: part `keep` gets a unit of each label before another part does, and does not give it away.
    """
    parts = _Parts(units, weights, seed, keep)
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
            for label in units[name].labels:
                labels_left[label] -= 1
        labels_left = +labels_left
    parts.level()
    return parts.found


class _Parts:
    """The parts that are being filled; `found` has the part of each unit that has been placed."""

    def __init__(self, units: Mapping[str, Unit], weights: Sequence[int], seed: int, keep: int | None) -> None:
        self._units, self._weights, self._seed, self._keep = units, weights, seed, keep
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
        part = min(self._allowed(unit), key=lambda part: (self._cost(unit, part), part))
        self._change(name, part, 1)

    def level(self) -> None:
        """Move units between parts until the clips of each are within one unit of mean size of its fraction."""
        tried: set[tuple[int, int]] = set()
        numbers = range(len(self._weights))
        while True:
            excess = [self._excess(part) for part in numbers]
            pairs = [(one, other) for one in numbers for other in numbers if excess[one] > 0 > excess[other]]
            pairs = [pair for pair in pairs if pair not in tried and any(map(self._is_off, pair))]
            if not pairs:
                return
            pair = max(pairs, key=lambda pair: (excess[pair[0]] - excess[pair[1]], pair))
            tried.add(pair)
            self._move_some(*pair)

    def _move_some(self, source: int, target: int) -> None:
        """Move units while one of the two parts is off. A move makes further ones dearer, never cheaper."""
        own = [name for name, part in self.found.items() if part == source]
        left = [(self._price(name, source, target), _hash(name, self._seed), name) for name in own]
        heapq.heapify(left)
        while left and (self._is_off(source) or self._is_off(target)):
            price, order, name = heapq.heappop(left)
            current = self._price(name, source, target)
            if current > price:
                heapq.heappush(left, (current, order, name))
            elif self._may_move(self._units[name], source, target):
                self._change(name, source, -1)
                self._change(name, target, 1)

    def _change(self, name: str, part: int, sign: int) -> None:
        unit = self._units[name]
        for label, count in unit.labels.items():
            self._labels[part][label] += sign * count
        self._sizes[part] += sign * unit.clips
        if sign > 0:
            self.found[name] = part

    def _excess(self, part: int) -> int:
        """By how many clips the part is too large, times the sum of the weights."""
        return self._sizes[part] * sum(self._weights) - self._weights[part] * self._clips

    def _is_off(self, part: int) -> bool:
        return abs(self._excess(part)) * len(self._units) > sum(self._weights) * self._clips

    def _may_move(self, unit: Unit, source: int, target: int) -> bool:
        """Whether the sizes become more even by it, and the part `keep` keeps every label."""
        gap = self._excess(source) - self._excess(target)
        kept = source != self._keep or all(self._labels[source][label] > count for label, count in unit.labels.items())
        return kept and self._sizes[source] > unit.clips and unit.clips * sum(self._weights) < gap

    def _price(self, name: str, source: int, target: int) -> int:
        """By how much the squared deviations of the labels grow if the unit moves."""
        own = self._units[name].labels
        has, gets = self._labels[source], self._labels[target]
        return sum(
            self._of(-count, has[label], self._totals[label], source)
            + self._of(count, gets[label], self._totals[label], target)
            for label, count in own.items()
        )

    def _allowed(self, unit: Unit) -> Sequence[int]:
        if self._keep is not None and any(label not in self._labels[self._keep] for label in unit.labels):
            return (self._keep,)
        empty = [part for part, size in enumerate(self._sizes) if not size]
        is_each_needed = len(self._units) - len(self.found) <= len(empty)
        return empty if is_each_needed and empty else range(len(self._weights))

    def _cost(self, unit: Unit, part: int) -> tuple[int, int, int]:
        """What speaks against a part: by how much the squared deviations from the intended fractions grow, of the
        labels and of the size. Of a single clip with several labels the rarest decides before: the sum over its labels
        would put clips with many labels into one part, and those with few into the other."""
        has, totals, surplus = self._labels[part], self._totals, 0
        if unit.clips == 1 and len(unit.labels) > 1:
            rarest = min(unit.labels, key=lambda label: (totals[label], label))
            surplus = has[rarest] * sum(self._weights) - self._weights[part] * totals[rarest]
        labels = sum(self._of(count, has[label], totals[label], part) for label, count in unit.labels.items())
        return surplus, labels, self._of(unit.clips, self._sizes[part], self._clips, part)

    def _of(self, count: int, has: int, total: int, part: int) -> int:
        """((has + count) / total - w)^2 - (has / total - w)^2, times a constant, for the part's fraction w."""
        whole, own = sum(self._weights), self._weights[part]
        return SCALE // (total * total) * count * ((2 * has + count) * whole - 2 * own * total)


def _hash(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
