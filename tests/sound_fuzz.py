"""Seeded damage to sound files, and what every reader of the package does with each, in a child with limits.

`python tests/sound_fuzz.py FIRST END` runs the seeds and prints, as JSON, what went wrong and the largest figures.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import sound_kinds

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.inspection import inspect
from pannsdist.audio.sounds import mono_blocks
from pannsdist.audio.verdicts import judge
from pannsdist.contracts import Clip
from pannsdist.runtime.errors import UserError

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
CPU_S = 5
EXTRA_MB = 64
"""Allowed above three times the file: blocks of 16 MB as decoded, as mono and as resampled."""


def mutated(seed: int, files: list[bytes]) -> bytes:
    """One of `files`, damaged in one to three ways."""
    random = np.random.default_rng(seed)
    data = files[int(random.integers(len(files)))]
    for _ in range(int(random.integers(1, 4))):
        data = _damaged(data, files, random)
    return data


def _damaged(data: bytes, files: list[bytes], random: np.random.Generator) -> bytes:
    at, end = sorted(int(place) for place in random.integers(0, len(data) + 1, 2))
    kind = int(random.integers(7))
    if kind == 0 and data:  # bits
        changed = bytearray(data)
        for place in random.integers(0, len(data), int(random.integers(1, 20))):
            changed[place] ^= 1 << int(random.integers(8))
        return bytes(changed)
    if kind in (1, 2) and len(data) > 8:  # a field of the header
        place, count = int(random.integers(0, min(len(data), 128) - 4)), int(random.choice((1, 2, 4, 8)))
        value = EXTREMES[int(random.integers(len(EXTREMES)))] & ((1 << 8 * min(count, 4)) - 1)
        order = "little" if random.integers(2) else "big"
        filled = value.to_bytes(min(count, 4), order) * (2 if count == 8 else 1)
        return data[:place] + filled + data[place + count :]
    if kind == 3:
        return data[:at]
    if kind == 4:
        return data[:end] + data[at:]
    if kind == 5:
        return data[:at] + bytes(end - at) + data[end:]
    other = files[int(random.integers(len(files)))]
    return data[:at] + other[int(random.integers(len(other))) :]


def read_everywhere(path: Path) -> str:
    """Read a file as all commands do; returns what disagrees, empty if nothing does. Raises what is no UserError."""
    verdict, clip = judge(path), Clip("a", path, ())
    (facts,) = inspect((clip,), 16000)
    refused = []
    for crop_s in (0.1, 1.0):
        try:
            ClipReader(8000, round(8000 * crop_s)).read(clip, np.random.default_rng(0))
            refused.append(False)
        except UserError:
            refused.append(True)
    try:
        frames = sum(map(len, mono_blocks(path, 8000)))
    except UserError as error:
        frames = -1 if _is_about_levels(error.args[0]) else 0
    if frames < 0 or _is_about_levels(facts.error):
        return ""
    if (not verdict.is_whole) != bool(facts.error) or (facts.error and not all(refused)):
        return f"the verdict is {str(verdict)!r}, the check says {facts.error!r}, training refused: {refused}"
    if bool(frames) != verdict.is_readable and verdict.length_s > 1e-3:
        return f"the verdict is {str(verdict)!r}, and inference read {frames} samples"
    return ""


def _is_about_levels(message: str) -> bool:
    """Whether a sound was read, and refused for its samples."""
    return "NaN" in message or "full scale is 1" in message


def main(first: int, end: int) -> None:
    """Run the seeds `first` to `end`."""
    faults, most_s = [], 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound_kinds.legal(folder)
        files = [path.read_bytes() for path in sorted(folder.iterdir())]
        endings = sorted({path.suffix for path in folder.iterdir()})
        for data in files:
            _run_one(folder / "a.wav", data)
        start_mb = _peak_mb()
        for seed in range(first, end):
            data = mutated(seed, files)
            path = folder / f"a{endings[seed % len(endings)]}"
            limits = resource.getrlimit(resource.RLIMIT_CPU)
            used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
            resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_S + 1, limits[1]))
            print(seed, file=sys.stderr, flush=True)
            began_s = time.process_time()
            fault = _run_one(path, data)
            took_s, grown_mb = time.process_time() - began_s, _peak_mb() - start_mb
            most_s = max(most_s, took_s)
            if grown_mb > 3 * len(data) / 1e6 + EXTRA_MB:
                fault = fault or f"its peak grew by {grown_mb:.0f} MB"
            if took_s > CPU_S:
                fault = fault or f"it took {took_s:.1f} s"
            if fault:
                faults.append({"seed": seed, "fault": fault})
    print(json.dumps({"faults": faults, "cpu_s": round(most_s, 2), "mb": round(_peak_mb() - start_mb, 1)}))


def _run_one(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    try:
        return read_everywhere(path)
    except Exception:  # noqa: BLE001 it is the finding
        return traceback.format_exc()
    finally:
        path.unlink()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
