"""The records that plugins make and are given: clips, front ends, published weights and downloads.

Axes: S samples, F bins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class SampleSource(Protocol):
    """Something that makes samples when asked, in a worker process: it must pickle, and give the same each time."""

    def samples(self) -> tuple[np.ndarray, int]:
        """Samples (S,) or (S, channels), float32 in [-1, 1], and their rate in Hz."""
        ...


@dataclass(frozen=True)
class Samples:
    """A `SampleSource` that is already in memory: samples (S,) or (S, channels) float32 at `rate_hz`."""

    array: np.ndarray = field(repr=False, compare=False)
    rate_hz: int

    def samples(self) -> tuple[np.ndarray, int]:
        """The array and its rate in Hz."""
        return self.array, self.rate_hz


@dataclass(frozen=True)
class Clip:
    """A cheap description of one example; making it opens no audio.

    `id` is unique in its dataset and the same on every machine. `source` is a file, or a `SampleSource`. `start_s` and
    `duration_s` cut a piece out of it (`None`: up to its end). `labels` are class names out of the dataset's `labels`.
    """

    id: str
    source: Path | SampleSource
    labels: tuple[str, ...]
    start_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True)
class FrontEnd:
    """How a waveform becomes what a network hears. Two equal records give equal numbers.

    It travels from the feature plugin to the model plugin, to the weights and into every saved model, so that they can
    be checked against each other. `kind` names the computation, `bins` is the size of the F axis, and `details` holds
    whatever else decides the numbers, as sorted (name, value) pairs of text, numbers and truth values.
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
    """A published set of weights: where it is, how it is recognised, what it expects and under which licence.

    `sha256` is empty where no checksum is published: then the one of the first download is kept, and holds from there
    on. `size_bytes` is 0 where it is not known. `source` says who published it, where, and with which score.
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
    """A file of a published corpus, for `pannsdist data fetch`, where its licence lets anybody download it.

    `checksum` is `md5:` or `sha256:` and hexadecimal digits, empty where none is published; `size_bytes` is 0 where it
    is not known. `unpack` is `zip`, `tar` (compressed in any way) or empty for a file to be kept as it is. It goes into
    the folder `into` below the one that the user names.
    """

    url: str
    licence: str
    checksum: str = ""
    size_bytes: int = 0
    unpack: str = "zip"
    into: str = ""
