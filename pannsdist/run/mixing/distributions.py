"""The distributions of a recipe, written as in scaper (Salamon et al., WASPAA 2017): `[uniform, 5, 20]`.

| | |
|---|---|
| `[const, V]` | always V |
| `[choose, [A, B, ...]]` | one of a list |
| `[uniform, LOW, HIGH]` | evenly from LOW to HIGH; of whole numbers both can be drawn |
| `[normal, MEAN, STD]` | normal, within what the key allows |
| `[truncnorm, MEAN, STD, LOW, HIGH]` | normal, within LOW to HIGH |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NoReturn

import numpy as np

from pannsdist.runtime.errors import SettingsError, candidates_line
from pannsdist.settings import SettingsOrigin

FORMS = {
    "const": "[const, VALUE]",
    "choose": "[choose, [VALUE, VALUE, ...]]",
    "uniform": "[uniform, LOW, HIGH]",
    "normal": "[normal, MEAN, STD]",
    "truncnorm": "[truncnorm, MEAN, STD, LOW, HIGH]",
}
LEAST_PART = 1e-6
"""Of a normal distribution within its limits; of less, nothing sensible can be drawn."""


@dataclass(frozen=True)
class Bounds:
    """What values a key allows, both ends included."""

    low: float
    high: float
    is_whole: bool = False

    def __str__(self) -> str:
        return f"{'whole numbers' if self.is_whole else 'numbers'} from {self.low:g} to {self.high:g}"

    def allow(self, value: object) -> bool:
        """Whether a value is a number within them."""
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            return False
        return math.isfinite(value) and self.low <= value <= self.high


@dataclass(frozen=True)
class Distribution:
    """A distribution within the limits `low` to `high`: `values` to choose from, uniform, or `normal`."""

    values: tuple[float, ...]
    low: float
    high: float
    normal: NormalDist | None
    is_whole: bool

    def draw(self, generator: np.random.Generator) -> float:
        """A value; takes one number of the generator, whatever the kind."""
        part = float(generator.random())
        if self.values:
            return self.values[min(len(self.values) - 1, int(part * len(self.values)))]
        if self.normal is None:
            if self.is_whole:
                return self.low + int(part * (self.high - self.low + 1))
            return min(self.high, self.low + part * (self.high - self.low))
        below, above = self.normal.cdf(self.low), self.normal.cdf(self.high)
        drawn = self.normal.inv_cdf(min(max(below + part * (above - below), 1e-300), 1 - 1e-16))
        drawn = min(max(drawn, self.low), self.high)
        return float(round(drawn)) if self.is_whole else drawn


def distribution(given: Sequence[Any], bounds: Bounds, key: str, origin: SettingsOrigin) -> Distribution:
    """The distribution that a list of a recipe means. Raises SettingsError with the key and its file."""
    return _Reading(list(given), bounds, key, origin).read()


@dataclass(frozen=True)
class _Reading:
    given: list[Any]
    bounds: Bounds
    key: str
    origin: SettingsOrigin

    def read(self) -> Distribution:
        kind = self.given[0] if self.given else ""
        if not isinstance(kind, str) or kind not in FORMS:
            right = candidates_line(str(kind), FORMS, "distributions")
            self._refuse("it begins with the name of a distribution", f"{right}\nsuch as [uniform, LOW, HIGH]")
        arguments = self.given[1:]
        expected = FORMS[kind].count(", ") if kind != "choose" else 1
        if len(arguments) != expected:
            self._refuse(f"it has {len(arguments)} arguments", f"write {FORMS[kind]}")
        reading = {"const": self._choice, "choose": self._choice, "uniform": self._uniform}
        return reading.get(kind, self._normal)(arguments)

    def _choice(self, arguments: list[Any]) -> Distribution:
        values = arguments if self.given[0] == "const" else arguments[0]
        if not isinstance(values, list) or not values:
            self._refuse("its argument is no list of values", f"write {FORMS['choose']}")
        numbers = tuple(self._within(value) for value in values)
        return self._made(numbers, self.bounds.low, self.bounds.high, None)

    def _uniform(self, arguments: list[Any]) -> Distribution:
        low, high = map(self._within, arguments)
        self._refuse_order(low, high)
        return self._made((), low, high, None)

    def _normal(self, arguments: list[Any]) -> Distribution:
        mean, deviation = map(self._number, arguments[:2])
        if deviation <= 0:
            self._refuse(f"its standard deviation is {deviation:g}", "it is above 0; [const, VALUE] is one value")
        low, high = self.bounds.low, self.bounds.high
        if len(arguments) > 2:
            low, high = map(self._within, arguments[2:])
            self._refuse_order(low, high)
        normal = NormalDist(mean, deviation)
        if normal.cdf(high) - normal.cdf(low) < LEAST_PART:
            right = f"give a mean near the limits, or a larger standard deviation: write {FORMS[self.given[0]]}"
            self._refuse(f"of this normal distribution nothing is within {low:g} to {high:g}", right)
        return self._made((), low, high, normal)

    def _made(self, values: tuple[float, ...], low: float, high: float, normal: NormalDist | None) -> Distribution:
        return Distribution(values, low, high, normal, self.bounds.is_whole)

    def _within(self, value: Any) -> float:
        if not self.bounds.allow(value):
            self._refuse(f"{value!r} is not allowed in it", f"allowed: {self.bounds}")
        return float(value)

    def _number(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self._refuse(f"{value!r} is no number", f"write {FORMS[self.given[0]]}")
        return float(value)

    def _refuse_order(self, low: float, high: float) -> None:
        if low > high:
            self._refuse(
                f"it goes from {low:g} to {high:g}", f"the lower limit comes first: write {FORMS[self.given[0]]}"
            )

    def _refuse(self, wrong: str, right: str) -> NoReturn:
        raise SettingsError(f"{self.origin.where(self.key)} is {self.given}: {wrong}", right, self.origin.command)
