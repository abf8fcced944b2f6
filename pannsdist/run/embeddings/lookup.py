"""A batch whose arrays are partly in the cache: which rows are, under which keys, and which must be computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pannsdist.audio.batch_reading import BatchRequest
from pannsdist.audio.identity import identity_of
from pannsdist.run.embeddings.identity import key_of, may_be_kept
from pannsdist.run.planning.frozen_body import UNDRAWN

WHOLE, START = "whole", "start"
"""Of what an array is: of a clip that training reads from its start, too, or of one whose crop it draws."""


class Lookup:
    """One batch: its request, and the arrays by row that are known so far."""

    def __init__(self, request: BatchRequest) -> None:
        self.request, self.arrays = request, dict[int, np.ndarray]()
        self._sources = {row: identity_of(clip.source) for row, clip in enumerate(request.clips)}
        crops = (WHOLE,) if request.randomness is not None else (WHOLE, START)
        self.keys = {
            row: [key_of(request.clips[row], source, crop=crop) for crop in crops]
            for row, source in self._sources.items()
            if source is not None
        }

    def take(self, known: Mapping[bytes, np.ndarray], shape: tuple[int, ...]) -> None:
        """Use the cached arrays of this shape."""
        for row, keys in self.keys.items():
            found = next((known[key] for key in keys if key in known), None)
            if found is not None and found.shape == shape:
                self.arrays[row] = found

    @property
    def missing(self) -> list[int]:
        """The rows that have no array yet."""
        return [row for row in range(len(self.request.clips)) if row not in self.arrays]

    @property
    def rest(self) -> BatchRequest:
        """A request of the missing rows alone, none of them mixed."""
        request, missing, randomness = self.request, self.missing, self.request.randomness
        if randomness is not None:
            occurrences = randomness.occurrences[missing]
            randomness = replace(randomness, occurrences=occurrences, mixup=None, partners=None)
        clips = tuple(request.clips[row] for row in missing)
        reader = replace(request.reader, undrawn=UNDRAWN)
        return replace(request, clips=clips, targets=request.targets[missing], reader=reader, randomness=randomness)

    def rows_of(self, ids: Sequence[str]) -> list[int]:
        """The rows of the clips of `rest` that could be read, in its order."""
        remaining, rows = iter(self.missing), []
        for name in ids:
            rows.append(next(row for row in remaining if self.request.clips[row].id == name))
        return rows

    def key_to_keep(self, row: int, is_random: bool) -> bytes | None:
        """The key of a row that was computed now; None where it cannot be kept, or will not be the same again."""
        clip, source = self.request.clips[row], self._sources[row]
        if source is None or not may_be_kept(clip, source) or (is_random and self.request.randomness is not None):
            return None
        return key_of(clip, source, crop=START if is_random else WHOLE)
