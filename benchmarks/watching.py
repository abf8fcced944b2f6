"""Cost of experiment tracking: seconds per call for points, images, audio, metrics and stored predictions.

    python benchmarks/watching.py [--repeats N] [--quick]

Each row is the median over repeats. A worst clip includes reading a WAV of 5 s at 44.1 kHz, resampling to 32 kHz, the
log-mel features, and writing image and audio. All installed trackers are measured; image rendering is shared by them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from measuring import Table, plain_parser, present, say

from pannsdist.contracts import Clip, ClipFeatures, EpochReport, Pace, StepReport, TrackedRun
from pannsdist.contracts.predictions import Predictions
from pannsdist.runtime import console, cpu

if TYPE_CHECKING:
    from pannsdist.registry.building import Part

WORST = 3


def main() -> None:
    """Print a Markdown table."""
    parser = plain_parser("Cost of experiment tracking.")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions of each call")
    chosen = parser.parse_args()
    cpu.use_fast_kernels()
    console.quiet_paddle()
    repeats, sizes = (1, ((80, 10),)) if chosen.quick else (chosen.repeats, ((80, 10), (400, 50), (20_000, 527)))
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in rows(Path(folder), repeats, sizes):
            seconds[name] = [value]
            say(f"  {name}: {value:.2g} s")
    title = f"a call, median of {repeats} (metrics of at most 3; points of {100 * repeats})"
    present([Table(title, "seconds", seconds, better="lower", ratios=False)], chosen.json)


def rows(folder: Path, repeats: int, sizes: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, float]]:
    """Pairs (description, seconds)."""
    from pannsdist.contracts import pictures
    from pannsdist.contracts.predictions import confusion
    from pannsdist.training.metrics import scores
    from pannsdist.training.tracking import PredictionsTracker

    for part in trackers():
        yield from of_tracker(part, folder / part.entry.name, repeats)
    for clips, classes in sizes:
        size, given = f"{clips} clips of {classes} classes", predictions(clips, classes)
        if classes < 100:
            matrix = confusion(given)
            picture = seconds_of(repeats, lambda m=matrix, a=given: pictures.confusion_picture(m, a.labels, "title"))
            yield f"confusion matrix as image, {size}", picture
        yield f"all metrics, {size}", seconds_of(min(repeats, 3), lambda a=given: scores(a, "valid"))
        kept, report = PredictionsTracker(folder / "kept"), epoch(1, given)
        yield f"storing predictions, {size}", seconds_of(repeats, lambda k=kept, r=report: k.epoch(r))


def of_tracker(part: Part, folder: Path, repeats: int) -> Iterator[tuple[str, float]]:
    """Costs of one tracker: a point of every curve, an epoch, and each worst clip."""
    folder.mkdir()
    run = TrackedRun("measured", folder, 0, {}, [], clip_reader(folder), dict, worst_clips=WORST)
    counts = {folder / "with": WORST, folder / "without": 0}
    shown, hidden = (part.plugin.open(replace(run, folder=own, worst_clips=n)) for own, n in counts.items())
    given, step, name = predictions(80, 10), [0], part.entry.name

    def point() -> None:
        step[0] += 1
        pace = Pace(1.0, 0.1, 1.0, 1.0)
        shown.steps(StepReport(1, step[0], step[0], 10**6, 1.0 / step[0], {"all": 1e-3}, pace, 1.0))

    def report_epoch(tracker: Any) -> Callable[[], None]:
        def call() -> None:
            step[0] += 1
            tracker.epoch(epoch(step[0], given))
            tracker.flush()

        return call

    yield f"{name}: a point of every training curve", seconds_of(100 * repeats, point)
    with_clips, without = (seconds_of(repeats, report_epoch(tracker)) for tracker in (shown, hidden))
    yield f"{name}: an epoch's scores and confusion matrix, 80 clips of 10 classes", without
    yield f"{name}: each of the worst clips", (with_clips - without) / WORST
    shown.close()
    hidden.close()


def trackers() -> list[Part]:
    """The installed trackers with default params."""
    from pannsdist.registry import Catalog
    from pannsdist.registry.building import build_plugin
    from pannsdist.settings import SettingsOrigin

    return [
        build_plugin(entry, {}, SettingsOrigin(), f"trackers.{entry.name}") for entry in Catalog.installed().trackers
    ]


def clip_reader(folder: Path) -> Callable[[str], ClipFeatures]:
    """A function that reads a clip as in a run: from a file, resampled, with PANNs' features."""
    import paddle

    from pannsdist.audio.clip_reader import ClipReader
    from pannsdist.builtin.logmel import LogMel, LogMelParams
    from pannsdist.contracts.network import Network
    from pannsdist.run import building

    path = folder / "clip.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 5 * 44100), 44100)
    network = Network(LogMel(LogMelParams()).build(), paddle.nn.Identity())
    reader = building.ClipReaderForTrackers([Clip("clip", path, ("class 0",))], ClipReader(32000, 160000), network)
    return lambda _: reader("clip")


def predictions(clips: int, classes: int) -> Predictions:
    """Random predictions, multi-label for 100 or more classes."""
    generator = np.random.default_rng(0)
    ids = tuple(f"clip{number:06d}" for number in range(clips))
    logits = generator.normal(size=(clips, classes)).astype(np.float32)
    labels = tuple(f"class {number}" for number in range(classes))
    if classes < 100:
        return Predictions(ids, logits, generator.integers(0, classes, clips), labels, False)
    return Predictions(ids, logits, (generator.random((clips, classes)) < 0.01).astype(np.float32), labels, True)


def epoch(number: int, given: Predictions) -> EpochReport:
    """The report of an epoch that is the best so far."""
    scores = {f"valid/score{place}": 0.5 for place in range(14)}
    return EpochReport(number, 10**6, number, scores, "valid/score0", True, 1.0, given)


def seconds_of(repeats: int, call: Callable[[], object]) -> float:
    """The median seconds of repeated calls, after one warm-up call."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return median(taken)


if __name__ == "__main__":
    main()
