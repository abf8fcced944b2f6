"""`pannsdist data cache`: fills the cache of sounds ahead of a run, or verifies it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pannsdist.audio.cache_filling import Kept, fill, look
from pannsdist.audio.loader import Loader
from pannsdist.audio.waveform_cache import WaveformCache
from pannsdist.cache.pruning import check, packs
from pannsdist.contracts import Clip
from pannsdist.run.planning.data import Data
from pannsdist.runtime.errors import CannotRead, shell_command
from pannsdist.runtime.names import shown

AT_ONCE = 4
"""Clips per task of a worker."""


@dataclass(frozen=True)
class CacheReport:
    """What a cache has of a data set: `complete` of `clips`, and why others cannot be in it, by `SPLIT/ID`."""

    root: Path
    clips: int
    complete: int
    refused: Mapping[str, str]
    size_bytes: int

    @property
    def passed(self) -> bool:
        """Whether every clip is in the cache."""
        return self.complete == self.clips


@dataclass(frozen=True)
class Verified:
    """What was found in all arrays of a cache: how many, how many of them damaged, and the packs of other versions."""

    arrays: int
    packs: int
    damaged: Mapping[Path, int]
    foreign: int


@dataclass(frozen=True)
class Caching:
    """A cache and the data that belong into it, at the rate of a network."""

    data: Data
    cache: WaveformCache
    rate_hz: int

    def fill(self, workers: int, progress: Callable[[int], object]) -> CacheReport:
        """Read what is not in the cache, in worker processes; `progress` is called with the number of clips done.

        It may be stopped at any time, and goes on where it was. Raises CannotRead, WorkerDied.
        """
        return self._each(fill, workers, progress)

    def look(self, workers: int, progress: Callable[[int], object]) -> CacheReport:
        """What is in the cache, without reading any source."""
        return self._each(look, workers, progress)

    def _each(
        self,
        function: Callable[..., list[Kept]],
        workers: int,
        progress: Callable[[int], object],
    ) -> CacheReport:
        complete, refused, loader = 0, dict[str, str](), Loader(workers)
        parts = self._parts()
        try:
            for some in loader.map(partial(function, cache=self.cache, rate_hz=self.rate_hz), self._requests()):
                names = next(parts)
                complete += sum(kept.is_complete for kept in some)
                refused |= {name: kept.why for name, kept in zip(names, some, strict=True) if kept.why}
                progress(len(some))
        finally:
            loader.close()
        count = sum(map(len, self.data.splits.values()))
        return CacheReport(self.cache.root, count, complete, refused, sum(pack.size for pack in packs(self.cache.root)))

    def _requests(self) -> Iterator[tuple[Clip, ...]]:
        """Some clips at a time."""
        for table in self.data.splits.values():
            for at in range(0, len(table), AT_ONCE):
                yield tuple(table.clips[row] for row in range(at, min(len(table), at + AT_ONCE)))

    def _parts(self) -> Iterator[list[str]]:
        """The names of the clips of each request."""
        for split, table in self.data.splits.items():
            for at in range(0, len(table), AT_ONCE):
                yield [f"{split}/{table.clips[row].id}" for row in range(at, min(len(table), at + AT_ONCE))]


def verify(root: Path, progress: Callable[[int], object]) -> Verified:
    """Compare every array of a cache with its checksum; `progress` is called with the bytes done. Raises CannotRead."""
    try:
        found = check(root, progress)
    except OSError as error:
        right = "the disk may fail; the cache may be removed at any time, since it is computed again"
        raise CannotRead(f"cannot read {shown(root)}: {error.strerror or error}", right, command(root)) from error
    damaged = {pack.index: pack.damaged for pack in found if pack.damaged}
    return Verified(sum(pack.arrays for pack in found), len(found), damaged, sum(not pack.readable for pack in found))


def command(root: Path) -> str:
    """The command that removes a cache."""
    return shell_command("rm", "-r", root)


def lines(report: CacheReport, verified: Verified | None) -> Iterator[str]:
    """The report as lines of text."""
    yield f"folder: {shown(report.root)}, {report.size_bytes / 1e9:.3g} GB"
    if verified is not None:
        damaged = sum(verified.damaged.values()) or "none"
        yield f"arrays: {verified.arrays} in {verified.packs} packs; damaged: {damaged}"
        for index, count in verified.damaged.items():
            yield f"  {count} in {shown(index)}; they count as missing"
        if verified.foreign:
            yield f"packs of another version, which are not read: {verified.foreign}"
    yield f"clips: {report.clips}, all of each in the cache: {report.complete}"
