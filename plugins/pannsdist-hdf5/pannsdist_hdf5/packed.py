"""Packed files and indexes as PANNs writes them: which clips they hold, without their waveforms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import h5py
import numpy as np

from pannsdist.contracts import UserError, shown
from pannsdist.contracts.file_lookup import is_file, leads_out
from pannsdist_hdf5.source import DAMAGED, OPEN, PackedWaveform, stamp_of

__all__ = ["Contents", "Listed", "contents_of"]

MAX_ROWS = 50_000_000
MAX_SAMPLES = 1 << 29
MAX_CLASSES = 100_000
ROWS_AT_ONCE = 8192
PLACES = ("hdf5_path", "hdf5_name")
"""Of an index: the path of the packed file where it was made, or in older ones its name."""
PANNS_RATE_HZ = 32000
AGAIN = "it is a file of PANNs' pack_waveforms_to_hdf5 or create_indexes; copy or pack it again"


@dataclass(frozen=True, slots=True)
class Listed:
    """A clip: `file` and `row` are where it is listed, `classes` the columns of its target; `fold` 0: there is none."""

    file: Path
    row: int
    name: str
    classes: tuple[int, ...]
    fold: int
    source: PackedWaveform

    @property
    def place(self) -> str:
        """How a message names it."""
        return f"{shown(self.file)}: row {self.row}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file lists: the number of classes, its clips, and the rows that PANNs left empty for missing downloads."""

    classes: int
    clips: tuple[Listed, ...]
    missing: tuple[str, ...]


def contents_of(path: Path, root: Path, rate_hz: int) -> Contents:
    """The clips of a packed file or an index; `rate_hz` is that of files which do not say theirs, 0: 32000.

    The packed files of an index are found below `root`. Raises UserError.
    """
    with _opened(path) as file:
        names = _texts(file, path, "audio_name")
        target = _dataset(file, path, "target", 2, "biuf")
        if target.shape[0] != len(names) or not 1 <= target.shape[1] <= MAX_CLASSES:
            _refuse(
                path, f"target has the shape {target.shape} for {len(names)} names", "a row of classes for each name"
            )
        width, classes, folds = target.shape[1], _classes(target, path), _folds(file, path, len(names))
        if any(place in file for place in PLACES):
            sources = _indexed(file, path, root, rate_hz)
        else:
            packed = _Packed(file, path, rate_hz)
            sources = [packed.row(row) for row in range(packed.rows)]
        if len(sources) != len(names):
            _refuse(path, f"it has {len(sources)} waveforms for {len(names)} names", "one for each")
    rows = [Listed(path, row, *values) for row, values in enumerate(zip(names, classes, folds, sources, strict=True))]
    missing = tuple(row.place for row in rows if not row.name)
    return Contents(width, tuple(row for row in rows if row.name), missing)


class _Packed:
    """The waveforms of an open packed file. Raises UserError for what is none."""

    def __init__(self, file: Any, path: Path, rate_hz: int) -> None:
        waveforms = _dataset(file, path, "waveform", 2, "if")
        if waveforms.dtype not in (np.int16, np.float32):
            _refuse(path, f"waveform has the type {waveforms.dtype}", "PANNs packs int16, or float32 in older files")
        self.rows, samples = waveforms.shape
        if not 1 <= samples <= MAX_SAMPLES:
            _refuse(path, f"waveform has {samples} samples in a row", f"it has 1 to {MAX_SAMPLES}")
        own_hz = file.attrs.get("sample_rate", rate_hz or PANNS_RATE_HZ)
        if not isinstance(own_hz, int | np.integer) or not 1000 <= own_hz <= 768_000:
            _refuse(path, f"its sample_rate is {shown(own_hz)}", "it is an integer, in Hz, of 1000 to 768000")
        if rate_hz and own_hz != rate_hz:
            right = "leave data.params.sample_rate_hz out; it is for files that do not say theirs"
            _refuse(path, f"its sample_rate is {own_hz}, but data.params.sample_rate_hz {rate_hz}", right)
        self._path, self._stamp, self._rate_hz = path, stamp_of(path), int(own_hz)
        self._length_s = samples / self._rate_hz

    def row(self, number: int) -> PackedWaveform:
        """The source of a row."""
        return PackedWaveform(self._path, number, self._rate_hz, self._length_s, self._stamp)


def _indexed(file: Any, path: Path, root: Path, rate_hz: int) -> list[PackedWaveform]:
    """The waveforms that an index names."""
    places = _texts(file, path, next(place for place in PLACES if place in file))
    numbers = _dataset(file, path, "index_in_hdf5", 1, "iu")[()]
    if len(numbers) != len(places):
        _refuse(path, f"it has {len(numbers)} numbers of rows for {len(places)} files", "one for each")
    packed: dict[str, _Packed] = {}
    for place in dict.fromkeys(places):
        found = _found(place, path, root)
        with _opened(found) as other:
            packed[place] = _Packed(other, found, rate_hz)
    for row, (place, number) in enumerate(zip(places, numbers, strict=True)):
        if not 0 <= number < packed[place].rows:
            right = f"{shown(place)} has {packed[place].rows} rows, counted from 0"
            _refuse(path, f"row {row}: index_in_hdf5 is {number}", right)
    return [packed[place].row(int(number)) for place, number in zip(places, numbers, strict=True)]


def _found(place: str, index: Path, root: Path) -> Path:
    """The packed file that an index names, which stands below `root` here, by as much of its path as is there."""
    parts = PurePosixPath(place.replace("\\", "/")).parts
    parts = tuple(part for part in parts[max((n for n, part in enumerate(parts) if part == ".."), default=-1) + 1 :])
    folders = (root, root / "hdf5s" / "waveforms", index.parent, index.parent.parent / "waveforms")
    for kept in range(len(parts)):
        for folder in folders:
            path = folder.joinpath(*(part.strip("/") for part in parts[kept:]))
            if "\0" not in place and is_file(path) and path != index and not leads_out(path, root):
                return path
    right = f"packed files stand below {shown(root)} (data.params.root), as in PANNs' workspace: hdf5s/waveforms/..."
    return _refuse(index, f"it names {shown(place)!r}, which is not there", right)


def _classes(target: Any, path: Path) -> list[tuple[int, ...]]:
    """The columns that are 1 in each row."""
    found: list[tuple[int, ...]] = []
    for first in range(0, target.shape[0], ROWS_AT_ONCE):
        block = target[first : first + ROWS_AT_ONCE]
        if not ((block == 0) | (block == 1)).all():
            row, column = np.argwhere((block != 0) & (block != 1))[0]
            _refuse(path, f"row {first + row}: target is {block[row, column]} for class {column}", "it is 0 or 1")
        found += [tuple(np.flatnonzero(row).tolist()) for row in block]
    return found


def _folds(file: Any, path: Path, rows: int) -> Sequence[int]:
    if "fold" not in file:
        return [0] * rows
    folds = _dataset(file, path, "fold", 1, "iu")[()].tolist()
    if len(folds) != rows or any(fold < 1 for fold in folds):
        _refuse(path, "fold is not one number for each name, counted from 1", "as panns_transfer_to_gtzan packs it")
    return list(folds)


def _texts(file: Any, path: Path, name: str) -> list[str]:
    """A column of names, in UTF-8."""
    values = _dataset(file, path, name, 1, "SO")[()].tolist()
    if not all(isinstance(value, bytes | str) for value in values):
        _refuse(path, f"{name} holds something else than names", "names are bytes, as PANNs packs them")
    return [value.decode(errors="surrogateescape") if isinstance(value, bytes) else value for value in values]


def _dataset(file: Any, path: Path, name: str, axes: int, kinds: str) -> Any:
    """A dataset that lies in the file itself. Raises UserError for a missing, unfitting, linked or unreadable one."""
    link = file.get(name, getlink=True)
    if link is None:
        _refuse(path, f"it has no {name!r}", f"it has: {', '.join(map(shown, list(file)[:20]))}")
    found = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        _refuse(path, f"{name!r} is no dataset of the file itself", "links to other files are not followed")
    if found.ndim != axes or found.dtype.kind not in kinds or found.shape[0] > MAX_ROWS:
        _refuse(path, f"{name!r} has the type {found.dtype} and the shape {found.shape}", AGAIN)
    plan = found.id.get_create_plist()
    for number in range(plan.get_nfilters()):
        code, _, _, called = plan.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            filter_name = shown(called.decode(errors="replace")) or code
            _refuse(
                path, f"{name!r} is compressed with {filter_name}, which h5py does not have here", "pack it with gzip"
            )
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open file. Raises UserError, also within the block, for a damaged one."""
    OPEN.close(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (*DAMAGED, MemoryError) as error:
        reason = shown(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
        raise UserError(f"{shown(path)} is damaged, or no HDF5: {reason}", AGAIN) from error


def _refuse(path: Path, wrong: str, right: str) -> NoReturn:
    raise UserError(f"{shown(path)}: {wrong}", right)
