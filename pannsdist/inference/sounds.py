"""The inputs of inference: paths, folders and arrays."""

from __future__ import annotations

import codecs
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.audio.reader import AudioInput, Recording
from pannsdist.audio.sounds import mono_blocks
from pannsdist.audio.verdicts import MAX_RATE_HZ, MIN_RATE_HZ, rate_fault
from pannsdist.contracts import EncodedSource
from pannsdist.contracts.file_lookup import FileLookup
from pannsdist.contracts.locations import can_list, location_of
from pannsdist.contracts.sound_files import SoundFiles, find_sound_files, merged
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import folder_above, is_folder, shown
from pannsdist.runtime.texts import decoded, lines_of

STANDARD_INPUT = "standard input"
SoundInput = str | os.PathLike[str] | np.ndarray | EncodedSource
ONE = (str, os.PathLike, np.ndarray, EncodedSource)


def sound_files(names: Iterable[str | os.PathLike[str]]) -> SoundFiles:
    """Files as given, and the sound files in folders, sorted by name; and what was left out. URLs of stores count, too.

    Raises UserError for a name that is empty or does not exist, and for a folder without sound files.
    """
    return merged([_files_of(os.fspath(name)) for name in names])


def _files_of(name: str) -> SoundFiles:
    if not name.strip():
        raise UserError("the name of a sound is empty", "give sound files or folders of them; . is the current folder")
    location = location_of(name)
    if isinstance(location, Path):
        location = location if os.path.lexists(location) else _found(location)
        is_one = not is_folder(location)
    else:
        is_one = "." in location.name or not can_list(location)
    if is_one:
        return SoundFiles((location,))
    inside = find_sound_files(location)
    if not inside.files:
        raise UserError(f"folder {location} contains no sound file", inside.nothing)
    return inside


def _found(path: Path) -> Path:
    """The file that a name without a file means by `FileLookup`. Raises UserError with what is similar."""
    above = folder_above(path)
    inside, files = path.relative_to(above).as_posix(), FileLookup(above)
    found = files.find(inside)
    if found is None:
        hint = files.hint(inside)
        right = f"in {shown(above)} {hint}" if hint else "give sound files or folders of them"
        raise UserError(f"there is no file {shown(path)}", right)
    return found


def listed_names(content: bytes) -> list[str]:
    r"""The names of a list, one on each line or, as `find -print0` writes them, each ended by a zero byte.

    Blank lines are skipped, and so are spaces and quotes around a name that does not exist with them. Names are bytes
    of the file system, so they need not be UTF-8; a list in UTF-16 starts with a byte-order mark. Raises UserError for
    a list without names.
    """
    has_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in content and not has_mark:
        names = [os.fsdecode(name) for name in content.split(b"\0")]
        if max(map(len, names)) == 1:
            wrong = f"{STANDARD_INPUT} has a zero byte after every character"
            raise UserError(wrong, "it may be UTF-16: pipe it through iconv -f UTF-16LE -t UTF-8")
    else:
        text = decoded(content, STANDARD_INPUT) if has_mark else os.fsdecode(content.removeprefix(codecs.BOM_UTF8))
        names = lines_of(text)
    names = [_named(name) for name in names if name.strip()]
    if not names:
        right = "pipe names of sound files or folders, one on each line, such as: find FOLDER -name '*.wav'"
        raise UserError(f"{STANDARD_INPUT} has no names", right)
    return names


def _named(line: str) -> str:
    """The name on a line: the line itself, or without spaces and quotes around it."""
    bare = line.strip()
    unquoted = bare[1:-1] if len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "\"'" else bare
    return next((name for name in (line, bare) if os.path.lexists(name)), unquoted)


def sources(sounds: SoundInput | Sequence[SoundInput], sample_rate_hz: float | None) -> list[AudioInput]:
    """`sounds` as a list, in order, each folder replaced by its sound files; a single sound gives a list of one.

    An array is (S,) or (S, channels), floats in [-1, 1], at `sample_rate_hz`. Raises UserError, naming the input, for
    anything else, for arrays without a rate and for a rate without arrays.
    """
    given: Sequence[Any] = [sounds] if isinstance(sounds, ONE) else list(sounds)
    arrays = [isinstance(sound, np.ndarray) for sound in given]
    if sample_rate_hz is None and any(arrays):
        raise UserError("the sample rate of the arrays is missing", "give it as sample_rate_hz=")
    if sample_rate_hz is not None and rate_fault(sample_rate_hz):
        right = f"give a rate from {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        raise UserError(f"sample_rate_hz is {sample_rate_hz}", right)
    if sample_rate_hz is not None and given and not any(arrays):
        raise UserError("sample_rate_hz is given, but there is no array", "leave it out: files contain their own rate")
    found: list[AudioInput] = []
    for index, sound in enumerate(given):
        if isinstance(sound, np.ndarray):
            found.append(_recording(f"sounds[{index}]", sound, float(sample_rate_hz or 0.0)))
        elif isinstance(sound, EncodedSource):
            found.append(sound)
        elif isinstance(sound, str | os.PathLike):
            files = sound_files([sound])
            for skipped in files.skipped:
                warnings.warn(f"left out: {skipped}", stacklevel=2)
            found += files.sources
        else:
            raise UserError(f"sounds[{index}] is a {type(sound).__name__}", "give paths, or numpy arrays of samples")
    return found


def _recording(name: str, samples: np.ndarray, rate_hz: float) -> Recording:
    if samples.dtype.kind != "f":
        right = "give floats in [-1, 1]; divide 16-bit samples by 32768"
        raise UserError(f"{name} is of dtype {samples.dtype}", right)
    if samples.ndim not in (1, 2):
        raise UserError(f"{name} has {samples.ndim} dimensions", "give (samples,) or (samples, channels)")
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0] > 0:
        right = f"give (samples, channels), transposed with .T; give {len(samples)} sounds as a list of arrays"
        raise UserError(f"{name} has the shape {samples.shape}, with more channels than samples", right)
    return Recording(name, samples, rate_hz)


def beginning(source: AudioInput, rate_hz: int, limit: int) -> np.ndarray:
    """The first `limit` samples of a sound at a rate, or all of a shorter one: (S,) float32. Raises BadClip."""
    blocks: list[np.ndarray] = []
    for block in mono_blocks(source, rate_hz):
        blocks.append(block)
        if sum(map(len, blocks)) >= limit:
            break
    return np.concatenate(blocks)[:limit]
