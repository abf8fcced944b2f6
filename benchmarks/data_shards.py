"""Rows of the data benchmark: sounds in packed shards beside the same as loose files, warm, and cold from a web server.

Values are clips per second of processor time of one process that reads a crop of each clip: other load on the machine
changes them little. Warm, the first pass of each arm is not measured: files are then in memory, examined and verified.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from range_server import serving

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.builtin.shards import Shards, ShardsParams
from pannsdist.contracts import Clip
from pannsdist.contracts.locations import location_of, source
from pannsdist.run.packing.divisions import inventory_of
from pannsdist.run.packing.pack import PackOrder, pack

RATE_HZ, CROP_S = 32000, 5
Arms = Mapping[str, Callable[[], float]]


def shards_beside_files(paths: Sequence[Path], folder: Path) -> Arms:
    """The arms `loose files` and `shards`, of a pack that is written into `folder`."""
    clips = loose(paths)
    packed = Shards(ShardsParams(str(packed_into(clips, folder)))).clips("train")
    return {"loose files": partial(clips_per_second, clips), "shards": partial(clips_per_second, packed)}


def cold_beside_files(paths: Sequence[Path], folder: Path) -> Arms:
    """The arms `loose files`, and shards and files that come from a web server on this machine for the first time."""
    clips = loose(paths)
    root = packed_into(clips, folder)

    def cold(of: Callable[[str], Sequence[Clip]], served: Path) -> float:
        os.environ["PANNSDIST_HOME"] = home = mkdtemp(dir=folder)
        with serving(served) as url:
            start = time.process_time()
            read(of(url), 0)
            rate = len(clips) / (time.process_time() - start)
        shutil.rmtree(home)
        return rate

    def of_files(url: str) -> list[Clip]:
        return [Clip(path.name, source(location_of(f"{url}/{path.name}")), ()) for path in paths]

    return {
        "loose files, first pass": partial(first_pass, paths, folder),
        "shards over loopback, cold": partial(cold, lambda url: Shards(ShardsParams(url)).clips("train"), root),
        "files over loopback, cold": partial(cold, of_files, paths[0].parent),
    }


def first_pass(paths: Sequence[Path], folder: Path) -> float:
    """Clips per second of the first reading of copies, which are examined as well."""
    place = Path(mkdtemp(dir=folder))
    copies = [Path(shutil.copy(path, place)) for path in paths]
    start = time.process_time()
    read(loose(copies), 0)
    rate = len(copies) / (time.process_time() - start)
    shutil.rmtree(place)
    return rate


def loose(paths: Sequence[Path]) -> list[Clip]:
    """Files as clips."""
    return [Clip(str(number), path, ("sound",)) for number, path in enumerate(paths)]


def packed_into(clips: Sequence[Clip], folder: Path) -> Path:
    """The folder of their pack, new."""
    order = PackOrder(Path(mkdtemp(dir=folder)) / "packed", 10**9, 0, False, _silent)
    pack(inventory_of(("sound",), True, {"train": clips}), order)
    return order.output


def clips_per_second(clips: Sequence[Clip], passes: int = 2) -> float:
    """Crops at random places read per second of processor time, behind a pass that is not measured."""
    read(clips, 0)
    start = time.process_time()
    for number in range(passes):
        read(clips, number + 1)
    return passes * len(clips) / (time.process_time() - start)


def read(clips: Sequence[Clip], seed: int) -> None:
    """Read a crop of each clip."""
    reader = ClipReader(RATE_HZ, RATE_HZ * CROP_S)
    for clip in clips:
        assert len(reader.read(clip, np.random.default_rng(seed))) == RATE_HZ * CROP_S


@contextmanager
def _silent(*_: object) -> Iterator[Callable[[int], None]]:
    yield lambda _: None
