"""What identifies the sound of a clip in a cache: its source, and the software that reads it."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from pannsdist.audio.encoded import NoSoundFile, state_of
from pannsdist.cache.keys import Identity
from pannsdist.contracts import EncodedSource, SampleSource
from pannsdist.runtime import cpu

DECODERS = ("av",)
"""Packages that decode what libsndfile does not, if they are installed."""


def identity_of(source: Path | EncodedSource | SampleSource) -> Identity | None:
    """The identity of a source; None for samples in memory, and where nothing tells one version from the next.

    Raises CannotRead where a store does not tell now.
    """
    if isinstance(source, Path):
        return Identity.of_file(source)
    if not isinstance(source, EncodedSource) or type(source).__repr__ is object.__repr__:
        return None
    try:
        state = state_of(source)
    except NoSoundFile:
        return None
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    return Identity(f"{kind} {source!r}", state.size_bytes, state.version) if state.version else None


@cache
def reader_versions() -> dict[str, str]:
    """Everything but a source that its samples depend on: the versions of decoders and resampler, and the processor."""
    import soundfile
    import soxr

    found = {"soxr": soxr.__version__, "libsndfile": soundfile.__libsndfile_version__, "numpy": np.__version__}
    for name in DECODERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"processor": cpu.processor().name}  # another one may round in another way
