"""What does it take to be watched? Seconds of single calls: points, pictures, sounds, metrics, kept predictions.

    python benchmarks/watching.py [--repeats N] [--quick]

Each row is the median of its repeats. A worst clip is everything that it takes: a WAV of 5 s at 44.1 kHz is read and
brought to 32 kHz, PANNs' logmel hears it, and picture and sound are made and written. Trackers are asked by the names
under which they are installed; the pictures are made by what all of them share.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from pannsdist.contracts import Clip, ClipFeatures, EpochReport, Pace, StepReport, TrackedRun
from pannsdist.contracts.predictions import Predictions
from pannsdist.runtime import console, cpu

if TYPE_CHECKING:
    from pannsdist.registry.building import Part

WORST = 3


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="What it costs that a run is watched.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="once each, and the smaller predictions alone")
    chosen = parser.parse_args()
    cpu.use_fast_kernels()
    console.quiet_paddle()
    repeats, sizes = (1, ((80, 10),)) if chosen.quick else (chosen.repeats, ((80, 10), (400, 50), (20_000, 527)))
    print("| | seconds |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in rows(Path(folder), repeats, sizes):
            print(f"| {name} | {seconds:.2g} |", flush=True)


def rows(folder: Path, repeats: int, sizes: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, float]]:
    """(what, seconds)."""
    from pannsdist.contracts import pictures
    from pannsdist.contracts.predictions import confusion
    from pannsdist.training.metrics import scores
    from pannsdist.training.tracking import PredictionsTracker

    for part in trackers():
        yield from of_tracker(part, folder / part.entry.name, repeats)
    for clips, classes in sizes:
        size, answers = f"{clips} clips of {classes} classes", predictions(clips, classes)
        if classes < 100:
            matrix = confusion(answers)
            picture = seconds_of(repeats, lambda m=matrix, a=answers: pictures.confusion_picture(m, a.labels, "title"))
            yield f"the confusion matrix as picture, {size}", picture
        yield f"every metric, {size}", seconds_of(min(repeats, 3), lambda a=answers: scores(a, "valid"))
        kept, report = PredictionsTracker(folder / "kept"), epoch(1, answers)
        yield f"keeping the predictions, {size}", seconds_of(repeats, lambda k=kept, r=report: k.epoch(r))


def of_tracker(part: Part, folder: Path, repeats: int) -> Iterator[tuple[str, float]]:
    """A point of every curve, and what the worst clips add to an epoch, for one of them."""
    folder.mkdir()
    run = TrackedRun("measured", folder, 0, {}, [], inference_model(folder), dict, worst_clips=WORST)
    counts = {folder / "with": WORST, folder / "without": 0}
    shown, hidden = (part.plugin.open(replace(run, folder=own, worst_clips=n)) for own, n in counts.items())
    answers, step, name = predictions(80, 10), [0], part.entry.name

    def point() -> None:
        step[0] += 1
        pace = Pace(1.0, 0.1, 1.0)
        shown.steps(StepReport(1, step[0], step[0], 10**6, 1.0 / step[0], {"all": 1e-3}, pace, 1.0))

    def tell(tracker: Any) -> Callable[[], None]:
        def told() -> None:
            step[0] += 1
            tracker.epoch(epoch(step[0], answers))
            tracker.flush()

        return told

    yield f"{name}: a point of every training curve", seconds_of(100 * repeats, point)
    with_clips, without = (seconds_of(repeats, tell(tracker)) for tracker in (shown, hidden))
    yield f"{name}: an epoch's scores and confusion matrix, 80 clips of 10 classes", without
    yield f"{name}: each of the worst clips", (with_clips - without) / WORST
    shown.close()
    hidden.close()


def trackers() -> list[Part]:
    """Those that are installed, at their defaults."""
    from pannsdist.registry import Catalog
    from pannsdist.registry.building import build_plugin
    from pannsdist.settings import SettingsOrigin

    return [
        build_plugin(entry, {}, SettingsOrigin(), f"trackers.{entry.name}") for entry in Catalog.installed().trackers
    ]


def inference_model(folder: Path) -> Callable[[str], ClipFeatures]:
    """Clips as a run hears them: from a file, resampled, through PANNs' front end."""
    import paddle

    from pannsdist.audio.clip_reader import ClipReader
    from pannsdist.builtin.logmel import LogMel, LogMelParams
    from pannsdist.contracts.network import Network
    from pannsdist.run import building

    path = folder / "clip.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 5 * 44100), 44100)
    network = Network(LogMel(LogMelParams()).build(), paddle.nn.Identity())
    listening = building.ClipReaderForTrackers([Clip("clip", path, ("class 0",))], ClipReader(32000, 160000), network)
    return lambda _: listening("clip")


def predictions(clips: int, classes: int) -> Predictions:
    """Random ones; several labels a clip where there are hundreds of classes."""
    generator = np.random.default_rng(0)
    ids = tuple(f"clip{number:06d}" for number in range(clips))
    logits = generator.normal(size=(clips, classes)).astype(np.float32)
    labels = tuple(f"class {number}" for number in range(classes))
    if classes < 100:
        return Predictions(ids, logits, generator.integers(0, classes, clips), labels, False)
    return Predictions(ids, logits, (generator.random((clips, classes)) < 0.01).astype(np.float32), labels, True)


def epoch(number: int, answers: Predictions) -> EpochReport:
    """The best so far."""
    scores = {f"valid/score{place}": 0.5 for place in range(14)}
    return EpochReport(number, 10**6, number, scores, "valid/score0", True, 1.0, answers)


def seconds_of(repeats: int, call: Callable[[], object]) -> float:
    """The median of so many calls, after one that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return median(taken)


if __name__ == "__main__":
    main()
