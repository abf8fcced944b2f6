"""Speed of the cache of sounds: crops out of it beside a bare copy out of a memory map, and an epoch cold and warm.

    python benchmarks/data_cache.py [--esc10 DIR] [--only ROW ...] [--rounds N] [--quick]

The last rows are training steps on features out of the cache, beside steps on sounds out of it.
Without `--esc10` the clips are bursts of noise. Values are per second of processor time of one core, as in `data.py`,
whose rows these are, too; every file is in the memory of the system.
"""

from __future__ import annotations

import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from kept_features import FEATURES, SOUNDS, Steps, copy_clips
from measuring import Table, interleave, parser, present

RATE_HZ, CROP_S, CLIP_S, SOURCE_HZ, BATCH = 32000, 5, 5, 44100, 32
LIMIT_GB = 20.0
MODELS = ("panns_cnn6", "efficientat_mn04")
STEP_CLIPS, STEPS = 8, 8
"""Clips of a training step, and steps of an epoch: arms alternate after each step, in so many epochs as rounds."""
Measured = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """Arms that are compared: each gives clips per second of processor time. The first one is the base."""

    title: str
    arms: Mapping[str, Measured]
    aim: str


def main() -> None:
    """Measure each row, and print a table of it."""
    arguments = parser("Speed of the cache of sounds.", rounds=7)
    arguments.add_argument("--esc10", type=Path, metavar="DIR", help="ESC-10, for clips of real sound")
    names = [*ROWS, KEPT]
    arguments.add_argument("--only", nargs="+", choices=names, default=names, metavar="ROW", help=", ".join(names))
    chosen = arguments.parse_args()
    rounds = 1 if chosen.quick else chosen.rounds
    from pannsdist.runtime import console, cpu, heap

    cpu.use_fast_kernels()
    console.quiet_paddle()
    heap.keep_freed_memory()  # as the commands and their workers do
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as folder:
        clips, place = prepare(chosen, Path(folder)), Path(folder)
        tables = [table(ROWS[name](clips, place), rounds) for name in chosen.only if name != KEPT]
        if KEPT in chosen.only:
            tables += training(clips, place, rounds, chosen.quick)
        present(tables, chosen.json)


def table(row: Row, rounds: int) -> Table:
    """The table of a row."""
    values = interleave(row.arms, rounds, "clips/s", lambda arm: row.arms[arm]())
    return Table(f"{row.title} (aim of the second row: {row.aim})", "clips/s", values)


def prepare(chosen: Namespace, folder: Path) -> list[Path]:
    """The clips, copied to a place where they are old enough to be cached."""
    sources = sorted(chosen.esc10.rglob("*.ogg")) if chosen.esc10 else []
    clips = []
    for number in range(min(len(sources), 8 if chosen.quick else 400) or (8 if chosen.quick else 100)):
        clips.append(folder / f"{number}.ogg")
        if sources:
            clips[-1].write_bytes(sources[number].read_bytes())
        else:
            noise = np.random.default_rng(number).normal(0, 0.1, CLIP_S * SOURCE_HZ)
            soundfile.write(clips[-1], noise.astype(np.float32), SOURCE_HZ)
        os.utime(clips[-1], (1, 1))
    time.sleep(2.5)  # the time of their last change of state cannot be set
    return clips


def cached_crops(clips: Sequence[Path], place: Path) -> Row:
    """Crops of 5 s of clips of 5 s."""
    read = reading(place / "short")
    filled(read, clips)
    arms = {"bare copy": bare(place, len(clips)), "cached": partial(timed, read, clips)}
    return Row(f"crops of {CROP_S} s out of clips of {CLIP_S} s, in the cache", arms, ">= 0.35, >= 5 000 clips/s")


def cached_crops_of_long(clips: Sequence[Path], place: Path) -> Row:
    """Crops of 5 s at random places of a recording of a minute or more, of which half touch two chunks."""
    path = place / "long.wav"
    with soundfile.SoundFile(path, "w", SOURCE_HZ, 1) as file:
        for clip in [*clips, *clips][:24]:
            file.write(soundfile.read(clip, dtype="float32")[0])
    time.sleep(2.5)
    read = reading(place / "long")
    filled(read, [path] * 400)
    arms = {"bare copy": bare(place, len(clips)), "cached": partial(timed, read, [path] * len(clips))}
    return Row(f"crops of {CROP_S} s out of a long recording, in the cache", arms, ">= 0.35")


def epochs(clips: Sequence[Path], place: Path) -> Row:
    """An epoch of all clips: without a cache, the one that fills it, and one in a new process that finds it."""
    numbers = iter(range(1000))

    def cold() -> float:
        return timed(reading(place / f"cold-{next(numbers)}"), clips, first=False)

    def warm() -> float:
        from pannsdist.audio import waveform_cache

        waveform_cache.close_stores()  # so that each array is verified again, as in a new process
        return timed(reading(place / "short"), clips, first=False)

    without = partial(timed, reading(None), clips)
    return Row("an epoch", {"without a cache": without, "filling it": cold, "filled": warm}, "about 1")


def training(clips: Sequence[Path], place: Path, rounds: int, quick: bool) -> Iterator[Table]:
    """Training steps of networks, of which the front end is computed in each, or is in the cache."""
    clips_of_step, steps = (2, 1) if quick else (STEP_CLIPS, STEPS)
    root = place / "training"
    copy_clips(clips[: 4 + clips_of_step * steps], root)
    for model in MODELS[: 1 if quick else None]:
        with ExitStack() as stack:
            made = {
                arm: Steps(model, root, clips_of_step, arm == FEATURES, stack).clips_per_s for arm in (SOUNDS, FEATURES)
            }
            values = interleave(made, rounds * steps, "clips/s", lambda arm, made=made: made[arm]())
            yield Table(f"{model}: training steps of {clips_of_step} clips of {CLIP_S} s", "clips/s", values)


KEPT = "features"
ROWS = {"short": cached_crops, "long": cached_crops_of_long, "epochs": epochs}
"""Rows by name. Of `features` there is a table for each network."""


def reading(root: Path | None) -> Callable[[Path, int], np.ndarray]:
    """A clip's crop as the workers of a run read it; the second argument counts the clips."""
    from pannsdist.audio.clip_reader import ClipReader
    from pannsdist.audio.waveform_cache import WaveformCache
    from pannsdist.contracts import Clip
    from pannsdist.runtime import seeding

    cache = None if root is None else WaveformCache(root, LIMIT_GB)
    reader = ClipReader(RATE_HZ, CROP_S * RATE_HZ, cache=cache)

    clips: dict[Path, Clip] = {}

    def read(path: Path, number: int) -> np.ndarray:
        clip = clips.get(path) or clips.setdefault(path, Clip(path.name, path, ()))
        return reader.read(clip, seeding.clip_generator(0, number, clip.id, "crop"))

    return read


def filled(read: Callable[[Path, int], np.ndarray], paths: Sequence[Path]) -> None:
    """Read every clip once."""
    for number, path in enumerate(paths):
        read(path, number)


def timed(read: Callable[[Path, int], np.ndarray], paths: Sequence[Path], first: bool = True) -> float:
    """Clips per second of processor time into the rows of a batch; `first`: behind an epoch that is not measured."""
    batch = np.zeros((BATCH, CROP_S * RATE_HZ), np.float32)
    if first:
        filled(read, paths)
    start = time.process_time()
    for number, path in enumerate(paths):
        batch[number % BATCH] = read(path, number)
    return len(paths) / (time.process_time() - start)


def bare(place: Path, clips: int) -> Measured:
    """Copies as many samples at random places of a memory-mapped file of as many clips."""
    samples, path = CROP_S * RATE_HZ, place / "floats"
    np.ones(samples * clips, np.float32).tofile(path)
    mapped = np.memmap(path, np.float32, "r")
    batch = np.zeros((BATCH, samples), np.float32)
    starts = np.random.default_rng(0).integers(0, samples * (clips - 1) + 1, clips).tolist()

    def copy() -> Iterator[None]:
        for number, first in enumerate(starts):
            batch[number % BATCH] = mapped[first : first + samples]
            yield

    def measured() -> float:
        for _ in copy():
            pass
        start = time.process_time()
        for _ in copy():
            pass
        return clips / (time.process_time() - start)

    return measured


if __name__ == "__main__":
    main()
