"""Records exchanged with plugins: clips, front ends, published weights and downloads.

Axes: S samples, F bins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class SampleSource(Protocol):
    """Lazy source of samples. Must be picklable for data loader workers, and deterministic.

    It may have an attribute `duration_s`, its length in seconds, so that a plan knows it without reading samples.
    """

    def samples(self) -> tuple[np.ndarray, int]:
        """Samples (S,) or (S, channels) float32 in [-1, 1], and their sample rate in Hz."""
        ...


@dataclass(frozen=True)
class Samples:
    """A `SampleSource` in memory: samples (S,) or (S, channels) float32 at `rate_hz`."""

    array: np.ndarray = field(repr=False, compare=False)
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """The length in seconds; 0 for a rate that is no rate."""
        return len(self.array) / self.rate_hz if self.rate_hz > 0 else 0.0

    def samples(self) -> tuple[np.ndarray, int]:
        """The array and its sample rate in Hz."""
        return self.array, self.rate_hz


@dataclass(frozen=True)
class SourceState:
    """What identifies the bytes of a sound file: as long as it stays equal, so do they. `version` may be empty.

    `size_bytes` is their number, or that of the table that holds them where it is not known before they are decoded.
    """

    size_bytes: int
    version: str


class EncodedSource(ABC):
    """A sound file that is no file of the file system: a part of an archive or table, an object of a store.

    Must be picklable, hashable and compared by value, as a frozen dataclass is. Creating it opens nothing. What its
    methods, and reads of what it opens, raise is an OSError: FileNotFoundError concerns this clip alone; any other,
    such as PermissionError of credentials that have expired, says that nothing is known of it now, and stops a run,
    which the same command continues. It may have an attribute `duration_s`, its length in seconds, so that a plan knows
    it without opening it.

    What is made of it is cached under its `repr`, which must hold what it is compared by, and its state, unless that
    has no version.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """For messages, without credentials; its ending is that of the sound file."""

    @abstractmethod
    def state(self) -> SourceState:
        """The size in bytes and the version. Raises OSError."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """The bytes, to be read and sought in. Raises OSError."""

    def damage(self) -> str:
        """Why the bytes are not those that were once stored; empty if they are, and where nothing tells.

        It reads all of them, for `pannsdist data check` and `data pack`. Raises OSError.
        """
        return ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Event:
    """A sound event in a clip: `label` from `onset_s` to `offset_s`, in seconds from the start of the clip."""

    onset_s: float
    offset_s: float
    label: str


@dataclass(frozen=True, slots=True)
class Clip:
    """Description of one example; creating it opens no audio.

    `id` is unique in its dataset and equal on every machine. `source` is a file, an `EncodedSource` or a
    `SampleSource`, of which `start_s` and `duration_s` select a segment (`None`: up to the end). `labels` are class
    names from the dataset's `labels`. Clips of one `group`, such as a speaker or a recording, are alike; empty if the
    clip is its own group.

    A strongly labelled clip has `events`, in any order, perhaps none; `labels` are then those of its events, as
    `labels_of_events` returns them. `None` says that nobody marked when its labels sound. A clip that is not
    `is_labelled` has neither: nothing is known of it, which is not the same as that it has none of the labels.
    """

    id: str
    source: Path | EncodedSource | SampleSource
    labels: tuple[str, ...]
    start_s: float = 0.0
    duration_s: float | None = None
    group: str = ""
    events: tuple[Event, ...] | None = None
    is_labelled: bool = True


def labels_of_events(events: Iterable[Event]) -> tuple[str, ...]:
    """The labels of some events, each once, in alphabetical order."""
    return tuple(sorted({event.label for event in events}))


@dataclass(frozen=True)
class FrontEnd:
    """Parameters of a feature extraction. Equal records compute equal features.

    Feature plugins, model plugins, pretrained weights and saved models each have one, and they are checked against each
    other. `kind` names the computation, `bins` is the size of the F axis, and `details` holds all further parameters
    as sorted (name, value) pairs.
    """

    kind: str
    sample_rate_hz: int
    window_samples: int
    hop_samples: int
    fft_samples: int
    bins: int
    low_hz: float
    high_hz: float
    details: tuple[tuple[str, str | float | int | bool], ...] = ()


@dataclass(frozen=True)
class Pretrained:
    """Published pretrained weights: URL, checksum, required front end and licence.

    `sha256` is empty if no checksum is published: then the checksum of the first download is stored and verified
    afterwards. `size_bytes` is 0 if unknown. `source` states who published the weights, where, and with which score.
    """

    url: str
    sha256: str
    front_end: FrontEnd
    classes: int
    licence: str
    source: str
    size_bytes: int = 0


@dataclass(frozen=True)
class Download:
    """A freely downloadable file of a published corpus, for `pannsdist data fetch`.

    `checksum` is `md5:` or `sha256:` and hexadecimal digits, or empty if none is published; `size_bytes` is 0 if
    unknown. `unpack` is `zip`, `tar` (with any compression), or empty to keep the file as it is. Contents are placed
    into the folder `into` below the user's target folder.
    """

    url: str
    licence: str
    checksum: str = ""
    size_bytes: int = 0
    unpack: str = "zip"
    into: str = ""
