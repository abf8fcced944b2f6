"""Whether the sounds of a run are cached at the rate of its network: by the settings, and by the room there is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from pannsdist.audio.batches import ClipTable
from pannsdist.audio.clip_formats import costs_work, evenly
from pannsdist.audio.waveform_cache import WaveformCache
from pannsdist.cache.arrays import BYTES_OF_GB, ArrayCache, cache_folder
from pannsdist.cache.pruning import packs
from pannsdist.run.planning import frozen_body
from pannsdist.run.planning.data import TRAIN
from pannsdist.run.planning.padding import CropFit
from pannsdist.run.planning.plan import Plan
from pannsdist.runtime.errors import SettingsError, UserError
from pannsdist.runtime.names import folder_above, path_of, shown
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings

AUTO, OFF, INT16 = "auto", "off", "int16"
YAML_OFF = ("false", "no")
"""What YAML makes of `off`, which it takes for a truth value."""
LOOKED_AT = 1 << 14
"""Clips of a split whose folder is compared with that of the cache."""
FREE_PART = 0.9
"""Of the free disk, so much may be used."""


@dataclass(frozen=True)
class Chosen:
    """Whether sounds are cached, and a line of the plan about it; empty where there is nothing to say."""

    is_used: bool
    text: str


def named(settings: Settings) -> str:
    """`auto`, `off`, or the folder that `data.cache` names."""
    text = settings.data.cache
    return OFF if text.lower() in (OFF, *YAML_OFF) else AUTO if text.lower() == AUTO else text


def waveform_cache(settings: Settings) -> WaveformCache:
    """The cache that the settings name, whether it is used or not; `auto` and `off` name that of the user."""
    chosen = named(settings)
    root = cache_folder() if chosen in (AUTO, OFF) else Path(os.path.abspath(path_of(chosen)))  # noqa: PTH100 keeps links
    return WaveformCache(root, settings.data.cache_limit_gb, settings.data.cache_dtype == INT16)


def refuse_cache_folder(settings: Settings, origin: SettingsOrigin, tables: Iterable[ClipTable]) -> None:
    """Raise SettingsError for a folder that is a file, or in which, or around which, the sounds of the data lie."""
    text = named(settings)
    if text in (AUTO, OFF):
        return
    where, right = origin.where("data.cache"), "auto, off, or a folder of its own, such as data.cache=cache"
    if not text.strip() or text.lower() in ("true", "yes", "on"):
        raise SettingsError(f"{where} is '{text}', which is no folder", right, origin.command)
    root = waveform_cache(settings).root
    if not next(path for path in (root, *root.parents) if os.path.lexists(path)).is_dir():
        raise SettingsError(f"{where} is {shown(root)}, which is no folder", right, origin.command)
    real = Path(os.path.realpath(root))
    some = chain.from_iterable(evenly(table.clips, LOOKED_AT) for table in tables)
    files = (clip.source for clip in some if isinstance(clip.source, Path))
    for sounds in sorted({Path(os.path.realpath(file.parent)) for file in files}):
        if real == sounds or sounds in real.parents or real in sounds.parents:
            wrong = f"{where} is {shown(root)}, and sounds of the data are in {shown(sounds)}"
            raise SettingsError(wrong, f"{right}: beside the sounds, not among them", origin.command)


def cache_to_fill(settings: Settings, origin: SettingsOrigin, tables: Iterable[ClipTable]) -> WaveformCache:
    """The cache that is filled by command. Raises SettingsError where there is none."""
    refuse_cache_folder(settings, origin, tables)
    for key, none in (
        ("data.cache", named(settings) == OFF),
        ("data.cache_limit_gb", not settings.data.cache_limit_gb),
    ):
        if none:
            right = "data.cache=auto or a folder, and data.cache_limit_gb above 0"
            raise SettingsError(f"{origin.where(key)} means that there is no cache", right, origin.command)
    return waveform_cache(settings)


def chosen(plan: Plan, fits: Sequence[CropFit]) -> Chosen:
    """The choice for a run. Reads headers of some sound files; rank 0 only. Raises nothing."""
    text, tables, rate_hz = named(plan.settings), _tables(plan), plan.front_end.sample_rate_hz
    work, count = costs_work(tables[0].clips, rate_hz), sum(map(len, tables))
    if text == OFF or plan.settings.data.cache_limit_gb == 0 or work is None or (text == AUTO and not work):
        return Chosen(False, "")
    try:
        cache = waveform_cache(plan.settings)
    except UserError:  # of a user without a home folder
        return Chosen(False, "")
    size = needed_bytes(fits, count, rate_hz, cache.is_16_bit)
    what = f"{count} sounds at {rate_hz} Hz, {size_text(size)}, in {shown(cache.root)}"
    obstacle = next(_obstacles(plan, fits, cache, size), "")
    if text == AUTO and obstacle:
        return Chosen(False, f"off: {obstacle}")
    return Chosen(True, what + (f"; {obstacle}: as much as fits" if obstacle else ""))


def needed_bytes(fits: Sequence[CropFit], clips: int, rate_hz: int, is_16_bit: bool) -> float:
    """About how much so many clips need, from the lengths of some of them; NaN where none is known."""
    seconds = np.concatenate([fit.lengths.seconds for fit in fits]) if fits else np.zeros(0)
    return float(seconds.mean()) * clips * rate_hz * (2 if is_16_bit else 4) if len(seconds) else float("nan")


def _obstacles(plan: Plan, fits: Sequence[CropFit], cache: WaveformCache, size: float) -> Iterator[str]:
    """Why a cache would not help, or not hold the sounds."""
    train_fit = next((fit for fit in fits if fit.split == TRAIN), None)
    is_drawn = train_fit is None or frozen_body.has_drawn_crops(train_fit)
    if plan.freezes_body and not frozen_body.obstacle(plan) and not is_drawn and not plan.settings.train.unfreeze_epoch:
        yield "embeddings are kept instead"
    if plan.settings.data.cache_features and not is_drawn:
        yield "features are kept instead"
    if np.isnan(size):
        yield "their lengths are not known"
    if size > cache.limit_gb * BYTES_OF_GB:
        yield f"{size_text(size)} are more than data.cache_limit_gb={cache.limit_gb:g}"
    free = _free_bytes(cache, plan.front_end.sample_rate_hz)
    if free is not None and size > free:
        yield f"{size_text(size)} are more than there is room for in {shown(cache.root)}"


def _free_bytes(cache: WaveformCache, rate_hz: int) -> float | None:
    """What may be written, and what is there already of such sounds; None where the system does not tell."""
    with suppress(OSError):
        folder = cache.root if cache.root.is_dir() else folder_above(cache.root)
        own = ArrayCache(cache.root, cache.recipe(rate_hz), cache.limit_gb).folder
        kept = sum(pack.size for pack in packs(cache.root) if pack.index.parent == own)
        return FREE_PART * shutil.disk_usage(folder).free + kept
    return None


def _tables(plan: Plan) -> list[ClipTable]:
    """The clips that the run reads, those of training first."""
    return [
        plan.data.splits[TRAIN],
        *(table for name, table in plan.data.splits.items() if name != TRAIN),
        *_test(plan),
    ]


def _test(plan: Plan) -> list[ClipTable]:
    return [] if plan.data.test is None else [plan.data.test]


def size_text(size: float) -> str:
    """A size in bytes for people."""
    if np.isnan(size):
        return "of unknown size"
    return f"about {size / BYTES_OF_GB:.2g} GB" if size >= BYTES_OF_GB / 10 else f"about {max(1, size / 1e6):.0f} MB"
