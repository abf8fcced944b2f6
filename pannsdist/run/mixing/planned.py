"""What is to be in a soundscape, as workers get it. Times are in samples."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import Clip


@dataclass(frozen=True)
class PlannedEvent:
    """The samples `source_first` to `source_first + samples` of a clip, from the sample `onset` of a soundscape on."""

    clip: Clip
    label: str
    source_first: int
    samples: int
    onset: int
    snr_db: float

    @property
    def offset(self) -> int:
        """The first sample behind it."""
        return self.onset + self.samples


@dataclass(frozen=True)
class Plan:
    """A soundscape: its events by onset, its background (None: noise), and how many events found no place."""

    split: str
    number: int
    events: tuple[PlannedEvent, ...]
    background: Clip | None
    without_place: int

    @property
    def name(self) -> str:
        """The name of its files, without an ending."""
        return f"{self.split}_{self.number:06d}"
