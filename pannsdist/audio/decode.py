"""Sound files and generated sounds become mono samples at the rate that a front end wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pannsdist.contracts import Clip
from pannsdist.runtime.errors import BadClip

SOUND_FILE_ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")


@dataclass(frozen=True)
class Piece:
    """A stretch of a source at its own rate: samples (S, channels) float32 and what they were cut from."""

    samples: np.ndarray
    rate_hz: int


def bad_clip(clip: Clip, why: str, hint: str = "") -> BadClip:
    """The refusal of one clip: its id, where it is, what is wrong with it, and a further way out."""
    place = clip.source if isinstance(clip.source, Path) else type(clip.source).__name__
    right = "mend or remove it, or set data.on_bad_clip=skip to go on without it"
    return BadClip(f"clip '{clip.id}' ({place}): {why}", "\n".join(line for line in (right, hint) if line))


def source_span(clip: Clip, frames: int, rate_hz: int) -> tuple[int, int]:
    """(first, end) of the clip in frames of a source that has `frames`. Raises BadClip where nothing is left."""
    first = round(clip.start_s * rate_hz)
    end = frames if clip.duration_s is None else min(frames, first + round(clip.duration_s * rate_hz))
    if frames == 0:
        raise bad_clip(clip, "it holds no samples")
    if first < 0 or end <= first:
        span = f"{clip.start_s} s" + ("" if clip.duration_s is None else f" for {clip.duration_s} s")
        raise bad_clip(clip, f"the piece from {span} lies outside its {frames / rate_hz:.3f} s")
    return first, end


def read_file(path: Path, first: int, end: int | None, clip: Clip) -> Piece:
    """Frames `first` to `end` of a sound file: WAV of 8 to 32 bit or float, FLAC, Ogg, MP3, and the like."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            file.seek(first)
            samples = file.read(-1 if end is None else end - first, dtype="float32", always_2d=True)
            return Piece(samples, file.samplerate)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise bad_clip(clip, reason(path, error)) from error


def length_of(clip: Clip) -> tuple[int, int]:
    """(frames, rate in Hz) of a clip's file, from its header."""
    import soundfile

    assert isinstance(clip.source, Path)
    try:
        with soundfile.SoundFile(clip.source) as file:
            return len(file), file.samplerate
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise bad_clip(clip, reason(clip.source, error)) from error


def reason(path: Path, error: Exception) -> str:
    """Why libsndfile could not read a file, in words for the user."""
    if not path.exists():
        return "there is no such file"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, PermissionError):
        return "it may not be read"
    return f"it is no sound that libsndfile reads ({str(error).splitlines()[0]})"


def to_mono(piece: Piece, rate_hz: int) -> np.ndarray:
    """The mean of the channels, at `rate_hz`: (S,) float32. Resampled by soxr, quality HQ."""
    mono = piece.samples.mean(axis=1, dtype=np.float32) if piece.samples.shape[1] > 1 else piece.samples[:, 0]
    if piece.rate_hz == rate_hz:
        return np.ascontiguousarray(mono)
    import soxr

    resampled: np.ndarray = soxr.resample(mono, piece.rate_hz, rate_hz, quality="HQ")
    return resampled.astype(np.float32, copy=False)
