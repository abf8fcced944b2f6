"""Rows of the data benchmark: sounds in packed shards beside the same as loose files, both warm.

Values are clips per second of processor time of one process that reads a crop of each clip: other load on the machine
changes them little. The first pass of each arm is not measured: files are then in memory, examined and verified.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.builtin.shards import Shards, ShardsParams
from pannsdist.contracts import Clip
from pannsdist.run.packing.divisions import inventory_of
from pannsdist.run.packing.pack import PackOrder, pack

RATE_HZ, CROP_S = 32000, 5
Arms = Mapping[str, Callable[[], float]]


def shards_beside_files(paths: Sequence[Path], folder: Path) -> Arms:
    """The arms `loose files` and `shards`, of a pack that is written into `folder`; the aim of the ratio is 0.95."""
    clips = [Clip(str(number), path, ("sound",)) for number, path in enumerate(paths)]
    order = PackOrder(folder / "packed", 10**9, 0, False, _silent)
    pack(inventory_of(("sound",), True, {"train": clips}), order)
    packed = Shards(ShardsParams(str(folder / "packed"))).clips("train")
    return {"loose files": partial(clips_per_second, clips), "shards": partial(clips_per_second, packed)}


def clips_per_second(clips: Sequence[Clip], passes: int = 2) -> float:
    """Crops at random places read per second of processor time, behind a pass that is not measured."""
    reader = ClipReader(RATE_HZ, RATE_HZ * CROP_S)
    for number in range(passes + 1):
        if number == 1:
            start = time.process_time()
        for clip in clips:
            assert len(reader.read(clip, np.random.default_rng(number))) == RATE_HZ * CROP_S
    return passes * len(clips) / (time.process_time() - start)


@contextmanager
def _silent(*_: object) -> Iterator[Callable[[int], None]]:
    yield lambda _: None
