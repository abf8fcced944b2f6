"""Speed of the data engine: each row is one promise, measured beside the bare libraries that it rests on, interleaved.

    python benchmarks/data.py [--only ROW ...] [--rounds N] [--esc10 DIR] [--peers PYTHON] [--quick]

A row is a function of `ROWS`: it gives the arms that are compared, the first one the base. Without `--esc10` the clips
are bursts of noise. With `--peers`, a Python that has librosa or torchcodec, these are measured in the same rounds.
Values are per second of processor time, so that other load changes them little; the ratios are what counts.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import data_shards
import numpy as np
import soundfile
from measuring import Table, interleave, parser, present

RATE_HZ, CROP_S, CLIP_S, LONG_S = 32000, 5, 5, 600
SOURCE_HZ = 44100
PEERS = ("librosa", "torchcodec")


@dataclass(frozen=True)
class Sounds:
    """What rows measure with: short clips as Ogg, and long recordings of all of them by their ending.

    `folder` is for what a row writes.
    """

    folder: Path
    clips: Sequence[Path]
    long: Mapping[str, Path]
    peers: Path | None
    is_quick: bool


@dataclass(frozen=True)
class Row:
    """Arms that are compared: each does its work once and gives clips per second of processor time.

    `aim` is the ratio of the second arm to the first one, the base, that is promised.
    """

    title: str
    arms: Mapping[str, Callable[[], float]]
    aim: str
    unit: str = "clips/s"


def main() -> None:
    """Measure the rows one after another, and print a table of each; with `--worker`, run one peer."""
    arguments = parser("Speed of the data engine.", rounds=7)
    arguments.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", help=f"of these rows: {', '.join(ROWS)}")
    arguments.add_argument("--esc10", type=Path, metavar="DIR", help="ESC-10, for clips of real sound")
    arguments.add_argument("--peers", type=Path, metavar="PYTHON", help=f"a Python that has {' or '.join(PEERS)}")
    arguments.add_argument("--worker", nargs="+", metavar="WORD", help="of this program alone")
    chosen = arguments.parse_args()
    if chosen.worker:
        print(json.dumps(peer(chosen.worker[0], chosen.worker[1:])))
        return
    if chosen.quick:
        chosen.rounds = 1
    from pannsdist.runtime import heap

    heap.keep_freed_memory()  # as the commands and their workers do
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as folder:
        sounds = prepare(chosen, Path(folder))
        present([measure(ROWS[name](sounds), chosen.rounds) for name in chosen.only or ROWS], chosen.json)


def measure(row: Row, rounds: int) -> Table:
    """The table of a row."""
    values = interleave(row.arms, rounds, row.unit, lambda arm: row.arms[arm]())
    return Table(f"{row.title} (aim of the second row: {row.aim})", row.unit, values)


def prepare(chosen: Namespace, folder: Path) -> Sounds:
    """Write the sounds."""
    clips = sorted(chosen.esc10.rglob("*.ogg"))[:40] if chosen.esc10 else []
    for number in range(0 if clips else 4 if chosen.quick else 40):
        random = np.random.default_rng(number)
        loudness = np.repeat(random.uniform(0, 0.5, 10 * CLIP_S), SOURCE_HZ // 10)
        noise = random.normal(0, 0.2, CLIP_S * SOURCE_HZ) * loudness
        soundfile.write(folder / f"{number}.ogg", noise.astype(np.float32), SOURCE_HZ)
        clips.append(folder / f"{number}.ogg")
    clips = clips[:4] if chosen.quick else clips
    every = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in clips])
    seconds = 30 if chosen.quick else LONG_S
    long = {ending: folder / f"long.{ending}" for ending in ("ogg", "wav")}
    for path in long.values():
        with soundfile.SoundFile(path, "w", SOURCE_HZ, 1) as file:
            for second in range(seconds):
                first = second * SOURCE_HZ % (len(every) - SOURCE_HZ)
                file.write(every[first : first + SOURCE_HZ])
    return Sounds(folder, clips, long, chosen.peers, chosen.quick)


def short_clips(sounds: Sounds) -> Row:
    """A crop of 5 s of clips of 5 s."""
    arms = {
        "soundfile and soxr": partial(timed, directly, sounds.clips),
        "reader": partial(timed, ours(), sounds.clips),
    }
    return Row(f"Ogg of {CLIP_S} s, crop of {CROP_S} s", {**arms, **of_peers(sounds, sounds.clips)}, ">= 0.95")


def long_file(ending: str, sounds: Sounds) -> Row:
    """Crops of 5 s at random places of a long file."""
    path, crops = sounds.long[ending], 2 if sounds.is_quick else 30
    arms = {
        "soundfile and soxr, the whole file": partial(timed, directly, [path]),
        "reader": partial(timed, ours(), [path] * crops),
    }
    return Row(f"{path.suffix[1:]} of {LONG_S} s, crop of {CROP_S} s", {**arms, **of_peers(sounds, [path])}, ">= 10")


def packed(sounds: Sounds) -> Row:
    """Shards beside the same files, when all is in memory."""
    return Row(f"Ogg of {CLIP_S} s, packed", data_shards.shards_beside_files(sounds.clips, sounds.folder), ">= 0.95")


def cold(sounds: Sounds) -> Row:
    """The first pass over a web server on this machine, beside that over files."""
    arms = data_shards.cold_beside_files(sounds.clips, sounds.folder)
    return Row(f"Ogg of {CLIP_S} s, from a web server", arms, ">= 0.8")


ROWS: dict[str, Callable[[Sounds], Row]] = {
    "short_clips": short_clips,
    "long_ogg": partial(long_file, "ogg"),
    "long_wav": partial(long_file, "wav"),
    "packed": packed,
    "cold": cold,
}
"""By name; add one here."""


def timed(read: Callable[[Path], np.ndarray], paths: Sequence[Path]) -> float:
    """Clips per second of processor time, behind one that is not measured."""
    read(paths[0])
    start = time.process_time()
    for path in paths:
        assert read(path).shape == (RATE_HZ * CROP_S,)
    return len(paths) / (time.process_time() - start)


def directly(path: Path) -> np.ndarray:
    """Decode, mix to mono, resample and crop, by the libraries alone."""
    import soxr

    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    return cropped(soxr.resample(mono, rate_hz, RATE_HZ, quality="HQ"))


def cropped(waveform: np.ndarray) -> np.ndarray:
    """The first 5 s, padded with silence."""
    crop = np.zeros(RATE_HZ * CROP_S, np.float32)
    crop[: min(len(crop), len(waveform))] = waveform[: len(crop)]
    return crop


def ours() -> Callable[[Path], np.ndarray]:
    """The reader of training, at random places."""
    from pannsdist.audio.clip_reader import ClipReader
    from pannsdist.contracts import Clip

    reader, generator = ClipReader(RATE_HZ, RATE_HZ * CROP_S), np.random.default_rng(0)
    return lambda path: reader.read(Clip(path.name, path, ()), generator)


def of_peers(sounds: Sounds, paths: Sequence[Path]) -> dict[str, Callable[[], float]]:
    """The arms of other libraries that can be imported by the Python of `--peers`."""
    if sounds.peers is None:
        return {}
    python, words = str(sounds.peers), [str(path) for path in paths]

    def run(name: str) -> float:
        command = [python, __file__, "--worker", name, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        return float(json.loads(done.stdout))

    return {name: partial(run, name) for name in PEERS if can_import(python, name)}


def can_import(python: str, name: str) -> bool:
    """Whether a Python has a library that works."""
    return subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0  # noqa: S603


def peer(name: str, words: Sequence[str]) -> float:
    """Measure another library in this process."""
    return timed({"librosa": by_librosa, "torchcodec": by_torchcodec}[name], [Path(word) for word in words])


def by_librosa(path: Path) -> np.ndarray:
    """As its documentation says."""
    import librosa

    return cropped(librosa.load(path, sr=RATE_HZ, mono=True)[0])


def by_torchcodec(path: Path) -> np.ndarray:
    """With the resampler of FFmpeg."""
    from torchcodec.decoders import AudioDecoder

    decoder = AudioDecoder(str(path), sample_rate=RATE_HZ, num_channels=1)
    return cropped(decoder.get_samples_played_in_range(0, CROP_S).data[0].numpy())


if __name__ == "__main__":
    main()
