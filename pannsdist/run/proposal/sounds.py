"""What a sample of the clips tells: lengths, sample rates, and what cannot be used."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pannsdist.audio.inspection import inspect
from pannsdist.audio.reader import verdict_on
from pannsdist.contracts import Clip, EncodedSource
from pannsdist.runtime.errors import UserError

AT_MOST = 300
LIMIT_S = 20.0
"""No further file is opened after this time, so that a slow disk does not hold the command up."""
HEARD, HEARD_S = 20, 60.0
"""So many of them are read whole, unless they are longer."""
SEED = 0


@dataclass(frozen=True)
class Sounds:
    """A sample of the clips: `opened` of `clips`, their lengths in seconds, how many have each rate in Hz.

    `faults` are why some cannot be used. `classes_of_rate` has the labels that occur with each rate.
    """

    clips: int
    opened: int
    lengths_s: tuple[float, ...]
    rates_hz: dict[int, int]
    classes_of_rate: dict[int, frozenset[str]]
    faults: tuple[str, ...]

    def quantile_s(self, part: float) -> float:
        """The length in seconds that this part of the sample does not exceed."""
        return float(np.quantile(np.array(self.lengths_s), part, method="inverted_cdf"))

    @property
    def rates(self) -> str:
        """The rates for a message, the most frequent first."""
        ordered = sorted(self.rates_hz.items(), key=lambda item: -item[1])
        alone = len(ordered) == 1
        return ", ".join(f"{rate} Hz" if alone else f"{rate} Hz ({count})" for rate, count in ordered[:5])

    @property
    def notes(self) -> tuple[str, ...]:
        """What may be a mistake."""
        found = []
        if self.faults:
            found.append(f"{len(self.faults)} of {self.opened} opened clips cannot be used: {self.faults[0]}")
        sets = list(self.classes_of_rate.values())
        if len(sets) > 1 and sum(map(len, sets)) == len(frozenset().union(*sets)):
            found.append(f"each class has its own sample rate ({self.rates}): a network may learn the rates instead")
        return tuple(found)


def look(clips: Sequence[Clip]) -> Sounds:
    """Open a sample of the clips, drawn by a seed. Raises UserError if none of them can be used."""
    chosen = random.Random(SEED).sample(list(clips), min(AT_MOST, len(clips)))  # noqa: S311
    lengths: list[float] = []
    rates: Counter[int] = Counter()
    classes: dict[int, set[str]] = {}
    faults, silent, opened, ends = [], 0, 0, time.monotonic() + LIMIT_S
    for clip in chosen:
        if opened and time.monotonic() > ends:
            break
        opened += 1
        length_s, rate_hz, fault, is_silent = _looked_at(clip, opened <= HEARD)
        silent += is_silent
        if fault:
            faults.append(fault)
            continue
        lengths.append(length_s)
        rates[rate_hz] += 1
        classes.setdefault(rate_hz, set()).update(clip.labels)
    if not lengths:
        raise UserError(
            f"none of {opened} opened clips can be used, such as {faults[0]}",
            "they are no sounds, or in a format that is not read",
        )
    if silent == min(opened, HEARD):
        raise UserError(f"all {silent} clips that were read are silent: every sample is 0", "record them again")
    frozen = {rate: frozenset(labels) for rate, labels in classes.items()}
    return Sounds(len(clips), opened, tuple(lengths), dict(rates), frozen, tuple(faults))


def _looked_at(clip: Clip, is_read: bool) -> tuple[float, int, str, bool]:
    """(seconds, Hz, why it cannot be used, whether it was read and is silent)."""
    if not isinstance(clip.source, Path | EncodedSource):
        return 0.0, 0, f"{clip.id}: no file", False
    verdict = verdict_on(clip.source)
    if not verdict.is_whole:
        return 0.0, 0, f"{clip.id}: {verdict}", False
    length_s = min(clip.duration_s or float("inf"), verdict.length_s - clip.start_s)
    if length_s <= 0:
        return 0.0, 0, f"{clip.id}: it starts at {clip.start_s} s, after the end of its file", False
    if not is_read or length_s > HEARD_S:
        return length_s, int(verdict.rate_hz), "", False
    facts = inspect((clip,), int(verdict.rate_hz))[0]
    return length_s, int(verdict.rate_hz), facts.error, facts.is_silent
