"""Speed of `pannsdist detect` on a long recording: frames of a network beside sliding windows of a clip-wise one.

    python benchmarks/detection.py [--minutes N] [--model NAME] [--classes N] [--rounds N] [--quick]

The recording is noise, 16-bit WAV at 32 kHz, and the weights are random: the speed does not depend on them, and the
threshold of 1 leaves no events to write. Both networks are the same but for their strides over time and their heads.
Each arm is a process of its own in every round: it computes three minutes to warm up, more windows than an engine waits
for before it compiles, and then the recording. Memory is told in two ways: what the process has allocated and not freed
(`mallinfo2` of glibc), and the most that it ever had of the system, with the holes that freed arrays leave.
"""

from __future__ import annotations

import ctypes
import json
import resource
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import Table, interleave, parser, present
from model_folders import write_model

if TYPE_CHECKING:
    from pannsdist.inference.detection import WindowScores

WARM_UP_MINUTES, LOOK_SCORES = 3.0, 100
MODEL, MINUTES, CLASSES, RATE_HZ, CROP_S = "efficientat_mn04", 20, 10, 32000, 10.0
WINDOWS = {"windows of 1 s every 0.25 s": (1.0, 0.25), "windows of 1 s every 0.05 s": (1.0, 0.05)}
FRAMES = "frames of 80 ms"
ARMS = (*WINDOWS, FRAMES)


def main() -> None:
    """Run the arms in rounds and print tables; with `--worker`, run one arm."""
    arguments = parser("Seconds of a recording per second, as ratios from interleaved runs.")
    arguments.add_argument("--minutes", type=float, default=MINUTES, help="length of the recording")
    arguments.add_argument("--model", default=MODEL, help=f"model plugin that answers by frame (default: {MODEL})")
    arguments.add_argument("--engine", default="", help="engine of both arms (default: by the table)")
    arguments.add_argument("--classes", type=int, default=CLASSES, help=f"classes (default: {CLASSES})")
    arguments.add_argument("--arms", nargs="+", choices=ARMS, metavar="NAME", default=[ARMS[0], FRAMES], help="rows")
    arguments.add_argument("--worker", nargs=2, metavar=("ARM", "FOLDER"), help="of this program alone")
    chosen = arguments.parse_args()
    if chosen.worker:
        work(chosen.worker[0], Path(chosen.worker[1]), chosen)
        return
    if chosen.quick:
        chosen.rounds, chosen.minutes, chosen.model = 1, 0.5, "efficientat_mn01"
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as name:
        prepare(Path(name), chosen)
        present(measure(chosen, Path(name)), chosen.json)


def measure(chosen: Namespace, folder: Path) -> list[Table]:
    """Seconds of sound per second of each arm, its seconds of all cores, and its memory."""
    cores: dict[str, list[float]] = {}
    held: dict[str, list[float]] = {}
    resident: dict[str, list[float]] = {}

    def speed(arm: str) -> float:
        command = [sys.executable, __file__, "--worker", arm, str(folder), "--engine", chosen.engine]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise SystemExit(f"{arm} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
        found = json.loads(done.stdout.splitlines()[-1])
        cores.setdefault(arm, []).append(found["core_s"] / (chosen.minutes / 60))
        held.setdefault(arm, []).append(found["held_mb"])
        resident.setdefault(arm, []).append(found["resident_mb"])
        return float(60 * chosen.minutes / found["seconds"])

    title = f"{chosen.model}, {chosen.classes} classes: a recording of {chosen.minutes:g} minutes"
    speeds = interleave(chosen.arms, chosen.rounds, "s of sound/s", speed)
    return [
        Table(f"{title}, from the file to its events", "s of sound/s", speeds),
        Table(f"{title}: seconds of all cores together", "s per hour of sound", cores, better="lower", ratios=False),
        Table(f"{title}: held, more than in the warm-up", "MB", held, better="lower", ratios=False),
        Table(f"{title}: most resident, more than in the warm-up", "MB", resident, better="lower", ratios=False),
    ]


def work(arm: str, folder: Path, chosen: Namespace) -> None:
    """Run an arm: warm up, compute the recording from the file to its events, and print what it took."""
    from pannsdist.inference.detection import Rule, events
    from pannsdist.inference.model import load_model
    from pannsdist.runtime import console, heap

    heap.keep_freed_memory()  # as the command does
    console.quiet_paddle()
    window_s, hop_s = WINDOWS.get(arm, (None, None))
    model = load_model(folder / ("frames" if arm == FRAMES else "clips"), "", chosen.engine or None, window_s, hop_s)
    held: dict[str, float] = {}
    for name in ("warm_up", "recording"):
        before, start, busy = peak_mb(), time.perf_counter(), time.process_time()
        looks = [0.0]
        events(watched(model.timeline(folder / f"{name}.wav"), looks), model.labels, Rule(1.0))
        seconds, core_s, held[name] = time.perf_counter() - start, time.process_time() - busy, max(looks)
    found = {"held_mb": held["recording"] - held["warm_up"], "resident_mb": peak_mb() - before}
    print(json.dumps({"seconds": seconds, "core_s": core_s, **found}))


def watched(timeline: Iterable[WindowScores], looks: list[float]) -> Iterator[WindowScores]:
    """Pass on what `detect` turns into events, and note now and then the memory that is held."""
    for number, scores in enumerate(timeline):
        if number % LOOK_SCORES == 0:
            looks.append(held_mb())
        yield scores


class Mallinfo2(ctypes.Structure):
    """`struct mallinfo2` of malloc.h: bytes of mappings, `hblkhd`, and of the heap, `uordblks`, that are in use."""

    _fields_ = [
        ("other", ctypes.c_size_t * 4),
        ("hblkhd", ctypes.c_size_t),
        ("more", ctypes.c_size_t * 2),
        ("uordblks", ctypes.c_size_t),
        ("rest", ctypes.c_size_t * 2),
    ]


def held_mb() -> float:
    """The memory that this process has allocated and not freed, in MB, by glibc from 2.33 on."""
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Mallinfo2
    found = library.mallinfo2()
    return float(found.uordblks + found.hblkhd) / (1 << 20)


def peak_mb() -> float:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepare(folder: Path, chosen: Namespace) -> None:
    """Write the recordings and the two model folders, in a process of its own: its memory is not the arms'."""
    import soundfile

    random = np.random.default_rng(0)
    for name, minutes in {"warm_up": min(WARM_UP_MINUTES, chosen.minutes), "recording": chosen.minutes}.items():
        with soundfile.SoundFile(folder / f"{name}.wav", "w", RATE_HZ, 1, "PCM_16") as file:
            for _ in range(round(minutes * 6)):
                file.write(random.normal(0, 0.1, 10 * RATE_HZ).astype(np.float32))
    for name, pooling in {"clips": "", "frames": "attention"}.items():
        write_model(folder / name, chosen.model, chosen.classes, CROP_S, pooling)


if __name__ == "__main__":
    main()
